/**
 * The clocks of one node: both go with the time of the simulation, the wall clock jumps when the simulation says so,
 * and neither is quite as fast as another node's.
 */
import type { Clock } from "effect"
import { Duration, Effect } from "effect"
import type { SimProcess } from "./SimProcess.ts"

/** What the machine's clocks show; it outlives the processes on it. */
export interface MachineClock {
  /** What the wall clock is ahead of the simulation's time, in milliseconds. */
  wallOffsetMs: number
  /** Milliseconds of the monotonic clock for one of the simulation: close to 1. */
  readonly rate: number
}

export const makeClock = (process: SimProcess, machine: MachineClock): Clock.Clock => {
  const monotonicMs = () => process.nowMs * machine.rate
  const wallMs = () => Math.floor(machine.wallOffsetMs + monotonicMs())
  const wallNanos = () => BigInt(wallMs()) * 1_000_000n
  const monotonicNanos = () => BigInt(Math.floor(monotonicMs() * 1_000_000))
  return {
    currentTimeMillisUnsafe: wallMs,
    currentTimeMillis: Effect.sync(wallMs),
    currentTimeNanosUnsafe: wallNanos,
    currentTimeNanos: Effect.sync(wallNanos),
    monotonicTimeNanosUnsafe: monotonicNanos,
    monotonicTimeNanos: Effect.sync(monotonicNanos),
    sleep: (duration) =>
      Effect.callback<void>((resume) => {
        let interrupted = false
        process.later(Duration.toMillis(duration) / machine.rate, () => {
          if (!interrupted) resume(Effect.void)
        })
        return Effect.sync(() => {
          interrupted = true
        })
      })
  }
}
