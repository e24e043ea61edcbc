/**
 * A node on a real directory that loses it, or whose storage fails where no caller waits: it stops, and says why. Nothing
 * is written or asked here after the failure, so that no later call can be what notices it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Layer, Stream, SubscriptionRef } from "effect"
import { TestClock } from "effect/testing"
import { copyFileSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import RocksDB from "rocksdb-native"
import * as Config from "../../src/config/index.ts"
import { encodeCommand } from "../../src/kv/model/Command.ts"
import * as KvStateMachine from "../../src/kv/KvStateMachine.ts"
import * as OwnIdentity from "../../src/machine/OwnIdentity.ts"
import { RaftNode } from "../../src/node/RaftNode.ts"
import { NodeId } from "../../src/raft/Types.ts"
import { FloorFile } from "../../src/storage/DurableFloor.ts"
import { CheckIntervalMs } from "../../src/storage/rocksdb/DirectoryCheck.ts"
import { RocksDb } from "../../src/storage/rocksdb/RocksDb.ts"
import * as RocksStorage from "../../src/storage/rocksdb/RocksStorage.ts"
import { SegmentBytes } from "../../src/storage/segments/SegmentBytes.ts"
import { StateStore } from "../../src/storage/StateStore.ts"
import { failureIn, lostFrom, StorageIoError } from "../../src/storage/StorageError.ts"
import { RaftTimer } from "../../src/timer/RaftTimer.ts"
import * as MemoryTransport from "../../src/transport/memory/MemoryTransport.ts"
import { eventually } from "../Eventually.ts"
import { removeLive } from "../LiveDirectory.ts"
import { copyCrashImage } from "./CrashImage.ts"
import { inFormat, logFormats, segmentInUse, segmentsIn } from "./LogFormats.ts"
import { temporaryFolder } from "./TemporaryFolder.ts"

const clusterId = "failures"

/** Time between two looks at the directory. With the usual second these tests were the longest of their project. */
const checkMs = 20

/** What removes a table waits for more checks than the ten of which one looks at tables. */
const tableCheckMs = 1_000

/** A node of one in `path`, and the database under it, which may have a clock of its own. */
const start = Effect.fnUntraced(function*(path: string, storageClock: Layer.Layer<never> = Layer.empty) {
  const config = yield* Config.make({ nodeId: 1, clusterId, nodes: Config.localNodes.slice(0, 1), dataDir: path })
  const ports = Layer.mergeAll(
    Layer.provide(
      RocksStorage.layer({ path, clusterId, nodeId: 1, voters: [1], writeBufferBytes: 64 * 1024 }),
      storageClock
    ),
    MemoryTransport.layer(new MemoryTransport.MemoryNetwork(), NodeId(1), []),
    RaftTimer.layer({ tickMs: Config.tickMs(config) })
  )
  const layer = RaftNode.layer(config).pipe(
    Layer.provide(Layer.provideMerge(OwnIdentity.layer, KvStateMachine.layer)),
    Layer.provideMerge(ports)
  )
  const services = yield* Effect.provideService(Layer.build(Layer.fresh(layer)), CheckIntervalMs, checkMs)
  const node = Context.get(services, RaftNode)
  const put = (key: string, bytes = 1) =>
    Effect.map(
      node.propose([
        encodeCommand({ _tag: "Put", key: new TextEncoder().encode(key), value: new Uint8Array(bytes), lease: 0 })
      ]),
      ([answer]) => answer
    )
  const acknowledged = (key: string, bytes = 1): Effect.Effect<void> =>
    Effect.map(put(key, bytes), (answer) => assert.instanceOf(answer, Uint8Array))
  yield* SubscriptionRef.changes(node.role).pipe(
    Stream.filter(({ role }) => role === "leader"),
    Stream.take(1),
    Stream.runDrain
  )
  return {
    node,
    put,
    acknowledged,
    database: Context.get(services, RocksDb),
    state: Context.get(services, StateStore),
    reason: reasonOf(node)
  }
})

const reasonOf = (node: RaftNode["Service"]) => Effect.map(Effect.flip(node.fatal), ({ reason }) => reason)

const named = (path: string, pattern: RegExp) => readdirSync(path).filter((name) => pattern.test(name)).sort()

/** Waits until RocksDB has done its work: it replaces a table that goes while it is being written or merged. */
const atRest = (path: string, before = ""): Effect.Effect<void> =>
  Effect.suspend(() => {
    const now = named(path, /\.(log|sst|blob)$/).join()
    return now === before ? Effect.void : Effect.andThen(Effect.sleep(200), atRest(path, now))
  })

/** From here on the disk refuses each batch with rows of the state machine; the log's keys begin with a zero byte. */
const refuseStateBatches = Effect.acquireRelease(
  Effect.sync(() => {
    const { write } = RocksDB.prototype
    RocksDB.prototype.write = function(options) {
      const batch = write.call(this, options)
      const tryPut = batch.tryPut.bind(batch)
      const flush = batch.flush.bind(batch)
      let ofState = false
      batch.tryPut = (key, value) => {
        if (typeof key !== "string" && key[0] !== 0) ofState = true
        tryPut(key, value)
      }
      batch.flush = () => ofState ? Promise.reject(new Error("input/output error")) : flush()
      return batch
    }
    return write
  }),
  (write) => Effect.sync(() => RocksDB.prototype.write = write)
)

describe("a directory under a running node", () => {
  // The node makes the next segment while nothing is written. On a busy machine that misses the directory first.
  it("that is moved: whichever operation misses it first says that all of it is gone", () => {
    const gone = join(tmpdir(), "flaredb-is-not-here")
    const missing = Object.assign(new Error("ENOENT: no such file"), { code: "ENOENT" })
    for (const error of [failureIn("make a segment", gone, missing), lostFrom(gone, "flaredb-log-1")]) {
      assert.match(error.message, /the directory itself is not there/)
    }
    assert.match(lostFrom(tmpdir(), "flaredb-log-1").message, /: flaredb-log-1 is not there/)
  })

  it.live.each(logFormats)(
    "that is removed: the next write is not acknowledged, and the node stops, in %s",
    (format) =>
      Effect.gen(function*() {
        const path = join(yield* temporaryFolder, "node-1")
        const { acknowledged, put, reason } = yield* inFormat(format, start(path))
        yield* acknowledged("a")
        removeLive(path)
        const answer = yield* put("b")
        assert.isFalse(answer instanceof Uint8Array)
        assert.match(yield* reason, /node-1 was removed, moved or replaced while the node runs.*lost-node\.md/)
      })
  )

  const segmentLosses: ReadonlyArray<readonly [what: string, how: (file: string) => void]> = [
    ["loses the segment in use", (file) => rmSync(file)],
    ["gets a copy in the place of the segment in use", (file) => {
      renameSync(file, `${file}.away`)
      copyFileSync(`${file}.away`, file)
    }]
  ]
  it.live.each(segmentLosses)(
    "that %s: the next write is not acknowledged, and the node stops",
    ([, lose]) =>
      Effect.gen(function*() {
        const path = join(yield* temporaryFolder, "node-1")
        const { acknowledged, put, reason } = yield* start(path)
        yield* acknowledged("a")
        const name = segmentInUse(path) ?? ""
        lose(join(path, name))
        const answer = yield* put("b")
        assert.isFalse(answer instanceof Uint8Array)
        assert.include(yield* reason, name)
      })
  )

  it.live("that loses the file of the next segment: what would go there is not acknowledged, and the node stops", () =>
    Effect.gen(function*() {
      const path = join(yield* temporaryFolder, "node-1")
      const { acknowledged, put, reason } = yield* Effect.provideService(start(path), SegmentBytes, 2_048)
      yield* acknowledged("a")
      yield* eventually("a segment is made before it is needed", () => segmentsIn(path).at(-1) !== segmentInUse(path))
      const name = segmentsIn(path).at(-1) ?? ""
      rmSync(join(path, name))
      const answer = yield* put("b", 4_000)
      assert.isFalse(answer instanceof Uint8Array)
      assert.include(yield* reason, name)
    }))

  it.live("that loses an older segment: the node stops, though nothing is written", () =>
    Effect.gen(function*() {
      const path = join(yield* temporaryFolder, "node-1")
      const { acknowledged, reason } = yield* Effect.provideService(start(path), SegmentBytes, 2_048)
      while (segmentsIn(path).length < 4) yield* acknowledged("a", 1_000)
      const [oldest = ""] = segmentsIn(path)
      rmSync(join(path, oldest))
      assert.include(yield* reason, `${oldest} is not there any more`)
    }))

  const losses: ReadonlyArray<readonly [what: string, how: (path: string) => void, missing: RegExp]> = [
    ["is removed", (path) => removeLive(path), /removed, moved or replaced/],
    ["is moved", (path) => renameSync(path, `${path}.away`), /the directory itself is not there/],
    ["is replaced by a copy", (path) => {
      renameSync(path, `${path}.away`)
      copyCrashImage(`${path}.away`, path)
      // What is looked at first is missing until it is copied, or another file then.
    }, /removed, moved or replaced/],
    ["is emptied", (path) => {
      for (const name of readdirSync(path)) rmSync(join(path, name), { force: true })
    }, /removed, moved or replaced/],
    ["loses the write-ahead log in use", (path) => {
      for (const name of named(path, /\.log$/)) rmSync(join(path, name))
    }, /\d+\.log/],
    [
      "loses the segment in use",
      (path) => rmSync(join(path, segmentInUse(path) ?? "")),
      /flaredb-log-\d+ is not there/
    ],
    ["loses its CURRENT", (path) => rmSync(join(path, "CURRENT")), /CURRENT/],
    ["loses its manifest", (path) => {
      for (const name of named(path, /^MANIFEST-/)) rmSync(join(path, name))
    }, /MANIFEST-\d+ is not there/],
    ["loses its LOCK", (path) => rmSync(join(path, "LOCK")), /LOCK was removed or replaced/],
    ["gets another LOCK", (path) => {
      writeFileSync(join(path, "LOCK.new"), "")
      renameSync(join(path, "LOCK.new"), join(path, "LOCK"))
    }, /LOCK was removed or replaced/]
  ]
  it.live.each(losses)(
    "that %s: the node stops, though nothing is written",
    ([, lose, missing]) =>
      Effect.gen(function*() {
        const path = join(yield* temporaryFolder, "node-1")
        const { acknowledged, reason } = yield* start(path)
        yield* acknowledged("a")
        lose(path)
        assert.match(yield* reason, missing)
      })
  )

  it.live("that loses a table, a blob file or an older write-ahead log: the node stops, though nothing is written", () =>
    Effect.gen(function*() {
      for (const pattern of [/\.sst$/, /\.blob$/, /\.log$/]) {
        const path = join(yield* temporaryFolder, "node-1")
        const { acknowledged, reason } = yield* inFormat("rows", start(path))
        // With entries in rows: a log whose rows in one family are in no table yet stays, while the buffers of others are written.
        while (named(path, /\.log$/).length < 2 || named(path, pattern).length < 1) yield* acknowledged("a", 10_000)
        yield* atRest(path)
        // One that RocksDB was about to replace by itself is not missed: then the next one is.
        const removed: Array<string> = []
        const removeOldest = Effect.suspend(() => {
          const oldest = named(path, pattern).find((name) => !removed.includes(name))
          if (oldest !== undefined) removed.push(oldest)
          if (oldest !== undefined) rmSync(join(path, oldest), { force: true })
          return Effect.sleep(tableCheckMs)
        })
        const why = yield* Effect.raceFirst(reason, Effect.forever(removeOldest))
        assert.isTrue(removed.some((name) => why.includes(name)), `${why}; removed: ${removed.join()}`)
      }
    }).pipe(Effect.scoped))

  it.live("in which RocksDB itself removes files all the time is not taken for lost", () =>
    Effect.gen(function*() {
      const path = join(yield* temporaryFolder, "node-1")
      const { acknowledged, database, node, state } = yield* start(path)
      const logs = new Set<string>()
      while (logs.size < 40) {
        yield* acknowledged("a", 20_000)
        // Otherwise its rows stay in memory for a while, and hundreds of puts write one of them.
        yield* state.sync
        for (const name of named(path, /\.log$/)) logs.add(name)
        database.reclaimUnsafe("state_b", Uint8Array.of(1), Uint8Array.of(2))
      }
      assert.isUndefined(database.failure.error)
      assert.strictEqual((yield* node.status).role, "leader")
    }))
})

describe("a failure that no caller waits for", () => {
  it.live("the durable floor cannot be written, once: the node stops", () =>
    Effect.gen(function*() {
      const path = join(yield* temporaryFolder, "node-1")
      const file = yield* FloorFile
      let fails = false
      const failing: FloorFile = {
        read: file.read,
        replace: (directory, bytes) =>
          Effect.suspend(() => {
            if (!fails) return file.replace(directory, bytes)
            fails = false
            const cause = new Error("no space left on device")
            return Effect.fail(new StorageIoError({ operation: "write the durable floor", path: directory, cause }))
          })
      }
      const { put, reason } = yield* start(path).pipe(Effect.provideService(FloorFile, failing))
      fails = true
      // The floor follows within a second, and may do so before this is carried out.
      yield* Effect.exit(put("a"))
      assert.match(yield* reason, /write the durable floor failed .*no space left on device/)
    }))

  it.live("the disk refuses a batch of the state that memory took: the failure is final, though nobody reads", () =>
    Effect.gen(function*() {
      const path = join(yield* temporaryFolder, "node-1")
      const layer = RocksStorage.layer({ path, clusterId, nodeId: 1, voters: [1] })
      const database = Context.get(yield* Layer.build(Layer.fresh(layer)), RocksDb)
      yield* refuseStateBatches
      yield* database.commit("state_a", [{ _tag: "Put", key: Uint8Array.of(1), value: Uint8Array.of(1) }])
      const error = yield* Effect.flip(database.failure.failed)
      assert.match(error.message, /write failed .*input\/output error/)
    }))

  it.live("the disk refuses a batch of the state that memory took: the node stops at once", () =>
    Effect.gen(function*() {
      const path = join(yield* temporaryFolder, "node-1")
      const { put, reason, state } = yield* start(path)
      // Rows of the commits so far are not to be what fails.
      yield* state.sync
      yield* refuseStateBatches
      // Its rows are written a while after it was acknowledged, or before on a machine that is busy.
      yield* Effect.exit(put("a"))
      assert.match(yield* reason, /^the (log|state) store: write failed .*input\/output error/)
    }))
})

describe("background work of RocksDB", () => {
  it.live("that fails is the failure of the database, though nothing is written any more, with RocksDB's reason", () =>
    Effect.gen(function*() {
      const path = join(yield* temporaryFolder, "node-1")
      const layer = RocksStorage.layer({ path, clusterId, nodeId: 1, voters: [1], writeBufferBytes: 64 * 1024 })
      const services = yield* Effect.provideService(Layer.build(Layer.fresh(layer)), CheckIntervalMs, checkMs)
      const { failure, write } = Context.get(services, RocksDb)
      // Whichever file it makes next, a folder has its name.
      const newest = Math.max(...named(path, /^\d+\./).map((name) => Number.parseInt(name)))
      for (let number = newest + 1; number <= newest + 100; number++) {
        for (const kind of ["blob", "sst"]) mkdirSync(join(path, `${String(number).padStart(6, "0")}.${kind}`))
      }
      // The second one finds the memory full, and leaves the first to the background.
      yield* write("state_b", [{ _tag: "Put", key: Uint8Array.of(1), value: new Uint8Array(80_000) }], "lazy")
      const second = write("state_b", [{ _tag: "Put", key: Uint8Array.of(2), value: new Uint8Array(1) }], "lazy")
      yield* Effect.exit(second)
      assert.match(
        (yield* Effect.flip(failure.failed)).message,
        /check failed .*: a flush failed: IO error.*directory/i
      )
    }))
})

describe("an orderly stop", () => {
  it.live("whose last durable floor cannot be written fails", () =>
    Effect.gen(function*() {
      const path = join(yield* temporaryFolder, "node-1")
      const file = yield* FloorFile
      const first = yield* Deferred.make<void>()
      let fails = false
      const failing: FloorFile = {
        read: file.read,
        replace: (directory, bytes) =>
          Effect.suspend(() => {
            if (!fails) return Effect.tap(file.replace(directory, bytes), () => Deferred.succeed(first, undefined))
            const cause = new Error("no space left on device")
            return Effect.fail(new StorageIoError({ operation: "write the durable floor", path: directory, cause }))
          })
      }
      const exit = yield* Effect.gen(function*() {
        // The floor is written at the start and at the end: in between, this clock stands still.
        const { acknowledged } = yield* start(path, TestClock.layer())
        yield* Deferred.await(first)
        fails = true
        yield* acknowledged("a")
      }).pipe(Effect.scoped, Effect.provideService(FloorFile, failing), Effect.exit)
      assert.strictEqual(exit._tag, "Failure")
      assert.include(String(exit), "no space left on device")
    }))
})
