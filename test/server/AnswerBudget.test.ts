/** Room for answers: who waits, who is refused, and that nobody waits for ever. */
import { assert, it } from "@effect/vitest"
import type { Duration } from "effect"
import { Clock, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { AnswerBudget, maxWaiting, maxWaitMs } from "../../src/server/AnswerBudget.ts"

const make = (maxBytes: number) => {
  const time = { ms: 0 }
  return { time, budget: new AnswerBudget(maxBytes, () => time.ms) }
}

const waits = <A>(effect: Effect.Effect<A>) => Effect.forkChild(effect, { startImmediately: true })

it.effect("one connection has a quarter, and leaves the rest to others", () =>
  Effect.gen(function*() {
    const { budget } = make(400)
    const first = budget.room(1)
    assert.isUndefined(yield* first.reserve(1_000))
    assert.strictEqual(budget.bytes, 100)
    const second = yield* waits(budget.room(1).reserve(10))
    assert.strictEqual(budget.waiting, 1)
    assert.isUndefined(yield* budget.room(2).reserve(100))
    assert.strictEqual(budget.waiting, 1)
    first.release()
    assert.isUndefined(yield* Fiber.join(second))
    assert.strictEqual(budget.bytes, 110)
  }))

it.effect("at the bound the next waits for its turn, in order", () =>
  Effect.gen(function*() {
    const { budget } = make(400)
    const full = [1, 2, 3, 4].map((clientId) => budget.room(clientId))
    for (const room of full) assert.isUndefined(yield* room.reserve(100))
    const order: Array<number> = []
    const fibers = yield* Effect.forEach(
      [5, 6],
      (clientId) => waits(Effect.map(budget.room(clientId).reserve(100), () => order.push(clientId)))
    )
    full[0]?.release()
    yield* Fiber.join(fibers[0] as Fiber.Fiber<number>)
    assert.deepStrictEqual([order, budget.waiting], [[5], 1])
    full[1]?.release()
    yield* Fiber.join(fibers[1] as Fiber.Fiber<number>)
    assert.deepStrictEqual(order, [5, 6])
  }))

it.effect("whoever holds answers is refused instead, so that no two wait for each other", () =>
  Effect.gen(function*() {
    const { budget } = make(400)
    const [one, other] = [budget.room(1), budget.room(1)]
    for (const room of [one, other]) {
      assert.isUndefined(yield* room.reserve(50))
      room.trim(50)
    }
    assert.deepInclude(yield* one.reserve(80), { _tag: "Overloaded", limit: "maxPendingAnswerBytes of one connection" })
    assert.strictEqual(budget.waiting, 0)
  }))

it.effect("a wait ends with its time, with its connection, and is refused when too many wait", () =>
  Effect.gen(function*() {
    const { budget, time } = make(4)
    for (const clientId of [1, 2, 3, 4]) yield* budget.room(clientId).reserve(1)
    const late = yield* waits(budget.room(5).reserve(1))
    time.ms = maxWaitMs
    budget.sweep()
    assert.deepInclude(yield* Fiber.join(late), { _tag: "Overloaded", limit: "maxPendingAnswerBytes" })

    const gone = yield* waits(budget.room(5).reserve(1))
    yield* Fiber.interrupt(gone)
    assert.strictEqual(budget.waiting, 0)

    const share = maxWaiting / 4
    for (let i = 0; i < share; i++) yield* waits(budget.room(6).reserve(1))
    assert.deepInclude(yield* budget.room(6).reserve(1), { _tag: "Overloaded" })
    const other = yield* waits(budget.room(7).reserve(1))
    assert.strictEqual(budget.waiting, share + 1)
    yield* Fiber.interrupt(other)
  }))

it.effect("everything comes back", () =>
  Effect.gen(function*() {
    const { budget } = make(1_000)
    const rooms = Array.from({ length: 50 }, (_, clientId) => budget.room(clientId))
    const fibers = yield* Effect.forEach(rooms, (room) => waits(room.reserve(200)))
    for (let left = 50; left > 0; left--) for (const room of rooms) if (room.bytes > 0) room.release()
    assert.isTrue((yield* Effect.forEach(fibers, Fiber.await)).every(Exit.isSuccess))
    for (const room of rooms) room.release()
    assert.deepStrictEqual([budget.bytes, budget.waiting], [0, 0])
  }))

it.effect("nothing is swept while no call waits, and a call that waits is refused in time", () =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    let sleeps = 0
    const counted = {
      ...clock,
      currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
      sleep: (duration: Duration.Duration) => Effect.suspend(() => (sleeps += 1, clock.sleep(duration)))
    }
    const budget = new AnswerBudget(400, () => clock.currentTimeMillisUnsafe())
    yield* Effect.provideService(
      Effect.forkScoped(budget.sweeping(250), { startImmediately: true }),
      Clock.Clock,
      counted as unknown as Clock.Clock
    )
    yield* TestClock.adjust(10_000)
    assert.strictEqual(sleeps, 0)
    const first = budget.room(1)
    assert.isUndefined(yield* first.reserve(100))
    const second = yield* waits(budget.room(1).reserve(10))
    yield* TestClock.adjust(maxWaitMs - 1)
    assert.isUndefined(second.pollUnsafe())
    yield* TestClock.adjust(251)
    assert.deepInclude(yield* Fiber.join(second), { _tag: "Overloaded" })
    const swept = sleeps
    yield* TestClock.adjust(10_000)
    assert.isAtMost(sleeps, swept + 1)
  }))
