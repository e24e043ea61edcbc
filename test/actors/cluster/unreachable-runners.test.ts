/** Calls that are not persisted, to a runner that is registered and cannot be reached. */
import { assert, it } from "@effect/vitest"
import { Effect, Logger } from "effect"
import type { Runners } from "effect/cluster"
import { ClusterError, RunnerAddress } from "effect/cluster"
import { TestClock } from "effect/testing"
import { sayingUnreachable } from "../../../src/actors/cluster/UnreachableRunners.ts"

type Send = Runners.Runners["Service"]["send"]

const there = RunnerAddress.make("10.0.0.7", 34431)
const other = RunnerAddress.make("10.0.0.8", 34431)

it.effect("a runner that gives no answer for ten seconds is named once, and again after it answered", () => {
  const lines: Array<string> = []
  const logger = Logger.make(({ message }) => void lines.push(String(message)))
  let answers = false
  const { send } = sayingUnreachable(
    {
      send: ({ address }: { readonly address: RunnerAddress.RunnerAddress }) =>
        answers ? Effect.void : Effect.fail(new ClusterError.RunnerUnavailable({ address }))
    } as unknown as Runners.Runners["Service"]
  )
  /** What Effect does with a call that waits. */
  const trying = Effect.fnUntraced(function*(address: RunnerAddress.RunnerAddress, seconds: number) {
    for (let passed = 0; passed < seconds; passed++) {
      yield* Effect.ignore(send({ address } as unknown as Parameters<Send>[0]))
      yield* TestClock.adjust("1 second")
    }
  })
  return Effect.gen(function*() {
    // It died, and another one has its shards.
    yield* trying(there, 9)
    yield* TestClock.adjust("1 hour")
    yield* trying(there, 9)
    assert.deepStrictEqual(lines, [])
    yield* trying(there, 60)
    assert.lengthOf(lines, 1)
    assert.include(lines[0], "10.0.0.7:34431")
    assert.include(lines[0], "10000 ms")
    yield* trying(other, 60)
    assert.lengthOf(lines, 2)
    answers = true
    yield* trying(there, 1)
    answers = false
    yield* trying(there, 9)
    assert.lengthOf(lines, 2)
    yield* trying(there, 9)
    assert.lengthOf(lines, 3)
  }).pipe(Effect.provide(Logger.layer([logger])))
})
