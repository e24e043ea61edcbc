/** What a compaction of the log costs: the tables of the entries that stay are not written again. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { LogIndex, Term } from "../../src/raft/Types.ts"
import { LogStore } from "../../src/storage/LogStore.ts"
import { RocksDb } from "../../src/storage/rocksdb/RocksDb.ts"
import * as RocksStorage from "../../src/storage/rocksdb/RocksStorage.ts"
import { sampleEntries, writeOf } from "../../src/testing/LogStoreSuite.ts"
import { temporaryFolder } from "./TemporaryFolder.ts"

const tables = (path: string) => readdirSync(path).filter((name) => name.endsWith(".sst"))

/** Which tables there are when entries 1 to 600 are appended and the first 300 are compacted away. */
const compacted = Effect.fnUntraced(function*(keptIsInTable: boolean) {
  const path = join(yield* temporaryFolder, "node-1")
  return yield* Effect.gen(function*() {
    const log = yield* LogStore
    const database = yield* RocksDb
    yield* database.flush("raft_log")
    const others = new Set(tables(path))
    const newTables = () => tables(path).filter((name) => !others.has(name))
    yield* log.append([writeOf(sampleEntries(1, 300, 1))])
    yield* database.flush("raft_log")
    const removed = newTables()
    yield* log.append([writeOf(sampleEntries(301, 600, 1))])
    if (keptIsInTable) yield* database.flush("raft_log")
    yield* log.compact({ index: LogIndex(300), term: Term(1) })
    const kept = newTables().filter((name) => !removed.includes(name))
    while (tables(path).some((name) => removed.includes(name))) yield* Effect.sleep(5)
    assert.lengthOf(yield* log.read(LogIndex(301), LogIndex(600), 1e9), 300)
    return { kept, left: tables(path) }
  }).pipe(Effect.provide(RocksStorage.layer({ path, clusterId: "orders", nodeId: 1, voters: [1, 2, 3] })))
})

describe("a compaction of the log", () => {
  for (const keptIsInTable of [true, false]) {
    it.live(
      `does not write again what it leaves ${keptIsInTable ? "in a table" : "in memory"}`,
      () =>
        Effect.gen(function*() {
          const { kept, left } = yield* compacted(keptIsInTable)
          assert.isNotEmpty(kept)
          assert.includeMembers(left, kept)
        }),
      20_000
    )
  }
})
