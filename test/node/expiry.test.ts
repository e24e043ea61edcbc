/** How often a leader looks for what is due. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"
import { monotonicMsOf } from "../../src/Monotonic.ts"
import type { ExpiryOptions } from "../../src/node/Expiry.ts"
import * as Expiry from "../../src/node/Expiry.ts"
import { LogClock } from "../../src/node/LogClock.ts"

/** Starts the loop over a machine with nothing due, and answers with the times at which it was asked. */
const looks = Effect.fnUntraced(function*(untilDueMs?: (logTimeMs: number) => number) {
  const clock = yield* Clock.Clock
  const monotonicMs = () => monotonicMsOf(clock)
  const askedMs: Array<number> = []
  const machine = {
    due: () => Effect.sync(() => (askedMs.push(monotonicMs()), [])),
    ...(untilDueMs === undefined ? {} : { untilDueMs })
  } as unknown as ExpiryOptions["machine"]
  const loop = Expiry.run({
    machine,
    clock: new LogClock({ startMs: 0, knowsTime: true, monotonicMs, maxStepMs: 10_000 }),
    leads: () => true,
    leading: Effect.never,
    readBarrier: Effect.void,
    propose: () => Effect.succeed([])
  })
  yield* Effect.forkScoped(loop, { startImmediately: true })
  return askedMs
})

describe("a leader", () => {
  it.effect("asks a machine that does not say when anything is due five times a second", () =>
    Effect.gen(function*() {
      const asked = yield* looks()
      yield* TestClock.adjust(1_000)
      assert.deepStrictEqual(asked, [200, 400, 600, 800, 1_000])
    }))

  it.effect("asks once a second while nothing can be due before it asks again", () =>
    Effect.gen(function*() {
      const asked = yield* looks(() => Infinity)
      yield* TestClock.adjust(4_000)
      assert.deepStrictEqual(asked, [1_000, 2_000, 3_000, 4_000])
    }))

  it.effect("finds what is due no more than 200 ms late, also what came to be just after it looked", () =>
    Effect.gen(function*() {
      let deadlineMs = Infinity
      const asked = yield* looks((logTimeMs) => deadlineMs - logTimeMs)
      yield* TestClock.adjust(1_001)
      // The shortest time to live.
      deadlineMs = 2_001
      yield* TestClock.adjust(1_999)
      assert.deepStrictEqual(asked, [1_000, 2_000, 2_200, 2_400, 2_600, 2_800, 3_000])
      // What ends farther off is looked for in time, wherever the calm looks fall.
      deadlineMs = 4_150
      yield* TestClock.adjust(1_350)
      assert.isTrue(asked.some((ms) => ms >= deadlineMs && ms <= deadlineMs + 200), `${asked}`)
    }))
})
