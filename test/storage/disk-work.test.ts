/** What is under way when the storage of a node fails: its callers are let go, and what it uses stays open for it. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import RocksDB from "rocksdb-native"
import { afterEach, vi } from "vitest"
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
      let settled = false
      const closing = yield* Effect.forkChild(Effect.tap(work.settled, () => Effect.sync(() => settled = true)))
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      assert.isFalse(settled)
      held.resolve()
      assert.isTrue(yield* Fiber.join(closing))
    }))

  it.live("is waited for with work that it began meanwhile, and that no caller waits for", () =>
    Effect.gen(function*() {
      const { failure, work } = make()
      const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      const began = first.promise.then(() => work.counted(second.promise))
      work.counted(first.promise)
      failure.record(broken)
      let settled = false
      const closing = yield* Effect.forkChild(Effect.tap(work.settled, () => Effect.sync(() => settled = true)))
      yield* Effect.yieldNow
      first.resolve()
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      assert.isFalse(settled)
      second.resolve()
      yield* Effect.promise(() => began)
      assert.isTrue(yield* Fiber.join(closing))
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
    work.counted(new Promise(() => undefined))
    failure.record(broken)
    const closing = Effect.runPromise(work.settled)
    await vi.advanceTimersByTimeAsync(5_000)
    assert.isFalse(await closing)
    assert.isFalse(await Effect.runPromise(work.settled), "without a further wait")
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

const opened = Effect.gen(function*() {
  const folder = yield* temporaryFolder
  const scope = yield* Scope.make()
  const services = yield* Layer.buildWithScope(Layer.fresh(RocksDb.layer({ path: folder, create: true })), scope)
  return { scope, database: Context.get(services, RocksDb) }
})

describe("a database that failed", () => {
  it.live("is closed behind the last step of what reclaims its room", () =>
    Effect.gen(function*() {
      const { calls, flushing, release } = yield* heldFlushes
      const { database, scope } = yield* opened
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

  it.live("stays open while a flush does not end", () =>
    Effect.gen(function*() {
      const { calls, flushing, release } = yield* heldFlushes
      const { database, scope } = yield* opened
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
      vi.useRealTimers()
      release()
    }).pipe(Effect.scoped))
})
