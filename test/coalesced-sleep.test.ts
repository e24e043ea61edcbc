/** Sleeps that end together. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Logger, Scope } from "effect"
import { TestClock } from "effect/testing"
import { coalescedMs, coalescedSleep, lookEvery } from "../src/CoalescedSleep.ts"

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

describe("looks of one interval", () => {
  it.effect("come together, each for as long as its scope is open", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const scope = yield* Scope.make()
      yield* lookEvery(1_000, () => seen.push("first"))
      yield* TestClock.adjust(600)
      yield* Scope.provide(lookEvery(1_000, () => seen.push("second")), scope)
      yield* TestClock.adjust(399)
      assert.deepStrictEqual(seen, [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(seen, ["first", "second"])
      yield* TestClock.adjust(1_000)
      assert.deepStrictEqual(seen, ["first", "second", "first", "second"])
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust(1_000)
      assert.deepStrictEqual(seen.slice(4), ["first"])
    }))

  it.effect("begin again after all of them had ended", () =>
    Effect.gen(function*() {
      let count = 0
      for (let time = 1; time <= 3; time++) {
        yield* Effect.scoped(Effect.andThen(lookEvery(500, () => count += 1), TestClock.adjust(500)))
        yield* TestClock.adjust(2_000)
        assert.strictEqual(count, time)
      }
    }))

  it.effect("that end others, or themselves, do not hold up the rest", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const scope = yield* Scope.make()
      yield* Scope.provide(
        lookEvery(1_000, () => {
          seen.push("ends all of its scope")
          Effect.runFork(Scope.close(scope, Exit.void))
        }),
        scope
      )
      yield* Scope.provide(lookEvery(1_000, () => seen.push("of the same scope")), scope)
      yield* TestClock.adjust(1_000)
      yield* lookEvery(1_000, () => seen.push("new"))
      yield* TestClock.adjust(1_000)
      assert.deepStrictEqual(seen, ["ends all of its scope", "new"])
    }))

  it.effect("that throw are not called again, and keep no other from its look", () =>
    Effect.gen(function*() {
      let broken = 0
      let fine = 0
      yield* lookEvery(1_000, () => {
        broken += 1
        throw new Error("a look with a bug")
      })
      yield* lookEvery(1_000, () => fine += 1)
      yield* TestClock.adjust(3_000)
      assert.deepStrictEqual([broken, fine], [1, 3])
    }).pipe(Effect.provide(Logger.layer([]))))
})
