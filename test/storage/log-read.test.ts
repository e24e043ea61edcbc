/** How much of the log is read for a part of it. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { join } from "node:path"
import { LogIndex } from "../../src/raft/Types.ts"
import { LogStore } from "../../src/storage/LogStore.ts"
import * as RocksStorage from "../../src/storage/rocksdb/RocksStorage.ts"
import { sampleEntry, writeOf } from "../../src/testing/LogStoreSuite.ts"
import { temporaryFolder } from "./TemporaryFolder.ts"

const mebi = 1024 * 1024

/** The most memory outside of the heap while some work runs, beside what there was before. */
const peakOf = <A, E, R>(work: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const before = process.memoryUsage().external
    let peak = before
    const timer = setInterval(() => (peak = Math.max(peak, process.memoryUsage().external)), 1)
    const result = yield* Effect.ensuring(work, Effect.sync(() => clearInterval(timer)))
    peak = Math.max(peak, process.memoryUsage().external)
    return { result, peakMiB: (peak - before) / mebi }
  })

// A node fetched 512 entries for each part of half a MiB: half a GiB where they have a megabyte each.
it.live("reads not much more than it gives, however large the entries are", () =>
  Effect.gen(function*() {
    const path = join(yield* temporaryFolder, "node-1")
    yield* Effect.gen(function*() {
      const log = yield* LogStore
      const payload = "x".repeat(mebi / 2)
      for (let index = 1; index <= 120; index++) yield* log.append([writeOf([sampleEntry(index, 1, payload)])])
      for (const from of [1, 40, 80]) {
        const { peakMiB, result } = yield* peakOf(log.read(LogIndex(from), LogIndex(120), mebi))
        assert.deepStrictEqual(result.map(({ index }) => index), [LogIndex(from)])
        assert.isBelow(peakMiB, 20)
      }
    }).pipe(
      Effect.provide(Layer.fresh(RocksStorage.layer({ path, clusterId: "large", nodeId: 1, voters: [1, 2, 3] })))
    )
  }))
