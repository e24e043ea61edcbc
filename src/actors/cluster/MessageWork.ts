/** When there are messages to read that were not there before: one was saved, one is due, or one is not held back. */
import { Context, Effect, Layer } from "effect"
import { Sharding } from "effect/cluster"

export class MessageWork extends Context.Service<MessageWork, {
  /** Waits until there is something to read. */
  readonly await: Effect.Effect<void>
}>()("flaredb/actors/MessageWork") {
  /** Has the runner read its queues as soon as there is something in them, instead of at its next poll. */
  static readonly layerWake: Layer.Layer<never, never, MessageWork | Sharding.Sharding> = Layer.effectDiscard(
    Effect.gen(function*() {
      const work = yield* MessageWork
      const sharding = yield* Sharding.Sharding
      // A reading closes the latch; until it does, the runner is told once in a while.
      yield* Effect.forkScoped(
        Effect.forever(
          Effect.andThen(work.await, Effect.andThen(sharding.pollStorage, Effect.sleep(wakePauseMs)))
        )
      )
    })
  )
}

/** Least time between two wakes, in milliseconds. */
const wakePauseMs = 2
