/** Handlers that send requests within their transaction, in several fibers at once. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Logger, Schema } from "effect"
import { ClusterSchema, Entity } from "effect/cluster"
import { Rpc } from "effect/rpc"
import { Actors, DurableState } from "../../../src/actors/index.ts"
import { eventually } from "../../Eventually.ts"

const payload = { id: Schema.String }
const primaryKey = ({ id }: { readonly id: string }) => id

const Box = Entity.make("Box", [
  Rpc.make("Note", { payload, primaryKey, success: Schema.String }),
  /** Sends notes to another one, each of them three times. */
  DurableState.atomic(Rpc.make("Spread", { payload, primaryKey, success: Schema.String }))
]).annotateRpcs(ClusterSchema.Persisted, true)

const noted: Array<string> = []
const spread: Array<string> = []

const on = Box.toLayer(Effect.gen(function*() {
  const of = yield* Box.client
  return Box.of({
    Note: ({ payload: { id } }) => Effect.sync(() => String(noted.push(id))),
    Spread: ({ payload: { id } }) =>
      Effect.forEach(
        ["a", "b", "a", "b", "a", "b"],
        (note) => of("other").Note({ id: note }, { discard: true }),
        { concurrency: "unbounded" }
      ).pipe(Effect.orDie, Effect.as(String(spread.push(id))))
  })
})).pipe(Layer.provideMerge(Actors.layerMemory()), Layer.provide(Logger.layer([])))

it.live("requests of one primary key that a transaction saves at once are one request", () =>
  Effect.gen(function*() {
    const of = yield* Box.client
    assert.strictEqual(yield* of("one").Spread({ id: "first" }), "1")
    yield* eventually("both are noted", Effect.sync(() => noted.length === 2))
    assert.strictEqual(yield* of("one").Spread({ id: "second" }), "2")
    assert.strictEqual(yield* of("other").Note({ id: "c" }), "3")
    assert.deepStrictEqual(noted.toSorted(), ["a", "b", "c"])
    assert.deepStrictEqual(spread, ["first", "second"])
  }).pipe(Effect.provide(on)))
