/** Has messages read that wait for a time, when that has come. */
import { Effect } from "effect"
import type { Latch } from "effect"
import type { LogTimeFailure } from "../LogTime.ts"
import type { WaitingItems } from "./WaitingItems.ts"

/**
 * The longest wait for a message that is due later, and how long before that the time is asked for again, in
 * milliseconds: the clock of a machine goes a little faster or slower.
 */
const maxWaitMs = 3_600_000
const lookAgainMs = 10_000

/** Pause before the time is asked for again when it is not known, in milliseconds. */
const pauseMs = 500

export interface WakeParts {
  readonly waiting: WaitingItems
  /** Open when something is due at an earlier time than all before. */
  readonly due: Latch.Latch
  /** There may be something to read. */
  readonly work: () => void
  /** The time that says whether a message is due, in milliseconds since 1970. */
  readonly now: Effect.Effect<number, LogTimeFailure>
}

export const wakeWhenDue = ({ due, now, waiting, work }: WakeParts): Effect.Effect<never> =>
  Effect.suspend(() => {
    due.closeUnsafe()
    if (!Number.isFinite(waiting.nextDueMs)) return due.await
    return Effect.flatMap(now, (nowMs) => {
      const leftMs = waiting.nextDueMs - nowMs
      if (leftMs <= 0) {
        waiting.moveDue(nowMs)
        work()
        return Effect.void
      }
      const waitMs = leftMs > 2 * lookAgainMs ? Math.min(maxWaitMs, leftMs - lookAgainMs) : leftMs
      return Effect.timeoutOption(due.await, Math.max(1, waitMs))
    })
  }).pipe(
    Effect.catch(() => Effect.sleep(pauseMs)),
    Effect.forever
  )
