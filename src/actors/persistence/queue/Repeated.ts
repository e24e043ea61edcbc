/** Repeating what a queue asks of the store until it is known what became of it. */
import { Effect, Schedule } from "effect"
import type { ReadFailure, WriteFailure } from "../../../client/KeyValue.ts"
import { outcomeOf } from "../../Outcome.ts"

/** Pause before something that failed is tried again, in milliseconds. */
export const retryMs = 200

export const pause: Effect.Effect<void> = Effect.sleep(retryMs)

const isOpen = (failure: WriteFailure): boolean => {
  const outcome = outcomeOf(failure)
  return outcome === "unknown" || outcome === "later"
}

/**
 * Repeats a write that cannot take effect twice. It fails when the store refuses it. Failures are rare: the machinery
 * of a schedule is made when there is one.
 */
export const repeated = <A>(write: Effect.Effect<A, WriteFailure>): Effect.Effect<A, WriteFailure> =>
  Effect.catch(write, (failure) =>
    isOpen(failure)
      ? Effect.andThen(pause, Effect.retry(write, { schedule: Schedule.spaced(retryMs), while: isOpen }))
      : Effect.fail(failure))

/**
 * Repeats a read until it is answered. A process must know of every element that it has claimed: otherwise no worker
 * handles the element while the process lives.
 */
export const answered = <A>(
  what: string,
  read: Effect.Effect<A, ReadFailure | WriteFailure>
): Effect.Effect<A> =>
  Effect.catch(
    read,
    (failure) =>
      Effect.logWarning(`${what} is not known yet: it is asked for until it is`, failure).pipe(
        Effect.andThen(pause),
        Effect.andThen(Effect.orDie(Effect.retry(read, Schedule.spaced(retryMs))))
      )
  )

/** The same of the cluster's time, which is seldom unknown: the machinery of a schedule is made when it is. */
export const untilKnown = (now: Effect.Effect<number, unknown>): Effect.Effect<number> =>
  Effect.catch(now, () => Effect.orDie(Effect.retry(now, Schedule.spaced(retryMs))))
