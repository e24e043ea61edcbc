/** A handler that uses the state of its entity in several fibers at once. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Logger, Schema } from "effect"
import { Entity } from "effect/cluster"
import { Rpc } from "effect/rpc"
import { Actors, DurableState } from "../../../src/actors/index.ts"

const payload = { id: Schema.String }
const primaryKey = ({ id }: { readonly id: string }) => id

const Sum = Entity.make("Sum", [
  /** Adds one in each of five fibers, beside others that read. */
  DurableState.atomic(Rpc.make("AddFive", { payload, primaryKey, success: Schema.Int })),
  /** Adds a hundred in a fiber that is interrupted afterwards. */
  DurableState.atomic(Rpc.make("AddHundred", { payload, primaryKey, success: Schema.Int }))
])

const on = Sum.toLayer(Effect.gen(function*() {
  const sum = yield* DurableState.make({ schema: Schema.Int, initial: 0 })
  const add = (value: number) => sum.update((before) => before + value)
  return Sum.of({
    AddFive: () =>
      Effect.all(Array.from({ length: 5 }, () => [sum.get, add(1), sum.get]).flat(), { concurrency: "unbounded" }).pipe(
        Effect.andThen(sum.get),
        Effect.orDie
      ),
    AddHundred: () =>
      Effect.raceFirst(Effect.andThen(add(100), Effect.never), Effect.sleep(10)).pipe(
        Effect.andThen(sum.get),
        Effect.orDie
      )
  })
})).pipe(Layer.provideMerge(Actors.layerMemory()), Layer.provide(Logger.layer([])))

it.live("no change of a handler is lost that another fiber of it made, or only read beside", () =>
  Effect.gen(function*() {
    const client = (yield* Sum.client)("one")
    assert.strictEqual(yield* client.AddFive({ id: "stored for the first time" }), 5)
    assert.strictEqual(yield* client.AddHundred({ id: "interrupted" }), 105)
    assert.strictEqual(yield* client.AddFive({ id: "known" }), 110)
    assert.strictEqual(yield* (yield* Sum.client)("other").AddFive({ id: "first" }), 5)
  }).pipe(Effect.provide(on)))
