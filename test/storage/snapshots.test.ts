/** A snapshot that is installed and a log that is compacted on a real disk: what a crash leaves, and what the disk gets back. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import type { LogPoint } from "../../src/raft/Types.ts"
import { LogIndex, NodeId, Term } from "../../src/raft/Types.ts"
import { LogStore } from "../../src/storage/LogStore.ts"
import * as MemoryStore from "../../src/storage/memory/MemoryStore.ts"
import { encodeRecord } from "../../src/storage/Codec.ts"
import { RocksDb } from "../../src/storage/rocksdb/RocksDb.ts"
import * as RocksStorage from "../../src/storage/rocksdb/RocksStorage.ts"
import { SegmentBytes } from "../../src/storage/segments/SegmentBytes.ts"
import type { StateRow } from "../../src/storage/StateStore.ts"
import { StateStore } from "../../src/storage/StateStore.ts"
import type { OpenError } from "../../src/storage/StorageError.ts"
import { sampleEntries, sampleEntry, writeOf } from "../../src/testing/LogStoreSuite.ts"
import { put } from "../../src/testing/StateStoreSuite.ts"
import { eventually } from "../Eventually.ts"
import { crashImage } from "./CrashImage.ts"
import { inFormat, logFormats } from "./LogFormats.ts"
import { temporaryFolder } from "./TemporaryFolder.ts"

const storage = (path: string, voters: ReadonlyArray<number> = [1, 2, 3]) =>
  Layer.fresh(RocksStorage.layer({ path, clusterId: "orders", nodeId: 1, voters }))

const point = (index: number, term: number): LogPoint => ({ index: LogIndex(index), term: Term(term) })

const row = (name: string, value: string | Uint8Array = ""): StateRow => ({
  key: Buffer.concat([Uint8Array.of(1), Buffer.from(name)]),
  value: typeof value === "string" ? Buffer.from(value) : value
})

const everything = { gte: Uint8Array.of(1), lt: Uint8Array.of(0xff), limit: 1_000_000 }

/** Room that files take. A segment in use is longer than what is in it. */
const bytesIn = (path: string): number =>
  readdirSync(path).reduce((sum, name) => {
    const stats = statSync(join(path, name), { throwIfNoEntry: false })
    return sum + (stats === undefined ? 0 : Math.min(stats.size, stats.blocks * 512))
  }, 0)

/** Waits until the directory has at most so many bytes. */
const untilAtMost = (path: string, bytes: number) =>
  eventually(`at most ${bytes} bytes in the directory`, () => bytesIn(path) <= bytes)

/** Starts on a disk and says what is there. */
const found = <E extends OpenError>(layer: Layer.Layer<LogStore | StateStore, E>) =>
  Effect.gen(function*() {
    const log = yield* LogStore
    const state = yield* StateStore
    const { compacted, hardState, lastIndex } = log.recovered
    return {
      log: `${compacted.index}@${compacted.term}..${lastIndex}`,
      applied: state.recovered,
      keys: (yield* state.scan(everything)).map(({ key }) => Buffer.from(key.subarray(1)).toString()),
      membership: hardState.membership
    }
  }).pipe(Effect.provide(layer))

/** Logs that a node may have when a snapshot through 6@3 comes, and what its log is afterwards. */
const cases: ReadonlyArray<{ readonly name: string; readonly terms: ReadonlyArray<number>; readonly after: string }> = [
  { name: "ends before it", terms: [1, 1, 1], after: "6@3..6" },
  { name: "is empty", terms: [], after: "6@3..6" },
  { name: "contradicts it", terms: [1, 1, 1, 1, 2, 2, 2, 2], after: "6@3..6" },
  { name: "holds its last entry, and more", terms: [1, 1, 1, 1, 2, 3, 3, 4], after: "0@0..8" }
]

describe.each(cases)("a crash between a snapshot and the log, which $name", ({ after, terms }) => {
  const prepare = Effect.gen(function*() {
    const log = yield* LogStore
    const state = yield* StateStore
    yield* log.append(terms.map((term, at) => writeOf(sampleEntries(at + 1, at + 1, term))))
    yield* state.commit([put("old", "")], point(Math.min(2, terms.length), 1))
    yield* state.sync
  })

  const importing = (step: (name: string) => Effect.Effect<unknown>) =>
    Effect.scoped(Effect.gen(function*() {
      const state = yield* StateStore
      const incoming = yield* state.import
      yield* step("begun")
      yield* incoming.write([row("new 1"), row("new 2")])
      yield* step("written")
      yield* incoming.finish(point(6, 3))
      yield* step("finished")
    }))

  it.live("leaves a usable node on RocksDB", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const path = join(folder, "node-1")
      yield* Effect.andThen(
        prepare,
        importing((name) => crashImage(path, join(folder, name)))
      ).pipe(Effect.provide(storage(path)))
      for (const step of ["begun", "written"]) {
        const { applied, keys, log } = yield* found(storage(join(folder, step)))
        assert.strictEqual(log, `0@0..${terms.length}`)
        assert.deepStrictEqual([applied.index, keys], [Math.min(2, terms.length), ["old"]])
      }
      // Once more, and once more: what a start finishes stays finished.
      for (const again of [1, 2, 3]) {
        const { applied, keys, log } = yield* found(storage(join(folder, "finished")))
        assert.deepStrictEqual([log, applied, keys], [after, point(6, 3), ["new 1", "new 2"]], `start ${again}`)
      }
    }))

  it.live("leaves a usable node in memory", () =>
    Effect.gen(function*() {
      const disk = new MemoryStore.MemoryDisk([1, 2, 3])
      const images = new Map<string, MemoryStore.MemoryDisk>()
      yield* Effect.andThen(
        prepare,
        importing((name) => Effect.sync(() => images.set(name, disk.image())))
      ).pipe(Effect.provide(Layer.fresh(MemoryStore.layer(disk))))
      const finished = yield* found(Layer.fresh(MemoryStore.layer(images.get("finished") as MemoryStore.MemoryDisk)))
      assert.deepStrictEqual([finished.log, finished.applied, finished.keys], [
        after,
        point(6, 3),
        ["new 1", "new 2"]
      ])
      const written = yield* found(Layer.fresh(MemoryStore.layer(images.get("written") as MemoryStore.MemoryDisk)))
      assert.deepStrictEqual(written.keys, ["old"])
    }))
})

describe("a crash between one snapshot and the next", () => {
  it.live("leaves the state whole, and the one that was replaced whole or gone", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const path = join(folder, "node-1")
      const kept: Array<readonly [string, string]> = []
      const look = (name: string) =>
        Effect.gen(function*() {
          const state = yield* StateStore
          const replaced = yield* state.replaced
          const rows = replaced === undefined ? "gone" : `${replaced.point.index}: ${yield* replaced.countRows(100)}`
          const keys = (yield* state.scan(everything)).map(({ key }) => Buffer.from(key.subarray(1)).toString())
          kept.push([name, `${keys.join()} (${rows})`])
        })
      const step = (name: string) => crashImage(path, join(folder, name))
      yield* Effect.gen(function*() {
        const state = yield* StateStore
        yield* state.commit([{ _tag: "Put", ...row("old 1") }, { _tag: "Put", ...row("old 2") }], point(2, 1))
        yield* state.sync
        for (const [index, name] of [[10, "first"], [20, "second"]] as const) {
          yield* Effect.scoped(Effect.gen(function*() {
            const incoming = yield* state.import
            yield* step(`${name} begun`)
            yield* incoming.write([row(name)])
            yield* state.sync
            yield* step(`${name} written`)
            yield* incoming.finish(point(index, 2))
            yield* step(`${name} finished`)
          }))
        }
      }).pipe(Effect.provide(storage(path)))
      for (const name of ["first", "second"]) {
        for (const at of ["begun", "written", "finished"]) {
          const image = join(folder, `${name} ${at}`)
          for (const again of ["", " again"]) {
            yield* look(`${name} ${at}${again}`).pipe(Effect.provide(storage(image)))
          }
        }
      }
      assert.deepStrictEqual(kept.filter(([name]) => !name.startsWith("second begun")), [
        ["first begun", "old 1,old 2 (gone)"],
        ["first begun again", "old 1,old 2 (gone)"],
        ["first written", "old 1,old 2 (gone)"],
        ["first written again", "old 1,old 2 (gone)"],
        ["first finished", "first (2: 2)"],
        ["first finished again", "first (2: 2)"],
        ["second written", "first (gone)"],
        ["second written again", "first (gone)"],
        ["second finished", "second (10: 1)"],
        ["second finished again", "second (10: 1)"]
      ])
      // The removal need not be on the disk yet.
      for (const [, found] of kept.filter(([name]) => name.startsWith("second begun"))) {
        assert.include(["first (gone)", "first (2: 2)"], found)
      }
    }), 60_000)

  it.live("discards a state that was whole and not named yet, and keeps the one in use", () =>
    Effect.gen(function*() {
      const path = join(yield* temporaryFolder, "node-1")
      yield* Effect.gen(function*() {
        const state = yield* StateStore
        yield* state.commit([{ _tag: "Put", ...row("old") }], point(2, 1))
        yield* Effect.scoped(Effect.gen(function*() {
          const incoming = yield* state.import
          yield* incoming.write([row("new")])
          yield* incoming.finish(point(10, 2))
        }))
        yield* state.sync
        // The batch that ends an import, without the write that names its place.
        const database = yield* RocksDb
        const mark = encodeRecord({ index: 20, term: 2 })
        yield* database.write("state_a", [{ _tag: "Put", key: Uint8Array.of(0, 1), value: mark }], "durable")
      }).pipe(Effect.provide(storage(path)))
      yield* Effect.gen(function*() {
        assert.isUndefined(yield* (yield* StateStore).replaced)
      }).pipe(Effect.provide(storage(path)))
      assert.deepStrictEqual((yield* found(storage(path))).keys, ["new"])
    }))
})

describe("an empty directory", () => {
  it.live("is unknown until the node is a voter, and that is remembered", () =>
    Effect.gen(function*() {
      const path = join(yield* temporaryFolder, "node-1")
      const hardState = { term: Term(4), votedFor: NodeId(2), commit: LogIndex(0) }
      const write = (membership?: "learner") =>
        Effect.flatMap(
          LogStore,
          (log) => log.append([writeOf([], { hardState: { ...hardState, ...(membership && { membership }) } })])
        ).pipe(Effect.provide(storage(path)))
      assert.strictEqual((yield* found(storage(path))).membership, "unknown")
      yield* write("learner")
      assert.strictEqual((yield* found(storage(path))).membership, "learner")
      yield* write()
      assert.strictEqual((yield* found(storage(path))).membership, undefined)
    }))

  it.live("of a cluster of one is a voter's: there is nobody to have forgotten", () =>
    Effect.gen(function*() {
      const path = join(yield* temporaryFolder, "node-1")
      assert.strictEqual((yield* found(storage(path, [1]))).membership, undefined)
    }))
})

describe("the disk", () => {
  const megabyte = Buffer.alloc(1024 * 1024, 7)

  it.live.each(logFormats)("gets back what compaction removes from the log in %s", (format) =>
    Effect.gen(function*() {
      const path = join(yield* temporaryFolder, "node-1")
      yield* Effect.gen(function*() {
        const log = yield* LogStore
        for (let index = 1; index <= 40; index++) {
          yield* log.append([writeOf([sampleEntry(index, 1, "x".repeat(megabyte.byteLength))])])
        }
        assert.isAbove(bytesIn(path), 40 * megabyte.byteLength)
        yield* log.compact(point(38, 1))
        yield* untilAtMost(path, 8 * megabyte.byteLength)
        assert.lengthOf(yield* log.read(LogIndex(39), LogIndex(40), Number.MAX_SAFE_INTEGER), 2)
      }).pipe(Effect.provide(storage(path)), (node) => inFormat(format, node))
      assert.strictEqual((yield* found(storage(path))).log, "38@1..40")
    }).pipe(Effect.provideService(SegmentBytes, 4 * megabyte.byteLength)), 60_000)

  it.live(
    "gets back the state that a snapshot replaced when the next one begins, and no more than one is kept",
    () =>
      Effect.gen(function*() {
        const path = join(yield* temporaryFolder, "node-1")
        yield* Effect.gen(function*() {
          const state = yield* StateStore
          for (let i = 0; i < 40; i++) {
            yield* state.commit([{ _tag: "Put", ...row(`old ${i}`, megabyte) }], point(i + 1, 1))
          }
          yield* Effect.scoped(Effect.gen(function*() {
            const incoming = yield* state.import
            yield* incoming.write([row("new", megabyte)])
            yield* incoming.finish(point(50, 2))
          }))
          // RocksDB compresses nothing here: what is kept has its size.
          assert.isAbove(bytesIn(path), 40 * megabyte.byteLength)
          yield* Effect.scoped(Effect.gen(function*() {
            const incoming = yield* state.import
            yield* incoming.write([row("newer", megabyte)])
            yield* incoming.finish(point(60, 3))
          }))
          yield* untilAtMost(path, 8 * megabyte.byteLength)
          assert.lengthOf(yield* state.scan({ ...everything, keysOnly: true }), 1)
        }).pipe(Effect.provide(storage(path)))
      }),
    60_000
  )
})
