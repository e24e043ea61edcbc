import { describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { join } from "node:path"
import { NewFormat } from "../../src/storage/DirectoryMarker.ts"
import * as MemoryStore from "../../src/storage/memory/MemoryStore.ts"
import * as RocksStorage from "../../src/storage/rocksdb/RocksStorage.ts"
import { SegmentBytes } from "../../src/storage/segments/SegmentBytes.ts"
import { logStoreCases } from "../../src/testing/LogStoreSuite.ts"
import { stateStoreCases } from "../../src/testing/StateStoreSuite.ts"
import type { LogFormat } from "./LogFormats.ts"
import { temporaryFolder } from "./TemporaryFolder.ts"

const voters = [1, 2, 3]

const memory = Effect.sync(() => MemoryStore.layer(new MemoryStore.MemoryDisk(voters)))

interface DiskOptions {
  readonly format?: LogFormat
  readonly segmentBytes?: number
  readonly writeBufferBytes?: number
}

const rocks = ({ format = "segments", segmentBytes, writeBufferBytes = 8 * 1024 * 1024 }: DiskOptions = {}) =>
  Effect.map(
    temporaryFolder,
    (folder) =>
      RocksStorage.layer({ path: join(folder, "node-1"), clusterId: "test", nodeId: 1, voters, writeBufferBytes }).pipe(
        Layer.provide(Layer.succeed(NewFormat, format === "rows" ? 4 : 6)),
        Layer.provide(segmentBytes === undefined ? Layer.empty : Layer.succeed(SegmentBytes, segmentBytes))
      )
  )

describe.each([
  ["memory", memory],
  ["segments", rocks()],
  // Most appends of entries begin one of their own, or several.
  ["segments of 512 bytes", rocks({ segmentBytes: 512 })],
  ["rows", rocks({ format: "rows" })],
  // So small that the write-ahead log is rotated again and again.
  ["rows with small buffers", rocks({ format: "rows", writeBufferBytes: 64 * 1024 })]
])("a log store on %s", (_, fresh) => {
  for (const { effect, name } of logStoreCases({ voters, fresh })) it.live(name, () => effect)
})

describe.each([
  ["memory", memory],
  ["RocksDB", rocks()],
  ["RocksDB with small buffers", rocks({ writeBufferBytes: 64 * 1024 })]
])("a state store on %s", (_, fresh) => {
  for (const { effect, name } of stateStoreCases({ fresh })) it.live(name, () => effect)
})
