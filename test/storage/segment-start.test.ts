/** What a start does with segments before the node counts on them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { open } from "node:fs/promises"
import { join } from "node:path"
import { CodecError } from "../../src/bytes/CodecError.ts"
import { LogIndex, origin } from "../../src/raft/Types.ts"
import { LogStore } from "../../src/storage/LogStore.ts"
import * as RocksStorage from "../../src/storage/rocksdb/RocksStorage.ts"
import { SegmentBytes } from "../../src/storage/segments/SegmentBytes.ts"
import { decodeHeader, segmentFile, sequenceOf } from "../../src/storage/segments/SegmentFormat.ts"
import { sampleEntries, writeOf } from "../../src/testing/LogStoreSuite.ts"
import { eventually } from "../Eventually.ts"
import { copyCrashImage } from "./CrashImage.ts"
import { findEntries, openSegments, pointAt, segmentBytes, textsOf, writeSegment } from "./Segments.ts"
import { temporaryFolder } from "./TemporaryFolder.ts"

const start = <A, E, R>(path: string, use: Effect.Effect<A, E, R>) =>
  Effect.provide(use, Layer.fresh(RocksStorage.layer({ path, clusterId: "orders", nodeId: 1, voters: [1, 2, 3] })))

const lastOf = LogStore.use(({ recovered }) => Effect.succeed(recovered.lastIndex))

const segmentsIn = (path: string): ReadonlyArray<number> =>
  readdirSync(path).flatMap((name) => sequenceOf(name) ?? []).sort((a, b) => a - b)

const hasHeader = (path: string, sequence: number): boolean =>
  decodeHeader(readFileSync(join(path, segmentFile(sequence))), sequence) !== undefined

/** What kill -9 leaves of a log of some segments, and one that was made ahead. */
const killed = Effect.gen(function*() {
  const folder = yield* temporaryFolder
  const path = join(folder, "node-1")
  const copy = join(folder, "killed")
  yield* start(
    path,
    Effect.gen(function*() {
      const log = yield* LogStore
      for (let first = 1; first <= 9; first += 3) yield* log.append([writeOf(sampleEntries(first, first + 2, 1))])
      yield* eventually("a file made ahead", () => !hasHeader(path, segmentsIn(path).at(-1) ?? 0))
      copyCrashImage(path, copy)
    })
  )
  return copy
}).pipe(Effect.provideService(SegmentBytes, 200))

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
      const before = segmentsIn(path)
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
      assert.strictEqual(syncs, before.length - 1, "all but the one that was made ahead")
    }))

  it.live("writes a segment once more that was not ended: a sync of it may have failed, and the next would succeed", () =>
    Effect.gen(function*() {
      const path = yield* killed
      const before = segmentsIn(path)
      const last = before.at(-2) ?? 0
      yield* start(
        path,
        Effect.gen(function*() {
          const { append, read, recovered } = yield* LogStore
          assert.deepStrictEqual(segmentsIn(path).filter((sequence) => sequence <= last), before.slice(0, -2))
          assert.strictEqual(recovered.lastIndex, 9)
          yield* append([writeOf(sampleEntries(10, 10, 1))])
          assert.lengthOf(yield* read(LogIndex(1), LogIndex(10), 1e9), 10)
        })
      )
      const stopped = segmentsIn(path)
      assert.strictEqual(yield* start(path, lastOf), 10)
      assert.deepStrictEqual(segmentsIn(path), stopped, "one that was ended is left as it is")
    }))

  it.live("does so from the beginning when it was killed while it wrote, or before it removed the old one", () =>
    Effect.gen(function*() {
      const path = yield* killed
      const last = segmentsIn(path).at(-2) ?? 0
      const old = readFileSync(join(path, segmentFile(last)))
      writeFileSync(join(path, `${segmentFile(last + 2)}.partial-77`), old.subarray(0, 100))
      assert.strictEqual(yield* start(path, lastOf), 9)
      assert.deepStrictEqual(readdirSync(path).filter((name) => name.includes("partial")), [])
      writeFileSync(join(path, segmentFile(last)), old)
      assert.strictEqual(yield* start(path, lastOf), 9)
      assert.notInclude(segmentsIn(path), last)
    }))

  it.live("takes no notice of one file without a header at the end, and refuses two", () =>
    Effect.gen(function*() {
      const path = yield* killed
      const ahead = segmentsIn(path).at(-1) ?? 0
      writeFileSync(join(path, segmentFile(ahead)), "half a header")
      assert.strictEqual(yield* start(path, lastOf), 9)
      const again = yield* killed
      const inUse = join(again, segmentFile(ahead - 1))
      const bytes = readFileSync(inUse)
      bytes.writeUInt8(bytes.readUInt8(20) ^ 1, 20)
      writeFileSync(inUse, bytes)
      const refused = yield* Effect.flip(start(again, lastOf))
      assert.match(refused.message, new RegExp(`${segmentFile(ahead - 1)} has no whole header`))
    }))
})

describe("a log whose last segment lost its end below where the log begins", () => {
  it.live("goes on there: what is written then is read, and found by the next start", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const compacted = pointAt(7, 1)
      writeSegment(folder, 1, Buffer.concat([segmentBytes(1, origin, sampleEntries(1, 5, 1)), Buffer.alloc(500)]))
      yield* Effect.promise(async () => {
        const entries = sampleEntries(8, 9, 1)
        const log = await openSegments(folder, { compacted })
        await log.append(entries)
        const read = await log.read(LogIndex(8), LogIndex(9), 1_000)
        assert.deepStrictEqual(read instanceof CodecError ? read : textsOf(read), textsOf(entries))
        await log.close()
        assert.deepStrictEqual(textsOf((await findEntries(folder, compacted)).entries), textsOf(entries))
      })
    }))
})
