/**
 * A sleep for what is looked at again and again and need not be looked at punctually. All that sleep for the same time
 * wake together: a node at rest wakes once for them instead of once for each. Wakes are what such a node costs.
 *
 * Work that never waits is a plain function instead ({@link lookEvery}): all of one interval share one timer.
 */
import { Clock, Duration, Effect } from "effect"
import type { Fiber, Scope } from "effect"
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

/** What one clock has called at one interval. */
class Rounds {
  private readonly clock: Clock.Clock
  private readonly everyMs: number
  private readonly looks = new Set<() => void>()
  private sleeping: Fiber.Fiber<void> | undefined

  constructor(clock: Clock.Clock, everyMs: number) {
    this.clock = clock
    this.everyMs = everyMs
  }

  add(look: () => void): void {
    this.looks.add(look)
    if (this.sleeping === undefined) this.sleep()
  }

  remove(look: () => void): void {
    this.looks.delete(look)
    if (this.looks.size > 0) return
    this.sleeping?.interruptUnsafe()
    this.sleeping = undefined
  }

  private sleep(): void {
    const ms = coalescedMs(monotonicMsOf(this.clock), this.everyMs)
    this.sleeping = Effect.runFork(Effect.map(this.clock.sleep(Duration.millis(ms)), () => this.round()))
  }

  private round(): void {
    this.sleeping = undefined
    for (const look of this.looks) {
      try {
        look()
      } catch (defect) {
        // It may not keep the others from their looks.
        this.looks.delete(look)
        Effect.runFork(
          Effect.logError("what is looked at again and again failed, and is not looked at any more", defect)
        )
      }
    }
    if (this.looks.size > 0 && this.sleeping === undefined) this.sleep()
  }
}

/** By clock, so that tests with clocks of their own do not meet. */
const rounds = new WeakMap<Clock.Clock, Map<number, Rounds>>()

const roundsOf = (clock: Clock.Clock, everyMs: number): Rounds => {
  let ofClock = rounds.get(clock)
  if (ofClock === undefined) rounds.set(clock, ofClock = new Map<number, Rounds>())
  let found = ofClock.get(everyMs)
  if (found === undefined) ofClock.set(everyMs, found = new Rounds(clock, everyMs))
  return found
}

/**
 * Calls `look` about every `everyMs` milliseconds while the scope is open, together with everything else of that
 * interval; the first time within one and a quarter of it. One that throws is logged and called no more.
 */
export const lookEvery = (everyMs: number, look: () => void): Effect.Effect<void, never, Scope.Scope> =>
  Effect.flatMap(Clock.Clock, (clock) => {
    // The same function may be given twice.
    const own = () => look()
    const shared = roundsOf(clock, everyMs)
    return Effect.acquireRelease(
      Effect.sync(() => shared.add(own)),
      () => Effect.sync(() => shared.remove(own))
    )
  })
