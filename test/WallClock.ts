/** Clocks whose time on the wall is another one, as of a machine whose clock was set; what they measure is the same. */
import { Clock, Effect } from "effect"

/** `clock`, with the time on the wall that `wallMs` says, in milliseconds since 1970. */
export const withWall = (clock: Clock.Clock, wallMs: () => number): Clock.Clock => {
  const wallNanos = () => BigInt(Math.floor(wallMs())) * 1_000_000n
  return {
    ...clock,
    sleep: (duration) => clock.sleep(duration),
    currentTimeMillisUnsafe: wallMs,
    currentTimeMillis: Effect.sync(wallMs),
    currentTimeNanosUnsafe: wallNanos,
    currentTimeNanos: Effect.sync(wallNanos),
    monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: clock.monotonicTimeNanos
  }
}

/** `clock`, ahead by so many milliseconds, or behind. */
export const aheadBy = (clock: Clock.Clock, ms: number): Clock.Clock =>
  withWall(clock, () => clock.currentTimeMillisUnsafe() + ms)

/** Has a program and all that it makes keep a time that is ahead. */
export const ahead = (ms: number) => Effect.updateService(Clock.Clock, (clock) => aheadBy(clock, ms))
