import { assert, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import { eventually as within } from "../src/testing/Checks.ts"
import { eventually, waitMs } from "./Eventually.ts"

it.live("a wait goes on until it holds", () =>
  Effect.gen(function*() {
    let looks = 0
    yield* eventually("the third look", () => ++looks === 3)
    assert.strictEqual(looks, 3)
  }))

it.live("a wait in vain says what it waited for", () =>
  Effect.gen(function*() {
    const exit = yield* Effect.exit(within("the impossible", Effect.succeed(false), 20))
    assert.isTrue(Exit.isFailure(exit))
    if (Exit.isFailure(exit)) assert.include(Cause.pretty(exit.cause), "the impossible: not within 20 ms")
  }))

it.live(
  "a wait ends before its test does, whatever the test did before",
  () =>
    Effect.gen(function*() {
      assert.isAtMost(waitMs(), 19_000)
      yield* Effect.sleep(500)
      assert.isAtMost(waitMs(), 18_500)
      assert.isAbove(waitMs(), 0)
    }),
  20_000
)
