/** What a start does with segments before the node counts on them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { readdirSync, writeFileSync } from "node:fs"
import { open } from "node:fs/promises"
import { join } from "node:path"
import { LogStore } from "../../src/storage/LogStore.ts"
import * as RocksStorage from "../../src/storage/rocksdb/RocksStorage.ts"
import { SegmentBytes } from "../../src/storage/segments/SegmentBytes.ts"
import { segmentFile, sequenceOf } from "../../src/storage/segments/SegmentFormat.ts"
import { sampleEntries, writeOf } from "../../src/testing/LogStoreSuite.ts"
import { copyCrashImage } from "./CrashImage.ts"
import { temporaryFolder } from "./TemporaryFolder.ts"

const start = <A, E, R>(path: string, use: Effect.Effect<A, E, R>) =>
  Effect.provide(use, Layer.fresh(RocksStorage.layer({ path, clusterId: "orders", nodeId: 1, voters: [1, 2, 3] })))

const lastOf = LogStore.use(({ recovered }) => Effect.succeed(recovered.lastIndex))

/** What kill -9 leaves of a log of some segments. */
const killed = Effect.gen(function*() {
  const folder = yield* temporaryFolder
  const path = join(folder, "node-1")
  const copy = join(folder, "killed")
  yield* start(
    path,
    Effect.gen(function*() {
      const log = yield* LogStore
      for (let first = 1; first <= 9; first += 3) yield* log.append([writeOf(sampleEntries(first, first + 2, 1))])
      copyCrashImage(path, copy)
    })
  )
  return copy
}).pipe(Effect.provideService(SegmentBytes, 200))

const segmentsIn = (path: string): ReadonlyArray<number> => readdirSync(path).flatMap((name) => sequenceOf(name) ?? [])

/** The prototype that all open files share. */
const fileMethods = Effect.promise(async () => {
  const file = await open("package.json", "r")
  await file.close()
  return Object.getPrototypeOf(file) as { datasync: (this: { readonly fd: number }) => Promise<void> }
})

describe("a start", () => {
  it.live("syncs every segment that it has read: kill -9 leaves bytes that no sync covered", () =>
    Effect.gen(function*() {
      const path = yield* killed
      const methods = yield* fileMethods
      const real = methods.datasync
      let syncs = 0
      methods.datasync = function() {
        syncs += 1
        return real.call(this)
      }
      const last = yield* start(path, lastOf).pipe(
        Effect.ensuring(Effect.sync(() => {
          methods.datasync = real
        }))
      )
      assert.strictEqual(last, 9)
      assert.isAbove(syncs, 3)
      // The last one was made ahead, and is none that was read.
      assert.strictEqual(syncs, segmentsIn(path).length)
    }))

  it.live("takes no notice of files that were made ahead, nor of a header that was not finished before them", () =>
    Effect.gen(function*() {
      const path = yield* killed
      const next = Math.max(...segmentsIn(path)) + 1
      for (const sequence of [next, next + 1]) writeFileSync(join(path, segmentFile(sequence)), Buffer.alloc(200))
      writeFileSync(join(path, segmentFile(next + 2)), "half a header")
      assert.strictEqual(yield* start(path, lastOf), 9)
      assert.isBelow(Math.max(...segmentsIn(path)), next)
    }))
})
