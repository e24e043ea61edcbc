/** Streams of which a part cannot be stored: the caller gets a defect, and the entity goes on with other requests. */
import { assert, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Logger, Schema, Stream } from "effect"
import { ClusterSchema, Entity, Sharding } from "effect/cluster"
import { Rpc } from "effect/rpc"
import { Actors } from "../../src/actors/index.ts"
import { eventually } from "../Eventually.ts"

const payload = { id: Schema.String }
const primaryKey = ({ id }: { readonly id: string }) => id

const emitted = (tag: "Large" | "Later" | "Wrong" | "Kept" | "Committed") =>
  Rpc.make(tag, { payload, primaryKey, success: Schema.String, stream: true })

const Source = Entity.make("Source", [
  emitted("Large"),
  /** The second part is too large. */
  emitted("Later"),
  /** No text. */
  emitted("Wrong"),
  emitted("Kept").annotate(ClusterSchema.Uninterruptible, true),
  emitted("Committed").annotate(ClusterSchema.WithTransaction, true),
  Rpc.make("Say", { payload, primaryKey, success: Schema.String })
]).annotateRpcs(ClusterSchema.Persisted, true)

const runs = new Map<string, number>()
const ended = new Map<string, number>()
const count = (map: Map<string, number>, key: string) => map.set(key, (map.get(key) ?? 0) + 1)
const large = "x".repeat(2 * 1024 * 1024)

const counted = (id: string, stream: Stream.Stream<string>) =>
  Stream.suspend(() => {
    count(runs, id)
    return Stream.ensuring(stream, Effect.sync(() => count(ended, id)))
  })

const on = Source.toLayer({
  Large: ({ payload: { id } }) => counted(id, Stream.make(large)),
  Later: ({ payload: { id } }) => counted(id, Stream.concat(Stream.make("small"), Stream.make(large))),
  Wrong: ({ payload: { id } }) => counted(id, Stream.make(7 as unknown as string)),
  Kept: ({ payload: { id } }) => counted(id, Stream.make(large)),
  Committed: ({ payload: { id } }) => counted(id, Stream.make(large)),
  Say: ({ payload: { id } }) => Effect.succeed(id)
}).pipe(
  Layer.provideMerge(Actors.layerMemory({ sharding: { entityMaxIdleTime: 500 } })),
  Layer.provide(Logger.layer([]))
)

const defectOf = <A, E, R>(call: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.exit(call), (exit) => {
    const reasons = Exit.isFailure(exit) ? exit.cause.reasons.filter(Cause.isDieReason) : []
    return reasons.map(({ defect }) => String(defect)).join() || String(exit)
  })

const tooLarge = /MessageTooLarge: a part of the stream/
const cases = [
  ["Large", tooLarge],
  ["Later", tooLarge],
  ["Committed", tooLarge],
  ["Kept", tooLarge],
  ["Wrong", /MalformedMessage/]
] as const

it.live("a part that cannot be stored ends its request, and not its entity", () =>
  Effect.gen(function*() {
    const of = yield* Source.client
    yield* Effect.forEach(cases, ([tag, defect]) =>
      Effect.gen(function*() {
        const client = of(tag)
        const call = defectOf(Stream.runDrain(client[tag]({ id: tag })))
        assert.match(yield* call, defect, tag)
        assert.match(yield* call, defect, `${tag} sent again`)
        assert.strictEqual(yield* client.Say({ id: tag }), tag)
        assert.deepStrictEqual([runs.get(tag), ended.get(tag)], [1, 1], tag)
      }), { concurrency: "unbounded" })
    // Effect forgets no request that it must not interrupt before that has an exit of its own.
    const { activeEntityCount } = yield* Sharding.Sharding
    yield* eventually("the others are passivated", Effect.map(activeEntityCount, (active) => active === 1))
  }).pipe(Effect.provide(on)))
