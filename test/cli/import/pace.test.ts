import { assert, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Pace } from "../../../src/cli/import/Pace.ts"
import { monotonicMs } from "../../../src/Monotonic.ts"

it.effect("keys take their time, and a page that came late does not have the next ones hurry", () =>
  Effect.gen(function*() {
    const pace = new Pace(yield* Clock.Clock, 100)
    const startMs = yield* monotonicMs
    const reading = yield* Effect.forkChild(Effect.gen(function*() {
      yield* pace.after(10)
      yield* pace.after(20)
      const readMs = yield* monotonicMs
      yield* Effect.sleep(5_000)
      yield* pace.after(10)
      return [readMs - startMs, (yield* monotonicMs) - startMs]
    }))
    yield* TestClock.adjust("10 seconds")
    assert.deepStrictEqual(yield* Fiber.join(reading), [300, 5_400])
  }))

it.effect("without a bound nothing waits", () =>
  Effect.gen(function*() {
    yield* new Pace(yield* Clock.Clock, undefined).after(1_000_000)
  }))
