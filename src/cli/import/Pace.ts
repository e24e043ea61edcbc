/** A bound on how fast keys are read. */
import type { Clock } from "effect"
import { Effect } from "effect"
import { monotonicMsOf } from "../../Monotonic.ts"

export class Pace {
  private readonly clock: Clock.Clock
  private readonly keysPerSecond: number | undefined
  /** When the next page may be read. */
  private nextMs = 0

  constructor(clock: Clock.Clock, keysPerSecond: number | undefined) {
    this.clock = clock
    this.keysPerSecond = keysPerSecond
  }

  /** Waits as long as these keys may take, since the ones before. */
  after(keys: number): Effect.Effect<void> {
    const { keysPerSecond } = this
    if (keysPerSecond === undefined) return Effect.void
    return Effect.suspend(() => {
      const nowMs = monotonicMsOf(this.clock)
      this.nextMs = Math.max(this.nextMs, nowMs) + 1_000 * keys / keysPerSecond
      return Effect.sleep(this.nextMs - nowMs)
    })
  }
}
