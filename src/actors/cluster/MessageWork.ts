/** When there are messages to read that were not there before: one was saved, one is due, or one is not held back. */
import { Context, Effect, Layer } from "effect"
import { Sharding } from "effect/cluster"
import type { LogTimeFailure } from "../LogTime.ts"

/**
 * Tells a runner that there are messages for it, so that it need not wait for its next poll.
 *
 * **When to use**
 *
 * To put a runner together by hand; `Actors.layer` has it already.
 */
export class MessageWork extends Context.Service<MessageWork, {
  /** Waits until there is something that was not there when this was last called. One caller at a time. */
  readonly next: Effect.Effect<void>
  /** The time by which messages are due, in milliseconds since 1970. */
  readonly now: Effect.Effect<number, LogTimeFailure>
}>()("flaredb/actors/MessageWork") {
  /** Has the runner read its queues as soon as there is something in them, instead of at its next poll. */
  static readonly layerWake: Layer.Layer<never, never, MessageWork | Sharding.Sharding> = Layer.effectDiscard(
    Effect.gen(function*() {
      const work = yield* MessageWork
      const sharding = yield* Sharding.Sharding
      // What comes during a reading has the runner read once more.
      yield* Effect.forkScoped(Effect.forever(Effect.andThen(work.next, sharding.pollStorage)))
    })
  )
}
