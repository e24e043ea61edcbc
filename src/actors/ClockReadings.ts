/** What a process knows of a time of the cluster: readings of it, each of which was late by an unknown delay. */
import type { Clock, Effect } from "effect"
import { Latch } from "effect"
import { monotonicMsOf } from "../Monotonic.ts"

/** Age of a reading from which on another one is taken, in milliseconds. */
export const renewAfterMs = 5_000

/** Readings that are remembered. */
const maxReadings = 8

/**
 * By what share two monotonic clocks may run apart: crystals are good to some 50 millionths. A reading of ten seconds
 * ago counts as one millisecond earlier.
 */
const maxDrift = 1e-4

interface Reading {
  /** That time less monotonic time, in milliseconds. A delay of the reading makes it smaller, and never larger. */
  readonly offset: number
  readonly atMs: number
}

/**
 * Two readings in a row are hardly delayed by so many milliseconds: the log's clock stood still, because no node led,
 * or the clocks of most nodes were set back, and earlier readings are wrong.
 */
const maxDelayMs = 100

const best = (readings: ReadonlyArray<Reading>, nowMs: number): number => {
  let most = -Infinity
  for (let i = 0; i < readings.length; i++) {
    const { atMs, offset } = readings[i] as Reading
    most = Math.max(most, offset - maxDrift * (nowMs - atMs))
  }
  return most
}

/**
 * The last readings of the time. Between them this process's monotonic clock goes on. The reading that came with
 * the least delay counts, for as long as drift has not made it worse than a later one.
 */
export class ClockReadings {
  private readonly clock: Clock.Clock
  private readonly first = Latch.makeUnsafe(false)
  /** The oldest first. */
  private all: ReadonlyArray<Reading> = []

  constructor(clock: Clock.Clock) {
    this.clock = clock
  }

  get isEmpty(): boolean {
    return this.all.length === 0
  }

  /** Ends with the first reading. */
  get awaitFirst(): Effect.Effect<void> {
    return this.first.await
  }

  readonly add = (timeMs: number): void => {
    const atMs = monotonicMsOf(this.clock)
    const all = [...this.all.slice(1 - maxReadings), { offset: timeMs - atMs, atMs }]
    const lastTwo = all.slice(-2)
    this.all = best(all, atMs) - best(lastTwo, atMs) > maxDelayMs ? lastTwo : all
    this.first.openUnsafe()
  }

  /** The time and the age of the last reading, in milliseconds; nothing before the first. */
  now(): { readonly timeMs: number; readonly ageMs: number } | undefined {
    const last = this.all[this.all.length - 1]
    if (last === undefined) return undefined
    const nowMs = monotonicMsOf(this.clock)
    return { timeMs: Math.floor(nowMs + best(this.all, nowMs)), ageMs: nowMs - last.atMs }
  }
}
