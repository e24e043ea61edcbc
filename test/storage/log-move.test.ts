/** A log that goes from rows into segments: everything is there afterwards, whenever the move was killed. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { cpSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { LogIndex, NodeId, Term } from "../../src/raft/Types.ts"
import { logKey, stateKeys } from "../../src/storage/Codec.ts"
import { markerOf, NewFormat } from "../../src/storage/DirectoryMarker.ts"
import { inspect } from "../../src/storage/Inspect.ts"
import { moveLog } from "../../src/storage/LogMove.ts"
import { LogStore } from "../../src/storage/LogStore.ts"
import { RocksDb } from "../../src/storage/rocksdb/RocksDb.ts"
import * as RocksStorage from "../../src/storage/rocksdb/RocksStorage.ts"
import { SegmentBytes } from "../../src/storage/segments/SegmentBytes.ts"
import { segmentFile, sequenceOf } from "../../src/storage/segments/SegmentFormat.ts"
import { StateStore } from "../../src/storage/StateStore.ts"
import { sampleEntries, writeOf } from "../../src/testing/LogStoreSuite.ts"
import { put } from "../../src/testing/StateStoreSuite.ts"
import { temporaryFolder } from "./TemporaryFolder.ts"

const start = <A, E, R>(path: string, use: Effect.Effect<A, E, R>) =>
  Effect.provide(use, Layer.fresh(RocksStorage.layer({ path, clusterId: "orders", nodeId: 1, voters: [1, 2, 3] })))

const hardState = { term: Term(4), votedFor: NodeId(3), commit: LogIndex(40) }

/** A directory of format 4 with a log that begins behind 20, has two terms, and ends at 60. */
const rows = Effect.gen(function*() {
  const path = join(yield* temporaryFolder, "node-1")
  yield* start(
    path,
    Effect.gen(function*() {
      const log = yield* LogStore
      yield* log.append([writeOf(sampleEntries(1, 50, 2))])
      yield* log.append([{ ...writeOf(sampleEntries(41, 60, 4), { hardState }), truncateFrom: LogIndex(41) }])
      yield* StateStore.use((state) => state.commit([put("a", "1")], { index: LogIndex(30), term: Term(2) }))
      yield* log.compact({ index: LogIndex(20), term: Term(2) })
    })
  ).pipe(Effect.provideService(NewFormat, 4))
  return path
})

const everything = (path: string) =>
  start(
    path,
    Effect.gen(function*() {
      const { read, recovered } = yield* LogStore
      const entries = yield* read(LogIndex(21), recovered.lastIndex, 1e9)
      const { recovered: applied } = yield* StateStore
      const plain = entries.map(({ index, payload, term }) => `${index} ${term} ${Buffer.from(payload).toString()}`)
      // Of rows that an earlier run vouches for it is an estimate.
      const { bytes: _, ...found } = recovered
      return { found, plain, applied }
    })
  )

const segmentsIn = (path: string) => readdirSync(path).filter((name) => sequenceOf(name) !== undefined)

const formatOf = (path: string) =>
  Effect.map(markerOf(path), ({ formatVersion }) => formatVersion).pipe(
    Effect.provide(Layer.fresh(RocksDb.layer({ path, create: false, readOnly: true })))
  )

const rowsLeft = (path: string) =>
  RocksDb.use((database) => database.get("raft_log", logKey(LogIndex(60)))).pipe(
    Effect.provide(Layer.fresh(RocksDb.layer({ path, create: false, readOnly: true })))
  )

describe("a move of the log into segments", () => {
  for (const [size, segmentBytes] of [["one segment", 1 << 24], ["many segments", 300]] as const) {
    it.live(`keeps everything, in ${size}`, () =>
      Effect.gen(function*() {
        const path = yield* rows
        const before = yield* everything(path)
        assert.lengthOf(before.plain, 40)
        assert.deepStrictEqual(yield* moveLog(path), { entries: 40, before: false })
        assert.strictEqual(yield* formatOf(path), 6)
        assert.isUndefined(yield* rowsLeft(path))
        assert.deepStrictEqual(yield* inspect(path, ({ log }) => Effect.succeed(log.lastIndex)), LogIndex(60))
        assert.deepStrictEqual(yield* everything(path), before)
        assert.deepStrictEqual(yield* moveLog(path), { entries: 0, before: true })
        yield* start(path, LogStore.use((log) => log.append([writeOf(sampleEntries(61, 61, 4))])))
        assert.strictEqual((yield* everything(path)).found.lastIndex, 61)
      }).pipe(Effect.provideService(SegmentBytes, segmentBytes)))
  }

  it.live("that was killed before it was done leaves the rows to a start, and is done by the next one", () =>
    Effect.gen(function*() {
      const path = yield* rows
      const before = yield* everything(path)
      writeFileSync(join(path, segmentFile(1)), "half a header")
      writeFileSync(join(path, segmentFile(7)), Buffer.alloc(4_096))
      assert.deepStrictEqual(yield* everything(path), before)
      // What it had written may fill the disk.
      assert.deepStrictEqual(segmentsIn(path), [])
      writeFileSync(join(path, segmentFile(1)), "half a header")
      writeFileSync(join(path, segmentFile(7)), Buffer.alloc(4_096))
      assert.deepStrictEqual(yield* moveLog(path), { entries: 40, before: false })
      assert.deepStrictEqual(yield* everything(path), before)
      assert.notInclude(segmentsIn(path), segmentFile(7))
    }))

  it.live("has its segments left alone by a start whose rows are not the whole log", () =>
    Effect.gen(function*() {
      const path = yield* rows
      writeFileSync(join(path, segmentFile(1)), "all that is left")
      yield* RocksDb.use((database) =>
        database.write("raft_log", [{ _tag: "Delete", key: logKey(LogIndex(60)) }], "durable")
      ).pipe(Effect.provide(Layer.fresh(RocksDb.layer({ path, create: false }))))
      assert.strictEqual((yield* Effect.flip(everything(path)))._tag, "StorageCorruption")
      assert.deepStrictEqual(segmentsIn(path), [segmentFile(1)])
    }))

  it.live("that was killed before the rows were gone has them removed by the next one", () =>
    Effect.gen(function*() {
      const path = yield* rows
      const copy = `${path}-copy`
      cpSync(path, copy, { recursive: true })
      const before = yield* everything(path)
      yield* moveLog(path)
      // The marker of the moved directory in the one with rows, beside the segments: what a kill between the two leaves.
      const marker = yield* RocksDb.use((database) => database.get("raft_state", stateKeys.marker)).pipe(
        Effect.provide(Layer.fresh(RocksDb.layer({ path, create: false, readOnly: true })))
      )
      for (const name of segmentsIn(path)) cpSync(join(path, name), join(copy, name))
      yield* RocksDb.use((database) =>
        database.write("raft_state", [
          { _tag: "Put", key: stateKeys.marker, value: marker ?? new Uint8Array() }
        ], "durable")
      ).pipe(Effect.provide(Layer.fresh(RocksDb.layer({ path: copy, create: false }))))
      assert.deepStrictEqual(yield* everything(copy), before)
      assert.isDefined(yield* rowsLeft(copy))
      assert.deepStrictEqual(yield* moveLog(copy), { entries: 0, before: true })
      assert.isUndefined(yield* rowsLeft(copy))
      assert.deepStrictEqual(yield* everything(copy), before)
    }))

  it.live("that fails gives back what it took of the disk, and leaves the rows", () =>
    Effect.gen(function*() {
      const path = yield* rows
      const before = yield* everything(path)
      // A length that no file can have: the segment is made, and there is no going on with it.
      const failed = yield* Effect.flip(moveLog(path)).pipe(Effect.provideService(SegmentBytes, Number.NaN))
      assert.strictEqual(failed._tag, "StorageIoError")
      assert.deepStrictEqual(segmentsIn(path), [])
      assert.strictEqual(yield* formatOf(path), 4)
      assert.deepStrictEqual(yield* everything(path), before)
      assert.deepStrictEqual(yield* moveLog(path), { entries: 40, before: false })
      assert.deepStrictEqual(yield* everything(path), before)
    }))

  it.live("is refused while a node uses the directory, which goes on", () =>
    Effect.gen(function*() {
      const path = yield* rows
      yield* start(
        path,
        Effect.gen(function*() {
          const log = yield* LogStore
          assert.deepInclude(yield* Effect.flip(moveLog(path)), { _tag: "DataDirRefused", reason: "locked" })
          yield* log.append([writeOf(sampleEntries(61, 61, 4))])
        })
      )
      assert.deepStrictEqual(segmentsIn(path), [])
      assert.strictEqual(yield* formatOf(path), 4)
      assert.strictEqual((yield* everything(path)).found.lastIndex, 61)
    }))
})
