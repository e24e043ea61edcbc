/**
 * A limit on waiting that holds even when what is waited for cannot be interrupted at once: a call to a stalled peer
 * takes up to a second to give up. The work goes on in the background until its interruption is through.
 */
import { Effect, Fiber } from "effect"

/** Fails with `onDeadline` after `ms` milliseconds. */
export const within =
  <E2>(ms: number, onDeadline: () => E2) => <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<A, E | E2, R> =>
    Effect.flatMap(Effect.forkDetach(work, { startImmediately: true }), (fiber) =>
      Fiber.join(fiber).pipe(
        Effect.timeoutOrElse({ duration: ms, orElse: () => Effect.fail(onDeadline()) }),
        Effect.ensuring(Effect.sync(() => fiber.interruptUnsafe()))
      ))
