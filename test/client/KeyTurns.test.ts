/** Turns at keys: one at a time for each key, in the order of asking, and no turn is lost with whoever waits for it. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { KeyTurns } from "../../src/client/KeyTurns.ts"

const a = Uint8Array.of(1)
const b = Uint8Array.of(2)
const fork = <A, E>(work: Effect.Effect<A, E>) => Effect.forkChild(work, { startImmediately: true })

it.effect("one works on a key at a time, in the order of asking; other keys are free", () =>
  Effect.gen(function*() {
    const turns = new KeyTurns()
    const done: Array<string> = []
    const gate = yield* Deferred.make<void>()
    const late = () => "late" as const
    const first = yield* fork(turns.take(a, 1_000, late, Deferred.await(gate)))
    const next = yield* Effect.forEach(["second", "third"], (name) =>
      fork(turns.take(a, 1_000, late, Effect.sync(() => void done.push(name)))))
    yield* turns.take(
      b,
      1_000,
      late,
      Effect.sync(() =>
        void done.push("other key")
      )
    )
    assert.deepStrictEqual(done, ["other key"])
    yield* Deferred.succeed(gate, undefined)
    yield* Effect.forEach([first, ...next], (fiber) => Fiber.join(fiber), { discard: true })
    assert.deepStrictEqual(done, ["other key", "second", "third"])
  }))

it.effect("whoever waits too long fails, and those behind it still have their turn", () =>
  Effect.gen(function*() {
    const turns = new KeyTurns()
    const gate = yield* Deferred.make<void>()
    const first = yield* fork(turns.take(a, 1_000, () => "late", Deferred.await(gate)))
    const late = yield* fork(Effect.flip(turns.take(a, 100, () => "late", Effect.void)))
    const third = yield* fork(turns.take(a, 60_000, () => "late", Effect.succeed("third")))
    yield* TestClock.adjust(100)
    assert.strictEqual(yield* Fiber.join(late), "late")
    assert.isUndefined(third.pollUnsafe())
    yield* Deferred.succeed(gate, undefined)
    yield* Fiber.join(first)
    assert.strictEqual(yield* Fiber.join(third), "third")
  }))

it.effect("a turn ends with its work, however that ends", () =>
  Effect.gen(function*() {
    const turns = new KeyTurns()
    const take = <A, E>(work: Effect.Effect<A, E>) => turns.take(a, 1_000, () => "late", work)
    assert.strictEqual(yield* Effect.flip(take(Effect.fail("failed"))), "failed")
    const working = yield* fork(take(Effect.never))
    const waiting = yield* fork(take(Effect.never))
    const behind = yield* fork(take(Effect.succeed("behind")))
    yield* Fiber.interrupt(waiting)
    yield* Fiber.interrupt(working)
    assert.strictEqual(yield* Fiber.join(behind), "behind")
    assert.strictEqual(yield* take(Effect.succeed("again")), "again")
  }))
