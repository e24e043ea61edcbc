import { assert, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"
import { ClockReadings } from "../../src/actors/ClockReadings.ts"

/** Readings of a log whose clock is ahead of this process's by `aheadMs`, each late by a delay. */
const readingsOf = Effect.fnUntraced(function*(aheadMs: number) {
  const clock = yield* Clock.Clock
  const readings = new ClockReadings(clock)
  let ahead = aheadMs
  const logTime = () => clock.currentTimeMillisUnsafe() + ahead
  return {
    readings,
    read: (delayMs: number) => readings.add(logTime() - delayMs),
    /** By how much the time that is given is late. */
    late: () => logTime() - (readings.now()?.timeMs ?? NaN),
    standStill: (ms: number) => {
      ahead -= ms
    }
  }
})

it.effect("the reading with the least delay counts", () =>
  Effect.gen(function*() {
    const { late, read, readings } = yield* readingsOf(7_000)
    assert.isUndefined(readings.now())
    for (const delay of [9, 3, 20]) read(delay)
    assert.strictEqual(late(), 3)
  }))

it.effect("an early reading loses by the drift of clocks, and is forgotten after eight others", () =>
  Effect.gen(function*() {
    const { late, read } = yield* readingsOf(7_000)
    read(1)
    yield* TestClock.adjust("20 seconds")
    read(9)
    assert.strictEqual(late(), 3)
    for (let i = 0; i < 7; i++) read(9)
    assert.strictEqual(late(), 9)
  }))

it.effect("where the log's clock stood still, the time is early for one reading at most", () =>
  Effect.gen(function*() {
    const { late, read, standStill } = yield* readingsOf(7_000)
    for (let i = 0; i < 5; i++) read(2)
    standStill(2_000)
    read(4)
    assert.strictEqual(late(), 2 - 2_000)
    read(5)
    assert.strictEqual(late(), 4)
  }))

it.effect("one slow reading changes nothing", () =>
  Effect.gen(function*() {
    const { late, read } = yield* readingsOf(7_000)
    for (const delay of [2, 3, 2_000]) read(delay)
    assert.strictEqual(late(), 2)
  }))
