import { assert, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import { eventually } from "./Eventually.ts"

it.live("a wait goes on until it holds", () =>
  Effect.gen(function*() {
    let looks = 0
    yield* eventually("the third look", () => ++looks === 3)
    assert.strictEqual(looks, 3)
  }))

it.live(
  "a wait in vain fails before its test does, and says what it waited for",
  () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(eventually("the impossible", Effect.succeed(false)))
      assert.isTrue(Exit.isFailure(exit))
      if (Exit.isFailure(exit)) assert.include(Cause.pretty(exit.cause), "the impossible: not within 900 ms")
    }),
  1_000
)
