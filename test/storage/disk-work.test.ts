/** What is under way when the storage of a node fails: its callers are let go, and what it uses stays open for it. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import RocksDB from "rocksdb-native"
import { afterEach, vi } from "vitest"
import { hasBlockedThread } from "../../src/BlockedThreads.ts"
import { DiskWork } from "../../src/storage/DiskWork.ts"
import { FirstFailure } from "../../src/storage/FirstFailure.ts"
import { RocksDb } from "../../src/storage/rocksdb/RocksDb.ts"
import { StorageIoError } from "../../src/storage/StorageError.ts"
import { temporaryFolder } from "./TemporaryFolder.ts"

const path = "/data/node-1"
const broken = new StorageIoError({ operation: "sync", path, cause: new Error("input/output error") })

const make = () => {
  const failure = new FirstFailure(path)
  return { failure, work: new DiskWork(path, failure) }
}

afterEach(() => {
  vi.useRealTimers()
})

describe("work on a directory that failed", () => {
  it.live("lets its caller go, and is waited for by a close", () =>
    Effect.gen(function*() {
      const { failure, work } = make()
      const held = Promise.withResolvers<void>()
      const caller = yield* Effect.forkChild(work.promised("write", () => held.promise))
      yield* Effect.yieldNow
      failure.record(broken)
      assert.strictEqual(yield* Effect.flip(Fiber.join(caller)), broken)
      let closed = false
      const closing = work.whenIdle(() => void (closed = true))
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      assert.isFalse(closed)
      held.resolve()
      assert.isTrue(yield* Effect.promise(() => closing))
      assert.isTrue(closed)
    }))

  it.live("is waited for with work that it began meanwhile, and that no caller waits for", () =>
    Effect.gen(function*() {
      const { failure, work } = make()
      const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      const began = first.promise.then(() => work.counted(second.promise))
      work.counted(first.promise)
      failure.record(broken)
      let closed = false
      const closing = work.whenIdle(() => void (closed = true))
      yield* Effect.yieldNow
      first.resolve()
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      assert.isFalse(closed)
      second.resolve()
      yield* Effect.promise(() => began)
      assert.isTrue(yield* Effect.promise(() => closing))
      assert.isTrue(closed)
    }))

  it.live("is not begun any more", () =>
    Effect.gen(function*() {
      const { failure, work } = make()
      failure.record(broken)
      let begun = false
      const refused = yield* Effect.flip(work.promised("write", async () => {
        begun = true
      }))
      assert.strictEqual(refused, broken)
      assert.isFalse(begun)
    }))

  it("is given up when it does not end: all closes have one time limit", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] })
    const { failure, work } = make()
    const held = Promise.withResolvers<void>()
    work.counted(held.promise)
    failure.record(broken)
    const closed: Array<string> = []
    const closing = work.whenIdle(() => void closed.push("files"))
    await vi.advanceTimersByTimeAsync(5_000)
    assert.isFalse(await closing)
    assert.isFalse(await work.whenIdle(() => void closed.push("database")), "without a further wait")
    assert.deepStrictEqual(closed, [])
    held.resolve()
    await held.promise
    assert.isTrue(await work.whenIdle(() => void closed.push("last")))
    assert.deepStrictEqual(closed, ["files", "database", "last"], "once it ends after all")
  })
})

/** Has flushes end only once `release` is called, and says what is asked of the binding, in order. */
const heldFlushes = Effect.acquireRelease(
  Effect.sync(() => {
    const { close, compactRange, flush } = RocksDB.prototype
    const calls: Array<string> = []
    const [flushing, held] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    let isClosed = false
    RocksDB.prototype.flush = async function() {
      await flush.call(this)
      flushing.resolve()
      await held.promise
    }
    RocksDB.prototype.compactRange = async function(...parts) {
      calls.push("compact")
      // The real one is not for a closed database.
      if (!isClosed) await compactRange.apply(this, parts)
    }
    RocksDB.prototype.close = async function() {
      // The first is that of the database; it closes the sessions of its families.
      if (!isClosed) calls.push("close")
      isClosed = true
      await close.call(this)
    }
    return { calls, flushing: flushing.promise, release: held.resolve, before: { close, compactRange, flush } }
  }),
  ({ before }) => Effect.sync(() => Object.assign(RocksDB.prototype, before))
)

const opened = Effect.fnUntraced(function*(path: string) {
  const scope = yield* Scope.make()
  const services = yield* Layer.buildWithScope(Layer.fresh(RocksDb.layer({ path, create: true })), scope)
  return { scope, database: Context.get(services, RocksDb) }
})

describe("a database that failed", () => {
  it.live("is closed behind the last step of what reclaims its room", () =>
    Effect.gen(function*() {
      const { calls, flushing, release } = yield* heldFlushes
      const { database, scope } = yield* opened(yield* temporaryFolder)
      database.reclaimUnsafe("raft_log", Uint8Array.of(1), Uint8Array.of(2))
      yield* Effect.promise(() => flushing)
      database.failure.record(broken)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.fail(Cause.empty)))
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      assert.deepStrictEqual(calls, [])
      release()
      yield* Fiber.join(closing)
      assert.deepStrictEqual(calls, ["compact", "close"])
    }).pipe(Effect.scoped))

  it.live("is asked for no row any more", () =>
    Effect.gen(function*() {
      const { read } = RocksDB.prototype
      yield* Effect.addFinalizer(() => Effect.sync(() => Object.assign(RocksDB.prototype, { read })))
      let reads = 0
      RocksDB.prototype.read = function(...parts) {
        reads += 1
        return read.apply(this, parts)
      }
      const { database, scope } = yield* opened(yield* temporaryFolder)
      database.failure.record(broken)
      for (const family of ["state_a", "raft_log"] as const) {
        assert.strictEqual(yield* Effect.flip(database.getMany(family, [Uint8Array.of(2)])), broken)
      }
      assert.strictEqual(reads, 0)
      yield* Scope.close(scope, Exit.fail(Cause.empty))
    }).pipe(Effect.scoped))

  it.live("stays open while a flush does not end", () =>
    Effect.gen(function*() {
      const { calls, flushing, release } = yield* heldFlushes
      const { database, scope } = yield* opened(yield* temporaryFolder)
      database.reclaimUnsafe("raft_log", Uint8Array.of(1), Uint8Array.of(2))
      yield* Effect.promise(() => flushing)
      database.failure.record(broken)
      vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] })
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      while (closing.pollUnsafe() === undefined) {
        yield* Effect.promise(() => vi.advanceTimersByTimeAsync(1_000))
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      }
      assert.deepStrictEqual(calls, [])
      assert.isTrue(hasBlockedThread())
      vi.useRealTimers()
      const start = opened(database.path)
      assert.include(yield* Effect.map(Effect.flip(start), String), "stop the one")
      release()
      // A node that is started again in this process has the directory from then on.
      const { scope: second } = yield* Effect.eventually(start)
      assert.isFalse(hasBlockedThread())
      yield* Scope.close(second, Exit.void)
    }).pipe(Effect.scoped))
})
