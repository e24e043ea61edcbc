import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { execFileSync } from "node:child_process"
import { cpSync, existsSync, readFileSync, rmSync, truncateSync } from "node:fs"
import { basename, join } from "node:path"
import { encodeEntry } from "../../src/protocol/EntryRecord.ts"
import { LogIndex, Term } from "../../src/raft/Types.ts"
import { logEnd, logKey, stateKeys } from "../../src/storage/Codec.ts"
import { LogStore } from "../../src/storage/LogStore.ts"
import { layer as memoryLayer, MemoryDisk } from "../../src/storage/memory/MemoryStore.ts"
import { families } from "../../src/storage/rocksdb/Operation.ts"
import { RocksDb } from "../../src/storage/rocksdb/RocksDb.ts"
import * as RocksStorage from "../../src/storage/rocksdb/RocksStorage.ts"
import { SegmentBytes } from "../../src/storage/segments/SegmentBytes.ts"
import { SegmentWriter } from "../../src/storage/segments/SegmentWriter.ts"
import { StateStore } from "../../src/storage/StateStore.ts"
import { WalSync } from "../../src/storage/rocksdb/WalSync.ts"
import { sampleEntries, sampleEntry, writeOf } from "../../src/testing/LogStoreSuite.ts"
import { put } from "../../src/testing/StateStoreSuite.ts"
import { crashImage } from "./CrashImage.ts"
import type { LogFormat } from "./LogFormats.ts"
import { endOfLog, inFormat, logFormats, segmentsIn, walsIn } from "./LogFormats.ts"
import { temporaryFolder } from "./TemporaryFolder.ts"

const storage = (path: string, writeBufferBytes?: number) =>
  Layer.fresh(
    RocksStorage.layer({
      path,
      clusterId: "orders",
      nodeId: 1,
      voters: [1, 2, 3],
      ...(writeBufferBytes === undefined ? {} : { writeBufferBytes })
    })
  )

const unsyncedEntry = encodeEntry(sampleEntry(2, 1, "unsynced"))

const point = (index: number, term = 1) => ({ index: LogIndex(index), term: Term(term) })

describe("a node that is killed", () => {
  it.live("has at most one unsynced batch of state commits to lose", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const path = join(folder, "node-1")
      const copy = join(folder, "killed")
      yield* Effect.gen(function*() {
        const state = yield* StateStore
        const { syncStats } = yield* RocksDb
        const before = syncStats().count
        for (let index = 1; index <= 10; index++) {
          yield* state.commit([put("n", String(index))], point(index))
          // An export has everything that was committed, so it is written by itself.
          yield* Effect.scoped(state.export)
        }
        assert.strictEqual(syncStats().count - before, 9)
        yield* crashImage(path, copy)
      }).pipe(Effect.provide(storage(path)))
      const wal = join(copy, walsIn(copy).at(-1) ?? "")
      truncateSync(wal, readFileSync(wal).byteLength - 1)
      yield* Effect.gen(function*() {
        assert.deepStrictEqual((yield* StateStore).recovered, point(9))
      }).pipe(Effect.provide(storage(copy)))
    }))
})

/** What holds however the entries of the log are kept. */
const promises = (format: LogFormat) => {
  it.live("finds every acknowledged entry again, across many files", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const path = join(folder, "node-1")
      const numbers = new Set<string>()
      const payload = "z".repeat(2_000)
      yield* Effect.gen(function*() {
        const log = yield* LogStore
        const state = yield* StateStore
        for (let index = 1; index <= 400; index++) {
          yield* log.append([writeOf([sampleEntry(index, 1, payload)])])
          yield* state.commit([put("last", String(index))], point(index))
          for (const name of format === "rows" ? walsIn(path) : segmentsIn(path)) numbers.add(name)
          if (index % 100 !== 0) continue
          const copy = join(folder, `killed-${index}`)
          yield* crashImage(path, copy)
          yield* Effect.gen(function*() {
            const { recovered } = yield* LogStore
            assert.strictEqual(recovered.lastIndex, index)
            assert.isAtMost((yield* StateStore).recovered.index, index)
          }).pipe(Effect.provide(storage(copy, 64 * 1024)))
        }
      }).pipe(Effect.provide(storage(path, 64 * 1024)), (node) => inFormat(format, node))
      assert.isAbove(numbers.size, 3)
    }).pipe(Effect.provideService(SegmentBytes, 64 * 1024)))

  it.live("in the middle of a reset finishes it at the next start", () =>
    Effect.gen(function*() {
      const path = join(yield* temporaryFolder, "node-1")
      yield* Effect.gen(function*() {
        const log = yield* LogStore
        const database = yield* RocksDb
        yield* log.append([writeOf(sampleEntries(1, 9, 1))])
        yield* log.reset(point(4, 3))
        // The old tail contradicts the snapshot; put back, it is what a crash between the two steps leaves.
        yield* log.append([writeOf(sampleEntries(5, 9, 3))])
        yield* database.write("raft_state", [
          { _tag: "Put", key: stateKeys.resetting, value: Uint8Array.of(1) }
        ], "durable")
      }).pipe(Effect.provide(storage(path)), (node) => inFormat(format, node))
      rmSync(join(path, "durable-floor"))
      yield* Effect.gen(function*() {
        const log = yield* LogStore
        assert.deepStrictEqual(log.recovered.compacted, point(4, 3))
        assert.strictEqual(log.recovered.lastIndex, 4)
        yield* log.append([writeOf(sampleEntries(5, 5, 3))])
      }).pipe(Effect.provide(storage(path)))
      yield* LogStore.use((log) => Effect.sync(() => assert.strictEqual(log.recovered.lastIndex, 5))).pipe(
        Effect.provide(storage(path))
      )
    }))

  it.live("counts a torn write as lost, wherever it is torn", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const path = join(folder, "node-1")
      const whole = join(folder, "killed")
      let before = 0
      yield* Effect.gen(function*() {
        const log = yield* LogStore
        yield* log.append([writeOf([sampleEntry(1, 1)])])
        before = endOfLog(path, format).size
        yield* log.append([writeOf([sampleEntry(2, 1, "two"), sampleEntry(3, 1, "three")])])
        yield* crashImage(path, whole)
      }).pipe(Effect.provide(storage(path)), (node) => inFormat(format, node))
      const { file, size: after } = endOfLog(whole, format)
      assert.isAbove(after, before)
      // Rows of one write stay or go together; of a segment every entry that is whole stays.
      const kept = new Set<number>()
      for (
        let length = before;
        length <= after;
        length += length === after - 1 ? 1 : Math.min(9, Math.max(1, after - 1 - length))
      ) {
        const torn = join(folder, `torn-${length}`)
        cpSync(whole, torn, { recursive: true })
        truncateSync(join(torn, basename(file)), length)
        yield* Effect.gen(function*() {
          const { lastIndex } = (yield* LogStore).recovered
          if (length === after) assert.strictEqual(lastIndex, 3)
          else assert.include(format === "rows" ? [1] : [1, 2], lastIndex, `torn at ${length}`)
          kept.add(lastIndex)
        }).pipe(Effect.provide(storage(torn)))
      }
      assert.deepStrictEqual([...kept], format === "rows" ? [1, 3] : [1, 2, 3])
    }), 60_000)

  it.live("that cannot sync writes nothing any more", () =>
    Effect.gen(function*() {
      const path = join(yield* temporaryFolder, "node-1")
      yield* Effect.gen(function*() {
        const log = yield* LogStore
        const state = yield* StateStore
        yield* log.append([writeOf(sampleEntries(1, 1, 1))])
        const { prototype } = format === "rows" ? WalSync : SegmentWriter
        const healthy = prototype.sync
        prototype.sync = () => Promise.reject(new Error("EIO: the disk is gone"))
        const error = yield* Effect.flip(log.append([writeOf(sampleEntries(2, 2, 1))])).pipe(
          Effect.ensuring(Effect.sync(() => {
            prototype.sync = healthy
          }))
        )
        assert.strictEqual(error._tag, "StorageIoError")
        assert.include(error.message, "EIO: the disk is gone")
        assert.include(error.message, path)
        // The disk says it is well again; the node must not believe it.
        const { file, size } = endOfLog(path, format)
        assert.include((yield* Effect.flip(log.append([writeOf(sampleEntries(3, 3, 1))]))).message, "EIO")
        assert.include((yield* Effect.flip(state.commit([], point(1)))).message, "EIO")
        assert.include((yield* Effect.flip(state.sync)).message, "EIO")
        assert.deepStrictEqual(endOfLog(path, format), { file, size })
      }).pipe(Effect.provide(storage(path)), (node) => inFormat(format, node))
      yield* LogStore.use((log) => Effect.sync(() => assert.isAtMost(log.recovered.lastIndex, 2))).pipe(
        Effect.provide(storage(path))
      )
    }))

  it.live("finishes a write that was interrupted, and the next one waits for its turn", () =>
    Effect.gen(function*() {
      const path = join(yield* temporaryFolder, "node-1")
      yield* Effect.gen(function*() {
        const log = yield* LogStore
        const fiber = yield* Effect.forkChild(log.append([writeOf(sampleEntries(1, 1_500, 1))]), {
          startImmediately: true
        })
        yield* Fiber.interrupt(fiber)
        yield* log.append([writeOf(sampleEntries(1_501, 1_501, 1))])
      }).pipe(Effect.provide(storage(path)), (node) => inFormat(format, node))
      yield* LogStore.use((log) => Effect.sync(() => assert.strictEqual(log.recovered.lastIndex, 1_501))).pipe(
        Effect.provide(storage(path))
      )
    }))
}

describe("a node with its log in rows that is killed", () => {
  it.live("never keeps a later part of a large append without the earlier one", () =>
    Effect.gen(function*() {
      const path = join(yield* temporaryFolder, "node-1")
      yield* Effect.gen(function*() {
        const log = yield* LogStore
        const { syncStats } = yield* RocksDb
        const syncsOf = Effect.fnUntraced(function*(write: ReturnType<typeof writeOf>) {
          const before = syncStats().count
          yield* log.append([write])
          return syncStats().count - before
        })
        const hardState = { term: Term(1), votedFor: undefined, commit: LogIndex(0) }
        // Hard state and entries need one sync between them; each further batch of entries waits for the one before.
        assert.strictEqual(yield* syncsOf(writeOf(sampleEntries(1, 900, 1), { hardState })), 1)
        assert.strictEqual(yield* syncsOf(writeOf(sampleEntries(901, 3_400, 1), { hardState })), 3)
      }).pipe(Effect.provide(storage(path)), (node) => inFormat("rows", node))
    }))

  it.live("in the middle of a compaction of rows finishes it at the next start", () =>
    Effect.gen(function*() {
      const path = join(yield* temporaryFolder, "node-1")
      yield* Effect.gen(function*() {
        const log = yield* LogStore
        const database = yield* RocksDb
        yield* log.append([writeOf(sampleEntries(1, 9, 1))])
        const before: Array<{ readonly key: Uint8Array; readonly value: Uint8Array }> = []
        yield* database.scan("raft_log", { gte: logKey(LogIndex(1)), lt: logEnd, limit: 6 }, (row) => {
          before.push(row)
          return true
        })
        yield* log.compact(point(6))
        yield* database.write("raft_log", before.map(({ key, value }) => ({ _tag: "Put", key, value })), "durable")
      }).pipe(Effect.provide(storage(path)), (node) => inFormat("rows", node))
      yield* Effect.gen(function*() {
        const log = yield* LogStore
        const database = yield* RocksDb
        assert.deepStrictEqual(log.recovered.compacted, point(6))
        assert.strictEqual(log.recovered.lastIndex, 9)
        assert.isUndefined(yield* database.get("raft_log", logKey(LogIndex(6))))
        assert.isDefined(yield* database.get("raft_log", logKey(LogIndex(7))))
      }).pipe(Effect.provide(storage(path)))
    }))

  it.live("makes durable what it recovered: the write-ahead log that held it is not needed any more", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const path = join(folder, "node-1")
      const left = join(folder, "left-by-the-first")
      const second = join(folder, "left-by-the-second")
      yield* Effect.gen(function*() {
        const log = yield* LogStore
        const database = yield* RocksDb
        yield* log.append([writeOf([sampleEntry(1, 1)])])
        // Nobody syncs this: only the system's memory has it when the process is gone.
        yield* database.write("raft_log", [{ _tag: "Put", key: logKey(LogIndex(2)), value: unsyncedEntry }], "lazy")
        yield* crashImage(path, left)
      }).pipe(Effect.provide(storage(path)), (node) => inFormat("rows", node))
      yield* Effect.gen(function*() {
        assert.strictEqual((yield* LogStore).recovered.lastIndex, 2)
        yield* crashImage(left, second)
      }).pipe(Effect.provide(storage(left)))
      // What recovery wrote into tables was synced; what was written since then is all that a loss of power could take.
      for (const name of walsIn(second)) truncateSync(join(second, name), 0)
      yield* Effect.gen(function*() {
        assert.strictEqual((yield* LogStore).recovered.lastIndex, 2)
      }).pipe(Effect.provide(storage(second)))
    }))
})

describe("a node with its log in segments that is killed", () => {
  it.live("in the middle of a compaction of segments finishes it at the next start", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const path = join(folder, "node-1")
      const before = join(folder, "before")
      let left: ReadonlyArray<string> = []
      yield* Effect.gen(function*() {
        const log = yield* LogStore
        yield* log.append([writeOf(sampleEntries(1, 9, 1))])
        yield* crashImage(path, before)
        yield* log.compact(point(6))
        left = segmentsIn(path)
      }).pipe(Effect.provide(storage(path)))
      const removed = segmentsIn(before).filter((name) => !left.includes(name))
      assert.lengthOf(removed, 6)
      // What a crash between the removals leaves, and a power loss behind them.
      for (const name of removed.slice(2)) cpSync(join(before, name), join(path, name))
      yield* Effect.gen(function*() {
        const log = yield* LogStore
        assert.deepStrictEqual(log.recovered.compacted, point(6))
        assert.strictEqual(log.recovered.lastIndex, 9)
        assert.deepStrictEqual(segmentsIn(path).filter((name) => removed.includes(name)), [])
        assert.lengthOf(yield* log.read(LogIndex(7), LogIndex(9), 1e9), 3)
      }).pipe(Effect.provide(storage(path)))
    }).pipe(Effect.provideService(SegmentBytes, 64)))
})

describe.each(logFormats)("a node with its log in %s", promises)

describe("a failed sync", () => {
  it.live("on the memory disk is typed as well, and a power loss keeps what was synced", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk([1])
      yield* Effect.gen(function*() {
        const log = yield* LogStore
        const state = yield* StateStore
        yield* state.commit([], point(1))
        yield* log.append([writeOf(sampleEntries(1, 3, 1))])
        yield* state.commit([], point(2))
        disk.failWrites = "no space left"
        assert.include((yield* Effect.flip(log.append([writeOf(sampleEntries(4, 4, 1))]))).message, "no space left")
      }).pipe(Effect.provide(Layer.fresh(memoryLayer(disk))))
      disk.failWrites = undefined
      disk.loseUnsynced()
      yield* Effect.gen(function*() {
        assert.strictEqual((yield* LogStore).recovered.lastIndex, 3)
        assert.deepStrictEqual((yield* StateStore).recovered, point(1))
      }).pipe(Effect.provide(Layer.fresh(memoryLayer(disk))))
    }))
})

const ldb = ["/usr/bin/ldb", "/usr/local/bin/ldb"].find((path) => existsSync(path))

describe("RocksDB's own tool", () => {
  it.live.skipIf(ldb === undefined)(
    "finds the four families (needs ldb, in Debian's rocksdb-tools)",
    () =>
      Effect.gen(function*() {
        const path = join(yield* temporaryFolder, "node-1")
        yield* LogStore.use((log) => log.append([writeOf(sampleEntries(1, 3, 1))])).pipe(Effect.provide(storage(path)))
        const output = execFileSync(ldb ?? "", ["list_column_families", `--db=${path}`], { encoding: "utf8" })
        for (const family of families) assert.include(output, family)
      })
  )
})
