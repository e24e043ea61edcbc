/** How every test waits: for a state, not for a time. A wait that fails says what it waited for. */
import { Effect } from "effect"
import { TestRunner } from "vitest"
import { eventually as within } from "../src/testing/Checks.ts"

/** How long the running test may wait for something, in milliseconds: shortly less than it may take. */
export const waitMs = (): number => (TestRunner.getCurrentTest()?.timeout ?? 30_000) * 0.9

/**
 * Looks until something holds. Fails shortly before the running test's own time is over, because a test that times out does
 * not say where it was. A slow machine needs no larger number than the test has.
 */
export const eventually = <E = never, R = never>(
  what: string,
  holds: (() => boolean) | Effect.Effect<boolean, E, R>
): Effect.Effect<void, E, R> =>
  Effect.suspend(() => within(what, typeof holds === "function" ? Effect.sync(holds) : holds, waitMs()))
