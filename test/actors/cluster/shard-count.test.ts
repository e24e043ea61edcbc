/** Runners and callers of a cluster agree on the number of shards, and a runner that is refused leaves nothing behind. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Logger, Option, Schema } from "effect"
import {
  ClusterSchema,
  Entity,
  Runner,
  RunnerAddress,
  Runners,
  RunnerStorage,
  Sharding,
  ShardingConfig,
  Snowflake
} from "effect/cluster"
import { Rpc } from "effect/rpc"
import {
  Actors,
  HeldShards,
  layerMessageStorage,
  layerRunnerHealth,
  layerRunnerStorage
} from "../../../src/actors/index.ts"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import { Leases } from "../../../src/client/Lease.ts"
import { Unauthorized } from "../../../src/FlareDbError.ts"
import { eventually } from "../../Eventually.ts"
import type { Services } from "../Stores.ts"
import { memory } from "../Stores.ts"

const runnerAt = (host: string) => Runner.make({ address: RunnerAddress.make(host, 1), groups: ["default"], weight: 1 })

/** A runner's storage, in a process of its own. */
const runners = (services: Services, shardsPerGroup: number, lines: Array<string> = []) =>
  Effect.map(
    Layer.build(
      Layer.fresh(layerRunnerStorage({})).pipe(
        Layer.provide(HeldShards.layer),
        Layer.provide(services),
        Layer.provide(ShardingConfig.layer({ shardsPerGroup }))
      )
    ),
    (context) => ({
      register: (host: string) =>
        Effect.flatMap(RunnerStorage.RunnerStorage, (storage) => storage.register(runnerAt(host), true)).pipe(
          Effect.provide(context),
          Effect.provide(Logger.layer([Logger.make(({ message }) => lines.push(String(message)))]))
        ),
      unregister: (host: string) =>
        Effect.flatMap(RunnerStorage.RunnerStorage, (storage) => storage.unregister(runnerAt(host).address)).pipe(
          Effect.provide(context)
        )
    })
  )

const leaseCount = Effect.flatMap(Leases, (leases) => Effect.map(leases.list(), ({ length }) => length))

const Echo = Entity.make("Echo", [
  Rpc.make("Say", { payload: { id: Schema.String }, primaryKey: ({ id }) => id, success: Schema.String })
]).annotateRpcs(ClusterSchema.Persisted, true)

/** A caller that runs no entities. */
const caller = (services: Services, shardsPerGroup: number) =>
  Sharding.layer.pipe(
    Layer.provide(Runners.layerNoop),
    Layer.provideMerge(layerMessageStorage({})),
    Layer.provideMerge(layerRunnerStorage({})),
    Layer.provideMerge(layerRunnerHealth({})),
    Layer.provide(HeldShards.layer),
    Layer.provide(Snowflake.layerGenerator),
    Layer.provide(Actors.layerConfig({ shardsPerGroup, runnerAddress: Option.none() })),
    Layer.provideMerge(services)
  )

it.live("a runner with another number of shards is refused while others are there, and says so once", () =>
  Effect.scoped(Effect.gen(function*() {
    const services = yield* memory
    yield* Effect.gen(function*() {
      const lines: Array<string> = []
      const first = yield* runners(services, 16)
      const other = yield* runners(services, 300, lines)
      yield* first.register("a")
      yield* first.register("b")
      const before = yield* leaseCount
      for (let i = 0; i < 3; i++) {
        const { cause } = yield* Effect.flip(other.register("c"))
        assert.match(String(cause), /OtherShardCount: .* have 16 shards .* this process has 300\. .*SHARDS_PER_GROUP/)
      }
      assert.strictEqual(yield* leaseCount, before)
      assert.strictEqual(lines.length, 1)
      assert.include(lines[0], "the runner c:1 is not registered")
      // A runner that is started anew with another number replaces itself, and none beside it.
      assert.strictEqual((yield* Effect.flip(other.register("a")))._tag, "PersistenceError")
      yield* first.unregister("b")
      yield* other.register("a")
      assert.strictEqual((yield* Effect.flip(first.register("b")))._tag, "PersistenceError")
    }).pipe(Effect.provide(services))
  })))

it.live("a runner whose registration is refused keeps no lease, however often it tries", () =>
  Effect.scoped(Effect.gen(function*() {
    const services = yield* memory
    yield* Effect.gen(function*() {
      const kv = yield* KeyValue
      const before = yield* leaseCount
      const transact: typeof kv.transact = () => Effect.fail(new Unauthorized({ name: "shop", what: "to write fx/" }))
      const refused = yield* runners(
        Layer.merge(services, Layer.succeed(KeyValue, KeyValue.of({ ...kv, transact }))),
        16
      )
      for (let i = 0; i < 5; i++) yield* Effect.flip(refused.register("a"))
      yield* eventually("no lease is left", Effect.map(leaseCount, (count) => count === before))
    }).pipe(Effect.provide(services))
  })))

it.live("a caller with another number of shards is told so, and its request is not stored", () =>
  Effect.scoped(Effect.gen(function*() {
    const services = yield* memory
    const send = (id: string) => Effect.flatMap(Echo.client, (client) => client("one").Say({ id }, { discard: true }))
    yield* Effect.gen(function*() {
      const kv = yield* KeyValue
      // Nobody knows the number before there is a runner: it is asked for, once for all that come meanwhile.
      let asked = 0
      const get: typeof kv.get = (key, ...rest) => {
        if (key === "fx/c/default/N") asked++
        return kv.get(key, ...rest)
      }
      const counting = Layer.merge(services, Layer.succeed(KeyValue, KeyValue.of({ ...kv, get })))
      yield* Effect.forEach(Array.from({ length: 100 }, (_, i) => `at once ${i}`), send, {
        concurrency: "unbounded",
        discard: true
      }).pipe(Effect.provide(Layer.fresh(caller(counting, 300))))
      assert.isBelow(asked, 10)
      const runner = yield* runners(services, 16)
      yield* runner.register("a")
      const { cause } = yield* Effect.flip(send("other"))
      assert.match(String(cause), /OtherShardCount: .* have 16 shards .* this process has 300/)
      assert.strictEqual((yield* kv.scan("fx/c/default/M/")).entries.length, 100)
      // Those that come may have the number of the caller.
      yield* runner.unregister("a")
      yield* send("after")
    }).pipe(Effect.provide(caller(services, 300)))
    yield* Effect.gen(function*() {
      yield* (yield* runners(services, 16)).register("a")
      yield* send("equal")
    }).pipe(Effect.provide(caller(services, 16)))
  })))

it.live("a caller is told of another number of shards that runners began with while it lives", () =>
  Effect.scoped(Effect.gen(function*() {
    const services = yield* memory
    const send = (id: string) => Effect.flatMap(Echo.client, (client) => client("one").Say({ id }, { discard: true }))
    yield* Effect.gen(function*() {
      const kv = yield* KeyValue
      const stored = Effect.map(kv.scan("fx/c/default/M/"), ({ entries }) => entries.length)
      const before = yield* runners(services, 300)
      yield* before.register("a")
      yield* send("before")
      yield* before.unregister("a")
      const after = yield* runners(services, 16)
      yield* after.register("a")
      const failures = yield* Effect.forEach(["one", "two", "three"], (id) => Effect.flip(send(id)), {
        concurrency: "unbounded"
      })
      for (const { cause } of failures) assert.match(String(cause), /OtherShardCount: .* have 16 .* has 300/)
      assert.strictEqual(yield* stored, 1)
      yield* after.unregister("a")
      yield* before.register("b")
      yield* send("again")
      assert.strictEqual(yield* stored, 2)
    }).pipe(Effect.provide(caller(services, 300)))
  })))
