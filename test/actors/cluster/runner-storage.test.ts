/** Effect's storage of runners on FlareDB in memory, and the suite on Effect's own memory storage. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Option } from "effect"
import { Runner, RunnerAddress, RunnerHealth, RunnerStorage, ShardId, ShardingConfig } from "effect/cluster"
import { TestClock } from "effect/testing"
import { HeldShards, layerRunnerHealth, layerRunnerStorage } from "../../../src/actors/index.ts"
import { ClusterKeys } from "../../../src/actors/cluster/ClusterKeys.ts"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import { Leases } from "../../../src/client/Lease.ts"
import { Unavailable } from "../../../src/FlareDbError.ts"
import { runnerStorageCases } from "../../../src/testing/index.ts"
import { eventually } from "../../Eventually.ts"
import { withLostAnswers } from "../LostAnswers.ts"
import type { Services } from "../Stores.ts"
import { memory, onMemory } from "../Stores.ts"

const storage = (cluster: string) => layerRunnerStorage({ cluster }).pipe(Layer.provideMerge(HeldShards.layer))

// What they do is wait for locks to end, each on a store of its own.
describe.concurrent("runner storage in FlareDB", () => {
  onMemory((services) => runnerStorageCases({ layer: (cluster) => Layer.provide(storage(cluster), services) }))
})

describe.concurrent("runner storage in FlareDB, whose every third answer is lost", () => {
  onMemory((services) =>
    runnerStorageCases({ layer: (cluster) => Layer.provide(storage(cluster), withLostAnswers(services)) })
  )
})

describe("Effect's memory storage", () => {
  const cases = runnerStorageCases({
    layer: () => RunnerStorage.layerMemory,
    without: ["locks", "expiry", "heartbeats"]
  })
  // It knows runners by what they are, and not whether they are healthy.
  for (const { effect, name } of cases.slice(2)) it.live(name, () => effect)
})

const address = RunnerAddress.make("a", 1)
const runner = Runner.make({ address, groups: ["default"], weight: 1 })
const shard = ShardId.make("default", 1)

const onStore = <A, E>(
  test: Effect.Effect<
    A,
    E,
    RunnerStorage.RunnerStorage | RunnerHealth.RunnerHealth | HeldShards | KeyValue | Leases
  >,
  config: Parameters<typeof ShardingConfig.layer>[0] = {}
) =>
  Effect.scoped(Effect.flatMap(memory, (services) =>
    Effect.provide(
      test,
      Layer.merge(storage("test"), layerRunnerHealth({ cluster: "test" })).pipe(
        Layer.provideMerge(services),
        Layer.provide(ShardingConfig.layer(config))
      )
    )))

it.live("a process that is started anew at an address has its shards at once, with new fencing tokens", () =>
  onStore(Effect.gen(function*() {
    const kv = yield* KeyValue
    const before = yield* RunnerStorage.RunnerStorage
    const held = yield* HeldShards
    yield* before.register(runner, true)
    yield* before.acquire(address, [shard])
    const token = held.lockOf("default:1")
    yield* Effect.gen(function*() {
      const after = yield* RunnerStorage.RunnerStorage
      const taken = yield* HeldShards
      yield* after.register(runner, true)
      assert.deepStrictEqual((yield* after.acquire(address, [shard])).length, 1)
      assert.isAbove(taken.lockOf("default:1") ?? 0, token ?? Infinity)
      const [lock] = (yield* kv.scan("fx/c/test/L/")).entries
      assert.strictEqual(lock?.createRevision, taken.lockOf("default:1"))
    }).pipe(Effect.provide(Layer.fresh(storage("test")).pipe(Layer.provide(ShardingConfig.layer()))))
    assert.strictEqual((yield* before.refresh(address, [shard, ShardId.make("default", 2)])).length, 0)
    assert.isUndefined(held.lockOf("default:1"))
  })))

it.live("a shard whose lock was found lost is refreshed no more, though its lease lives", () =>
  onStore(Effect.gen(function*() {
    const storage = yield* RunnerStorage.RunnerStorage
    const held = yield* HeldShards
    yield* storage.acquire(address, [shard])
    assert.strictEqual((yield* storage.refresh(address, [shard])).length, 1)
    held.release("default:1")
    assert.strictEqual((yield* storage.refresh(address, [shard])).length, 0)
    assert.strictEqual((yield* storage.acquire(address, [shard])).length, 1)
    assert.strictEqual((yield* storage.refresh(address, [shard])).length, 1)
  })))

it.live("a refresh fails when the store is away, also that of no shard", () =>
  onStore(Effect.gen(function*() {
    const kv = yield* KeyValue
    const leases = yield* Leases
    const away = Effect.fail(new Unavailable({ reason: "no quorum" }))
    let down = false
    /** The method, which fails while the store is away. */
    const failing = <Method extends (...args: Array<never>) => unknown>(method: Method): Method =>
      ((...args: Parameters<Method>) => down ? away : method(...args)) as Method
    yield* Effect.gen(function*() {
      const storage = yield* RunnerStorage.RunnerStorage
      yield* storage.refresh(address, [])
      down = true
      assert.strictEqual((yield* Effect.flip(storage.refresh(address, [])))._tag, "PersistenceError")
      down = false
      yield* storage.register(runner, true)
      yield* storage.acquire(address, [shard])
      down = true
      const error = yield* Effect.flip(storage.refresh(address, []))
      assert.deepInclude(error, { _tag: "PersistenceError" })
      assert.deepInclude(error.cause, { _tag: "Unavailable" })
      const another = ShardId.make("default", 2)
      assert.strictEqual((yield* Effect.flip(storage.acquire(address, [another])))._tag, "PersistenceError")
    }).pipe(
      Effect.provide(
        Layer.fresh(storage("test")).pipe(
          Layer.provide(ShardingConfig.layer()),
          Layer.provide(
            Layer.succeed(KeyValue, { ...kv, get: failing(kv.get), transact: failing(kv.transact) })
          ),
          Layer.provide(Layer.succeed(Leases, { ...leases, keepAlive: failing(leases.keepAlive) }))
        )
      )
    )
  })))

it.live("a runner is alive while its row is there", () =>
  onStore(Effect.gen(function*() {
    const health = yield* RunnerHealth.RunnerHealth
    const storage = yield* RunnerStorage.RunnerStorage
    assert.isFalse(yield* health.isAlive(address))
    yield* storage.register(runner, true)
    assert.isTrue(yield* health.isAlive(address))
    yield* storage.unregister(address)
    assert.isFalse(yield* health.isAlive(address))
  })))

it.effect("a refresh that gets no answer says what was confirmed lately, and after that it waits", () =>
  Effect.scoped(Effect.gen(function*() {
    const services = yield* TestClock.withLive(memory)
    const leases = yield* Effect.provide(Leases, services)
    let silent = false
    const keepAlive: Leases["Service"]["keepAlive"] = (lease) =>
      silent ? Effect.never : TestClock.withLive(leases.keepAlive(lease))
    const slow = Layer.provideMerge(Layer.succeed(Leases, { ...leases, keepAlive }), services)
    yield* Effect.gen(function*() {
      const storage = yield* RunnerStorage.RunnerStorage
      const shards = [shard, ShardId.make("default", 2)]
      const refresh = Effect.forkChild(storage.refresh(address, shards), { startImmediately: true })
      yield* TestClock.withLive(storage.acquire(address, shards))
      silent = true
      const young = yield* refresh
      yield* TestClock.adjust("12 seconds")
      assert.strictEqual((yield* Fiber.join(young)).length, 2)
      yield* TestClock.adjust("35 seconds")
      const old = yield* refresh
      yield* TestClock.adjust("50 seconds")
      assert.isUndefined(old.pollUnsafe(), "Sharding gives it a deadline")
    }).pipe(Effect.provide(
      storage("slow").pipe(
        Layer.provide(slow),
        Layer.provide(ShardingConfig.layer({ shardLockExpiration: "60 seconds" }))
      )
    ))
  })))

/** A store whose transactions and reads are answered after a while; what they do is done at once. */
const layerSlow = (ms: number, services: Services) =>
  Layer.provideMerge(
    Layer.effect(
      KeyValue,
      Effect.map(KeyValue, (kv) =>
        KeyValue.of({
          ...kv,
          transact: (txn, options) => Effect.tap(Effect.uninterruptible(kv.transact(txn, options)), Effect.sleep(ms)),
          get: (key, options) => Effect.tap(kv.get(key, options), Effect.sleep(ms))
        }))
    ),
    services
  )

describe("an acquisition that takes longer than its caller waits", () => {
  const onSlowStore = <A, E>(
    ms: number,
    test: (
      slow: RunnerStorage.RunnerStorage["Service"],
      other: RunnerStorage.RunnerStorage["Service"]
    ) => Effect.Effect<
      A,
      E
    >
  ) =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      const open = (store: Services) =>
        Effect.map(
          Layer.build(Layer.fresh(
            storage("test").pipe(
              Layer.provide(store),
              Layer.provide(ShardingConfig.layer({ shardLockExpiration: "3 seconds" }))
            )
          )),
          Context.get(RunnerStorage.RunnerStorage)
        )
      return yield* test(yield* open(layerSlow(ms, services)), yield* open(services))
    }))
  const other = RunnerAddress.make("b", 1)

  it.live("goes on, and the next one has what it took", () =>
    onSlowStore(150, (slow) =>
      Effect.gen(function*() {
        const acquired = Effect.timeoutOption(slow.acquire(address, [shard]), 100)
        yield* eventually("the shard is acquired", Effect.map(acquired, Option.isSome))
      })))

  it.live("leaves no lock behind that its caller does not know of", () =>
    onSlowStore(150, (slow, store) =>
      Effect.gen(function*() {
        yield* Effect.timeoutOption(slow.acquire(address, [shard, ShardId.make("default", 2)]), 100)
        assert.strictEqual((yield* store.acquire(other, [shard])).length, 0, "it is taken")
        const free = Effect.gen(function*() {
          yield* slow.refresh(address, [])
          return (yield* store.acquire(other, [shard])).length === 1
        })
        yield* eventually("another runner gets the shard", free)
      })))
})

const runnersAt = (count: number) =>
  Array.from({ length: count }, (_, i) => Runner.make({ ...runner, address: RunnerAddress.make(`at-once-${i}`, 1) }))

it.live("runners that begin at once all get a machine id of their own", () =>
  onStore(Effect.gen(function*() {
    const storage = yield* RunnerStorage.RunnerStorage
    const machines = yield* Effect.forEach(runnersAt(64), (one) => storage.register(one, true), {
      concurrency: "unbounded"
    })
    assert.strictEqual(new Set(machines).size, 64)
  })))

it.live("the last machine ids are found among runners that begin at once, and only then there is none", () =>
  onStore(Effect.gen(function*() {
    const kv = yield* KeyValue
    const storage = yield* RunnerStorage.RunnerStorage
    const keys = new ClusterKeys({ cluster: "test" })
    yield* storage.register(runner, true)
    yield* Effect.forEach(
      Array.from({ length: 1_003 }, (_, i) => keys.machine(i + 1)),
      (key) => kv.put(key, key),
      { concurrency: 100, discard: true }
    )
    const got = yield* Effect.forEach(runnersAt(21), (one) => Effect.result(storage.register(one, true)), {
      concurrency: "unbounded"
    })
    const refused = got.flatMap((one) => one._tag === "Failure" ? [String(one.failure.cause)] : [])
    assert.strictEqual(refused.length, 1)
    assert.match(refused[0] ?? "", /^NoMachineId/)
  })))

it.live("a registration whose lease ends while it is under way goes on with another one", () =>
  onStore(Effect.gen(function*() {
    const kv = yield* KeyValue
    const leases = yield* Leases
    const granted: Array<number> = []
    const grant: Leases["Service"]["grant"] = (...options) =>
      Effect.tap(leases.grant(...options), ({ id }) => Effect.sync(() => granted.push(id)))
    let transactions = 0
    const ends = Effect.suspend(() => ++transactions === 1 ? leases.revoke(granted[0] ?? 0) : Effect.succeed(0))
    const transact: typeof kv.transact = (txn, options) => Effect.andThen(Effect.orDie(ends), kv.transact(txn, options))
    yield* Effect.flatMap(RunnerStorage.RunnerStorage, (storage) => storage.register(runner, true)).pipe(
      Effect.provide(
        Layer.fresh(storage("test")).pipe(
          Layer.provide(ShardingConfig.layer()),
          Layer.provide(Layer.succeed(KeyValue, KeyValue.of({ ...kv, transact }))),
          Layer.provide(Layer.succeed(Leases, { ...leases, grant }))
        )
      )
    )
    assert.strictEqual(granted.length, 4)
    yield* eventually("only the leases in use are left", Effect.map(leases.list(), ({ length }) => length === 2))
  })))
