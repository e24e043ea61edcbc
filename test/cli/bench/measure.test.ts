/** A process of the load that is stuck does not hold up a measurement for ever. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { told } from "../../../src/cli/bench/Measure.ts"

it.effect("a process of the load has the time of its work and a minute, and then it is named", () =>
  Effect.gen(function*() {
    const stuck = { pid: 4711, line: () => new Promise<string>(() => undefined) }
    const waiting = yield* Effect.forkChild(Effect.flip(told(stuck, 60_000)))
    yield* TestClock.adjust("119 seconds")
    assert.isUndefined(waiting.pollUnsafe())
    yield* TestClock.adjust("1 second")
    assert.strictEqual((yield* Fiber.join(waiting)).line, "process 4711 of the load said nothing for 2m")
  }))
