/**
 * What `Sharding` relies on in a `RunnerStorage`: a shard has one owner at a time, whose lock ends when it stops to
 * refresh; runners are listed while their heartbeat is young; machine ids do not meet.
 */
import type { Scope } from "effect"
import { Context, Effect, Layer } from "effect"
import { Runner, RunnerAddress, RunnerStorage, ShardId, ShardingConfig } from "effect/cluster"
import { eventually, same } from "./Checks.ts"
import type { ConformanceCase } from "./Conformance.ts"

type Storage = RunnerStorage.RunnerStorage["Service"]

/** The storage to hold against the cases, and what it does not promise. */
export interface RunnerStorageSuiteOptions {
  /** The suite builds it twice for each case: two processes with one store, which is as empty as no cluster used it. */
  readonly layer: (
    cluster: string
  ) => Layer.Layer<RunnerStorage.RunnerStorage, unknown, ShardingConfig.ShardingConfig>
  /** Which promises a back end does not make. Effect's memory storage grants every shard to everybody. */
  readonly without?: ReadonlyArray<"locks" | "expiry" | "heartbeats"> | undefined
}

/** Where that is waited for, locks end this long after the last refresh, in milliseconds. */
const expirationMs = 2_000

const addressOf = (port: number) => RunnerAddress.make("runner", port)
const runnerOf = (port: number) => Runner.make({ address: addressOf(port), groups: ["default"], weight: 1 })
const [one, two] = [addressOf(1), addressOf(2)]
const shards = (...ids: ReadonlyArray<number>) => ids.map((id) => ShardId.make("default", id))
const named = (found: Iterable<ShardId.ShardId>) => Array.from(found, (shard) => shard.toString())

/** What a runner storage of Effect Cluster has to do: one owner for each shard. */
export const runnerStorageCases = (options: RunnerStorageSuiteOptions): ReadonlyArray<ConformanceCase> => {
  const without = new Set(options.without)
  let clusters = 0

  const make = (
    name: string,
    run: (storage: Storage, other: Storage, cluster: string) => Effect.Effect<void, unknown, Scope.Scope>,
    shardLockExpiration = 60_000
  ): ConformanceCase => ({
    name,
    effect: Effect.scoped(Effect.gen(function*() {
      const cluster = `${name} ${++clusters}`
      const open = Effect.map(
        Layer.build(Layer.fresh(Layer.provide(options.layer(cluster), ShardingConfig.layer({ shardLockExpiration })))),
        (context) => Context.get(context, RunnerStorage.RunnerStorage)
      )
      const storage = yield* open
      yield* run(storage, without.has("locks") ? storage : yield* open, cluster)
    }))
  })

  const runners = (storage: Storage) =>
    Effect.map(
      storage.getRunners,
      (found) => found.map(([runner, healthy]) => `${runner.address.port}${healthy ? "" : " unhealthy"}`).sort()
    )

  const always = [
    make(
      "runners are listed with their health until they are unregistered",
      (storage, other) =>
        Effect.gen(function*() {
          yield* same(yield* runners(storage), [], "runners of an empty store")
          yield* storage.register(runnerOf(1), true)
          yield* storage.register(runnerOf(2), false)
          yield* same(yield* runners(other), ["1", "2 unhealthy"], "runners")
          yield* other.setRunnerHealth(two, true)
          yield* other.setRunnerHealth(one, false)
          yield* other.setRunnerHealth(addressOf(3), true)
          yield* same(yield* runners(storage), ["1 unhealthy", "2"], "health that another runner found")
          yield* storage.unregister(one)
          yield* storage.unregister(one)
          yield* same(yield* runners(other), ["2"], "runners after one was unregistered")
        })
    ),
    make("an address keeps its machine id, and no two have the same", (storage, other) =>
      Effect.gen(function*() {
        const first = yield* storage.register(runnerOf(1), true)
        const ids = yield* Effect.forEach([2, 3, 4, 5, 6, 7, 8, 9], (port) =>
          (port % 2 === 0 ? storage : other).register(runnerOf(port), true), { concurrency: "unbounded" })
        yield* same(new Set([first, ...ids]).size, 9, "different machine ids")
        yield* same(yield* storage.register(runnerOf(1), true), first, "the id of an address registered again")
        yield* same(yield* other.register(runnerOf(1), true), first, "its id in another process")
        yield* same((yield* runners(other)).length, 9, "runners")
      })),
    make(
      "shards come back in the order in which they were asked for, and never others",
      (storage) =>
        Effect.gen(function*() {
          yield* storage.register(runnerOf(1), true)
          yield* same(
            named(yield* storage.acquire(one, shards(7, 3, 5))),
            ["default:7", "default:3", "default:5"],
            "acquired"
          )
          yield* same(named(yield* storage.acquire(one, shards(3))), ["default:3"], "acquired again")
          if (without.has("locks")) return
          yield* same(named(yield* storage.refresh(one, shards(5, 9, 7))), ["default:5", "default:7"], "refreshed")
          yield* same(named(yield* storage.refresh(one, [])), [], "a heartbeat")
        })
    )
  ]

  const locks = [
    make("a shard has one owner until it is released", (storage, other) =>
      Effect.gen(function*() {
        yield* storage.register(runnerOf(1), true)
        yield* other.register(runnerOf(2), true)
        const all = shards(...Array.from({ length: 300 }, (_, i) => i + 1))
        const [mine, theirs] = yield* Effect.all([storage.acquire(one, all), other.acquire(two, all)], {
          concurrency: 2
        })
        yield* same(mine.length + theirs.length, 300, "shards of both")
        const both = new Set([...named(mine), ...named(theirs)])
        yield* same(both.size, 300, "different shards of both")
        const [shard] = mine.length > 0 ? mine : theirs
        if (shard === undefined) return yield* Effect.die(new Error("no runner got a shard"))
        const [owner, its, taker, others] = mine.length > 0 ? [storage, one, other, two] : [other, two, storage, one]
        const wanted = [shard]
        yield* same(named(yield* taker.acquire(others, wanted)), [], "a shard that another runner holds")
        yield* same(named(yield* taker.refresh(others, wanted)), [], "refresh of a shard that another runner holds")
        yield* taker.release(others, shard)
        yield* same(named(yield* owner.refresh(its, wanted)), named(wanted), "a shard that its owner did not release")
        yield* owner.release(its, shard)
        yield* same(named(yield* taker.acquire(others, wanted)), named(wanted), "a shard that was released")
        yield* same(named(yield* owner.refresh(its, wanted)), [], "a shard that was released and taken")
        yield* owner.releaseAll(its)
        yield* same((yield* taker.acquire(others, all)).length, 300, "shards after all were released")
      })),
    make(
      "shards of one id in two groups, and in two clusters, are different",
      (storage, other, cluster) =>
        Effect.gen(function*() {
          const a = ShardId.make("a", 1)
          const b = ShardId.make("a:1", 1)
          yield* same(named(yield* storage.acquire(one, [a])), ["a:1"], "the shard of one group")
          yield* same(named(yield* other.acquire(two, [b])), ["a:1:1"], "the shard of the other group")
          const elsewhere = Context.get(
            yield* Layer.build(Layer.fresh(Layer.provide(options.layer(`${cluster}/L`), ShardingConfig.layer()))),
            RunnerStorage.RunnerStorage
          )
          yield* same(named(yield* elsewhere.acquire(two, [a])), ["a:1"], "the shard of the other cluster")
        })
    )
  ]

  const expiry = [
    make(
      "locks end when their owner stops to refresh, though its process lives",
      (storage, other) =>
        Effect.gen(function*() {
          yield* storage.register(runnerOf(1), true)
          yield* storage.acquire(one, shards(1, 2))
          // For longer than a lock lasts, it is kept by refresh and by nothing else.
          for (let i = 0; i < 6; i++) {
            yield* Effect.sleep(expirationMs / 4)
            yield* same(named(yield* storage.refresh(one, shards(1, 2))), ["default:1", "default:2"], "refreshed")
            yield* same(named(yield* other.acquire(two, shards(1))), [], "a shard whose lock is refreshed")
          }
          yield* eventually(
            "another runner gets the shards of one that does not refresh",
            Effect.map(other.acquire(two, shards(1, 2)), (got) => got.length === 2),
            5 * expirationMs
          )
          yield* same(named(yield* storage.refresh(one, shards(1))), [], "the lock that ended")
          yield* same(named(yield* storage.refresh(one, shards(1, 2))), [], "the locks that ended")
          yield* storage.releaseAll(one)
          yield* same(named(yield* other.refresh(two, shards(1, 2))), ["default:1", "default:2"], "the new owner's")
          yield* same(named(yield* storage.acquire(one, shards(3))), ["default:3"], "another shard")
        }),
      expirationMs
    ),
    make(
      "a lock ends when its owner names it no more, though it refreshes others",
      (storage, other) =>
        Effect.gen(function*() {
          yield* storage.register(runnerOf(1), true)
          yield* storage.acquire(one, shards(1, 2))
          const refreshed = Effect.gen(function*() {
            yield* same(named(yield* storage.refresh(one, shards(1))), ["default:1"], "refreshed")
            yield* same(named(yield* other.acquire(two, shards(1))), [], "a shard whose lock is refreshed")
            return (yield* other.acquire(two, shards(2))).length === 1
          })
          yield* eventually("another runner gets the shard that is not refreshed", refreshed, 5 * expirationMs)
          yield* same(named(yield* storage.refresh(one, shards(1, 2))), ["default:1"], "what is left")
        }),
      expirationMs
    )
  ]

  const heartbeats = [
    make(
      "a runner that stops to refresh is listed no more, until it refreshes again",
      (storage, other) =>
        Effect.gen(function*() {
          yield* storage.register(runnerOf(1), true)
          for (let i = 0; i < 6; i++) {
            yield* Effect.sleep(expirationMs / 4)
            yield* storage.refresh(one, [])
            yield* same(yield* runners(other), ["1"], "a runner that refreshes")
          }
          yield* eventually(
            "a runner that does not refresh is listed no more",
            Effect.map(runners(other), (found) => found.length === 0),
            5 * expirationMs
          )
          yield* storage.refresh(one, [])
          yield* same(yield* runners(other), ["1"], "a runner that refreshes again")
        }),
      expirationMs
    )
  ]

  return [
    ...always,
    ...(without.has("locks") ? [] : locks),
    ...(without.has("locks") || without.has("expiry") ? [] : expiry),
    ...(without.has("heartbeats") ? [] : heartbeats)
  ]
}
