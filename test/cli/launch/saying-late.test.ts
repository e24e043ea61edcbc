/** What `flaredb cluster` says while a node, or the cluster, is not ready. */
import { assert, it } from "@effect/vitest"
import { Console, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { sayingLate } from "../../../src/cli/launch/LocalCluster.ts"

it.effect("what is waited for is said every 30 seconds, and not any more once it is there", () =>
  Effect.gen(function*() {
    const said: Array<unknown> = []
    const there = Effect.sleep("100 seconds")
    const waiting = yield* Effect.raceFirst(there, sayingLate("no node leads yet")).pipe(
      Effect.provideService(Console.Console, { ...globalThis.console, error: (text: unknown) => void said.push(text) }),
      Effect.forkChild
    )
    const line = "flaredb: no node leads yet"
    const steps: ReadonlyArray<readonly [seconds: number, lines: number]> = [[29, 0], [1, 1], [29, 1], [1, 2], [30, 3]]
    for (const [seconds, lines] of steps) {
      yield* TestClock.adjust(`${seconds} seconds`)
      assert.deepStrictEqual(said, Array.from({ length: lines }, () => line))
    }
    yield* TestClock.adjust("1 hour")
    yield* Fiber.join(waiting)
    assert.strictEqual(said.length, 3)
  }))
