/** Workflows that are interrupted while they compensate. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Option, Schema } from "effect"
import { Activity, Workflow } from "effect/workflow"
import { Actors, layerWorkflowEngine } from "../../src/actors/index.ts"
import { eventually } from "../Eventually.ts"

const Order = Workflow.make("Order", {
  payload: { id: Schema.String },
  error: Schema.String,
  idempotencyKey: ({ id }) => id
})

for (const at of ["in an activity", "between two activities"]) {
  it.live(`a workflow that has failed and is interrupted ${at} of its compensation compensates once`, () =>
    Effect.gen(function*() {
      const reached = yield* Deferred.make<void>()
      const interrupted = yield* Deferred.make<void>()
      const ran: Array<string> = []
      const stops = Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(interrupted))
      const step = (name: string, work: Effect.Effect<unknown> = Effect.void) =>
        Activity.make({ name, execute: Effect.asVoid(Effect.andThen(Effect.sync(() => ran.push(name)), work)) })
      const compensation = Effect.gen(function*() {
        yield* step("Release", at === "in an activity" ? stops : Effect.void)
        if (at !== "in an activity") yield* stops
        yield* step("Refund")
      })
      const orders = Order.toLayer(() =>
        step("Reserve").pipe(
          Order.withCompensation(() => compensation),
          Effect.andThen(Effect.fail("sold out"))
        )
      ).pipe(Layer.provideMerge(layerWorkflowEngine), Layer.provideMerge(Actors.layerMemory()))
      yield* Effect.gen(function*() {
        const caller = yield* Effect.forkChild(Effect.flip(Order.execute({ id: "1" })))
        yield* Deferred.await(reached)
        const executionId = yield* Order.executionId({ id: "1" })
        yield* Order.interrupt(executionId)
        yield* Deferred.succeed(interrupted, undefined)
        yield* eventually("it has ended", Effect.map(Order.poll(executionId), Option.isSome))
        assert.strictEqual(yield* Fiber.join(caller), "sold out")
        assert.deepStrictEqual(ran, ["Reserve", "Release", "Refund"])
        const result = Option.getOrThrow(yield* Order.poll(executionId))
        assert.deepStrictEqual(result._tag === "Complete" && Exit.findErrorOption(result.exit), Option.some("sold out"))
      }).pipe(Effect.provide(orders))
    }))
}
