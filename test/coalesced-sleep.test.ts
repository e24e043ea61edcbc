/** Sleeps that end together. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { coalescedMs, coalescedSleep } from "../src/CoalescedSleep.ts"

describe("a coalesced sleep", () => {
  it("ends at a multiple of its interval, and is never short", () => {
    assert.strictEqual(coalescedMs(0, 1_000), 1_000)
    assert.strictEqual(coalescedMs(300, 1_000), 700)
    assert.strictEqual(coalescedMs(5_750, 1_000), 250)
    assert.strictEqual(coalescedMs(5_751, 1_000), 1_249)
    assert.strictEqual(coalescedMs(999.6, 1_000), 1_001)
    for (let nowMs = 0; nowMs < 3_000; nowMs += 0.7) {
      const ms = coalescedMs(nowMs, 1_000)
      assert.isTrue(ms >= 250 && ms <= 1_250, `${ms} at ${nowMs}`)
      assert.isBelow((nowMs + ms) % 1_000, 1)
    }
  })

  it.effect("that begins later ends with the others", () =>
    Effect.gen(function*() {
      const first = yield* Effect.forkChild(coalescedSleep(1_000))
      yield* TestClock.adjust(600)
      const second = yield* Effect.forkChild(coalescedSleep(1_000))
      yield* TestClock.adjust(399)
      assert.isUndefined(first.pollUnsafe())
      assert.isUndefined(second.pollUnsafe())
      yield* TestClock.adjust(1)
      yield* Fiber.join(first)
      yield* Fiber.join(second)
    }))
})
