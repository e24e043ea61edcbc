/** Deadlines on one timer: each is told once, not before its time, and soon after it. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { Deadlines } from "../../../src/client/session/Deadlines.ts"
import { monotonicMs } from "../../../src/Monotonic.ts"

const started = Effect.gen(function*() {
  const deadlines = new Deadlines()
  yield* deadlines.start
  const nowMs = yield* monotonicMs
  const expired: Array<number> = []
  const item = (afterMs: number) => ({ deadlineMs: nowMs + afterMs, expire: () => void expired.push(afterMs) })
  return { deadlines, expired, item }
})

it.effect("expire at their time and not before, each once", () =>
  Effect.gen(function*() {
    const { deadlines, expired, item } = yield* started
    for (const afterMs of [100, 1_000, 105]) deadlines.add(item(afterMs))
    yield* TestClock.adjust(80)
    assert.deepStrictEqual(expired, [])
    yield* TestClock.adjust(60)
    assert.deepStrictEqual([...expired].sort(), [100, 105])
    yield* TestClock.adjust(10_000)
    assert.deepStrictEqual(expired.slice(2), [1_000])
  }))

it.effect("are forgotten when they are removed, and the timer goes on for those that come later", () =>
  Effect.gen(function*() {
    const { deadlines, expired, item } = yield* started
    const removed = item(100)
    deadlines.add(removed)
    deadlines.remove(removed)
    deadlines.remove(removed)
    yield* TestClock.adjust(5_000)
    assert.deepStrictEqual(expired, [])
    deadlines.add(item(6_000))
    yield* TestClock.adjust(1_100)
    assert.deepStrictEqual(expired, [6_000])
  }))

it.effect("expire all at once when the client ends", () =>
  Effect.gen(function*() {
    const { deadlines, expired, item } = yield* started
    deadlines.add(item(60_000))
    deadlines.add(item(90_000))
    deadlines.expireAll()
    assert.deepStrictEqual(expired, [60_000, 90_000])
    yield* TestClock.adjust(100_000)
    assert.lengthOf(expired, 2)
  }))
