/**
 * A sleep for what is looked at again and again and need not be looked at punctually. All that sleep for the same time
 * wake together: a node at rest wakes once for them instead of once for each. Wakes are what such a node costs.
 */
import { Clock, Effect } from "effect"
import { monotonicMsOf } from "./Monotonic.ts"

/** The share of an interval that is too short a sleep: a timer that came a little early is not followed at once. */
const shortest = 0.25

/** Milliseconds until the next multiple of `everyMs`, from a quarter of it to one and a quarter. */
export const coalescedMs = (nowMs: number, everyMs: number): number => {
  const left = everyMs - nowMs % everyMs
  return Math.ceil(left < everyMs * shortest ? left + everyMs : left)
}

/** Sleeps for about `everyMs` milliseconds, until the clock's next multiple of that. */
export const coalescedSleep = (everyMs: number): Effect.Effect<void> =>
  Effect.flatMap(Clock.Clock, (clock) => Effect.sleep(coalescedMs(monotonicMsOf(clock), everyMs)))
