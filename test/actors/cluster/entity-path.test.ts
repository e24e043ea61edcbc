/** What a persisted request and its reply cost: two writes, fewer where many come together, and no read in one process. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Option, Schema } from "effect"
import { ClusterSchema, Entity, RunnerAddress, Runners, Sharding, Snowflake } from "effect/cluster"
import { Rpc } from "effect/rpc"
import {
  Actors,
  HeldShards,
  layerMessageStorage,
  layerRunnerHealth,
  layerRunnerStorage,
  MessageWork
} from "../../../src/actors/index.ts"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import { memory } from "../Stores.ts"
import type { Services } from "../Stores.ts"

const Echo = Entity.make("Echo", [
  Rpc.make("Say", {
    payload: { id: Schema.String },
    success: Schema.String,
    primaryKey: ({ id }) => id
  }).annotate(ClusterSchema.Persisted, true)
])

const EchoLive = Echo.toLayer({ Say: ({ payload }) => Effect.succeed(payload.id) })

interface Counts {
  writes: number
  reads: number
}

/** Counts what goes to the store. */
const counting = (services: Services, counts: Counts): Services => {
  const count = <A, E>(kind: keyof Counts, effect: Effect.Effect<A, E>) =>
    Effect.suspend(() => {
      counts[kind] += 1
      return effect
    })
  const counted = Effect.map(KeyValue, (kv) =>
    KeyValue.of({
      ...kv,
      transact: (txn, options) =>
        count((txn.do?.length ?? 0) + (txn.else?.length ?? 0) > 0 ? "writes" : "reads", kv.transact(txn, options)),
      get: (key, options) => count("reads", kv.get(key, options)),
      scan: (prefix, options) => count("reads", kv.scan(prefix, options))
    }))
  return Layer.provideMerge(Layer.effect(KeyValue, counted), services)
}

/** A runner whose storage of messages is counted: runners and locks are looked after at intervals. */
const runner = (services: Services, counts: Counts) =>
  EchoLive.pipe(
    Layer.provideMerge(MessageWork.layerWake),
    Layer.provideMerge(Sharding.layer),
    Layer.provideMerge(Runners.layerNoop),
    Layer.provideMerge(layerMessageStorage().pipe(Layer.provide(counting(services, counts)))),
    Layer.provide(Layer.mergeAll(layerRunnerStorage(), layerRunnerHealth())),
    Layer.provide(HeldShards.layer),
    Layer.provide(Snowflake.layerGenerator),
    Layer.provide(Actors.layerConfig({
      runnerAddress: Option.some(RunnerAddress.make("localhost", 34_431)),
      shardsPerGroup: 16,
      refreshAssignmentsInterval: "50 millis"
    })),
    Layer.provideMerge(services)
  )

it.live("a persisted request and its reply are two writes and no read, and many share writes", () =>
  Effect.gen(function*() {
    const counts: Counts = { writes: 0, reads: 0 }
    const services = yield* memory
    yield* Effect.gen(function*() {
      const entity = yield* Echo.client
      yield* entity("one").Say({ id: "first" })
      counts.writes = 0
      counts.reads = 0
      for (let i = 0; i < 20; i++) assert.strictEqual(yield* entity("one").Say({ id: String(i) }), String(i))
      assert.deepStrictEqual(counts, { writes: 40, reads: 0 }, "one after the other")
      yield* Effect.forEach(
        Array.from({ length: 100 }, (_, i) => i),
        (i) => entity(`many ${i % 10}`).Say({ id: `many ${i}` }),
        { concurrency: "unbounded" }
      )
      // At most ten entities are at work at a time, and what they do at a time shares writes.
      assert.isBelow(counts.writes - 40, 100, "many at a time")
      assert.strictEqual(counts.reads, 0)
      // Who sends it again gets the reply that was stored.
      assert.strictEqual(yield* entity("one").Say({ id: "7" }), "7")
    }).pipe(Effect.provide(runner(services, counts)))
  }).pipe(Effect.scoped))
