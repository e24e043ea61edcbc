import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { join } from "node:path"
import * as MemoryStore from "../../src/storage/memory/MemoryStore.ts"
import * as RocksStorage from "../../src/storage/rocksdb/RocksStorage.ts"
import { logStoreCases } from "../../src/testing/LogStoreSuite.ts"
import { stateStoreCases } from "../../src/testing/StateStoreSuite.ts"
import { temporaryFolder } from "./TemporaryFolder.ts"

const voters = [1, 2, 3]

const memory = Effect.sync(() => MemoryStore.layer(new MemoryStore.MemoryDisk(voters)))

const rocks = (writeBufferBytes: number) =>
  Effect.map(
    temporaryFolder,
    (folder) =>
      RocksStorage.layer({ path: join(folder, "node-1"), clusterId: "test", nodeId: 1, voters, writeBufferBytes })
  )

describe.each([
  ["memory", memory],
  ["RocksDB", rocks(8 * 1024 * 1024)],
  // So small that the write-ahead log is rotated again and again.
  ["RocksDB with small buffers", rocks(64 * 1024)]
])("on %s", (_, fresh) => {
  describe("a log store", () => {
    for (const { effect, name } of logStoreCases({ voters, fresh })) it.live(name, () => effect)
  })
  describe("a state store", () => {
    for (const { effect, name } of stateStoreCases({ fresh })) it.live(name, () => effect)
  })
})
