/** The room that a stopped node's directory gives back, and directories that are left alone. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { mkdirSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { reclaim } from "../../src/storage/Reclaim.ts"
import { RocksDb } from "../../src/storage/rocksdb/RocksDb.ts"
import * as RocksStorage from "../../src/storage/rocksdb/RocksStorage.ts"
import { StateStore } from "../../src/storage/StateStore.ts"
import { temporaryFolder } from "./TemporaryFolder.ts"

const rowCount = 64
const valueBytes = 64 * 1024

const keyOf = (i: number) => Uint8Array.of(0x10, i)

/** A node's directory with rows that were written to tables, and then deleted. */
const directory = Effect.fnUntraced(function*(path: string) {
  const made = RocksStorage.layer({ path, clusterId: "c", nodeId: 1, voters: [1] })
  yield* Effect.provide(StateStore, Layer.fresh(made))
  yield* Effect.gen(function*() {
    const database = yield* RocksDb
    for (let i = 0; i < rowCount; i++) {
      const value = Uint8Array.from({ length: valueBytes }, (_, at) => (at * 31 + i * 7 + (at >> 8)) & 0xff)
      yield* database.write("state_a", [{ _tag: "Put", key: keyOf(i), value }], "lazy")
    }
    yield* database.flush("state_a")
    const deleted = Array.from({ length: rowCount - 1 }, (_, i) => ({ _tag: "Delete" as const, key: keyOf(i) }))
    yield* database.write("state_a", deleted, "durable")
  }).pipe(Effect.provide(Layer.fresh(RocksDb.layer({ path, create: false }))))
})

describe("reclaim", () => {
  it.live("gives back what deleted rows take, and keeps the others", () =>
    Effect.gen(function*() {
      const path = join(yield* temporaryFolder, "node-1")
      yield* directory(path)
      const { bytesAfter, bytesBefore } = yield* reclaim(path)
      const row = yield* RocksDb.use((database) => database.getMany("state_a", [keyOf(0), keyOf(rowCount - 1)])).pipe(
        Effect.provide(Layer.fresh(RocksDb.layer({ path, create: false, readOnly: true })))
      )
      assert.deepStrictEqual(row.map((value) => value?.byteLength), [undefined, valueBytes])
      assert.isBelow(bytesAfter, bytesBefore)
      assert.isBelow(bytesAfter, bytesBefore - (rowCount - 2) * valueBytes)
    }).pipe(Effect.scoped), 60_000)

  it.live("refuses a directory in use, and one that is no node's", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const path = join(folder, "node-1")
      yield* directory(path)
      const inUse = yield* Effect.flip(reclaim(path)).pipe(
        Effect.provide(Layer.fresh(RocksDb.layer({ path, create: false })))
      )
      assert.deepInclude(inUse, { _tag: "DataDirRefused", reason: "locked" })
      const other = join(folder, "other")
      mkdirSync(other)
      writeFileSync(join(other, "precious"), "data")
      assert.deepInclude(yield* Effect.flip(reclaim(other)), { _tag: "DataDirRefused", reason: "foreign" })
      assert.deepStrictEqual(readdirSync(other), ["precious"])
    }).pipe(Effect.scoped), 60_000)
})
