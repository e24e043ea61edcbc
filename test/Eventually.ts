/** How every test waits: for a state, not for a time. A wait that fails says what it waited for. */
import { Effect } from "effect"
import { TestRunner } from "vitest"
import { eventually as within } from "../src/testing/Checks.ts"

/** How long the running test may still wait for something, in milliseconds: shortly less than what is left of its time. */
export const waitMs = (): number => {
  const test = TestRunner.getCurrentTest()
  if (test === undefined) return 30_000
  const tookMs = Date.now() - (test.result?.startTime ?? Date.now())
  return Math.max(100, test.timeout * 0.95 - tookMs)
}

/**
 * Looks until something holds. Fails shortly before the running test's own time is over, because a test that times out does
 * not say where it was. A slow machine needs no larger number than the test has.
 */
export const eventually = <E = never, R = never>(
  what: string,
  holds: (() => boolean) | Effect.Effect<boolean, E, R>
): Effect.Effect<void, E, R> =>
  Effect.suspend(() => within(what, typeof holds === "function" ? Effect.sync(holds) : holds, waitMs()))
