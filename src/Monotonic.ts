/**
 * The time that waiting is measured with. Wall clocks jump: an administrator or a time service sets one back by an
 * hour, and a wait by it takes an hour. They are for people only: for log lines and creation dates.
 */
import { Clock, Effect } from "effect"

/** Milliseconds since some time in the past, with fractions. Never goes back. */
export const monotonicMsOf = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

/** The same, of the clock in use. */
export const monotonicMs: Effect.Effect<number> = Effect.map(Clock.Clock, monotonicMsOf)
