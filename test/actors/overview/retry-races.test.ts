/** Dead letters that several operators retry and drop at once, beside cleanup, and by clocks that are wrong. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Layer, Schedule, Schema, Stream } from "effect"
import { PersistedQueue } from "effect/persistence"
import type { DeadLetter } from "../../../src/actors/index.ts"
import { layerPersistedQueue, layerPersistedQueueStore, Overview } from "../../../src/actors/index.ts"
import { eventually } from "../../Eventually.ts"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import { Indeterminate } from "../../../src/FlareDbError.ts"
import { ahead } from "../../WallClock.ts"
import type { Services } from "../Stores.ts"
import { memory } from "../Stores.ts"

const name = "jobs"

const queueOf = (services: Services) =>
  Effect.flatMap(
    Layer.build(Layer.fresh(Layer.provide(layerPersistedQueue(), services))),
    (context) =>
      Context.get(context, PersistedQueue.PersistedQueueFactory).make({
        name,
        schema: Schema.Number,
        maxAttempts: 1,
        retrySchedule: Schedule.spaced(1)
      })
  )

const operator = (services: Services) =>
  Effect.map(Layer.build(Layer.fresh(Layer.provide(Overview.layer(), services))), Context.get(Overview))

const fail = Effect.fnUntraced(function*(queue: Effect.Success<ReturnType<typeof queueOf>>, count: number) {
  for (let n = 0; n < count; n++) {
    yield* queue.offer(n, { id: String(n) })
    yield* Effect.flip(queue.take(() => Effect.fail("no luck")))
  }
})

const letters = (overview: Overview["Service"]) => Stream.runCollect(overview.deadLetters(name))

it.live("a dead letter that is retried by a clock that is ahead is taken at once", () =>
  Effect.scoped(Effect.gen(function*() {
    const services = yield* memory
    const queue = yield* queueOf(services)
    const overview = yield* operator(services)
    yield* fail(queue, 3)
    yield* queue.offer(7, { id: "later", delay: "1 hour" })
    yield* eventually("all have failed", Effect.map(letters(overview), ({ length }) => length === 3))
    const changed = yield* ahead(7_200_000)(overview.retryAll(name))
    assert.strictEqual(changed.changed, 3)
    yield* queue.offer(8)
    const taken = yield* Effect.forEach([0, 1, 2, 3], () => queue.take(Effect.succeed))
    assert.deepStrictEqual(taken, [0, 1, 2, 8])
  })))

it.live("dead letters that two operators retry and drop beside a cleanup are retried or removed, each once", () =>
  Effect.scoped(Effect.gen(function*() {
    const services = yield* memory
    const queue = yield* queueOf(services)
    const count = 40
    yield* fail(queue, count)
    const [one, other] = yield* Effect.all([operator(services), operator(services)])
    yield* eventually("all have failed", Effect.map(letters(one), ({ length }) => length === count))
    const store = Context.get(
      yield* Layer.build(Layer.fresh(Layer.provide(layerPersistedQueueStore(), services))),
      PersistedQueue.PersistedQueueStore
    )
    const cleanup = store.cleanup({ timeToLive: Duration.hours(1), failedTimeToLive: Duration.zero })
    const [first, second, dropped] = yield* Effect.all(
      [one.retryAll(name), other.retryAll(name), other.dropAll(name), cleanup],
      { concurrency: "unbounded" }
    )
    assert.deepStrictEqual(yield* letters(one), [])
    const retried = first.changed + second.changed
    const [{ waiting = 0 } = {}] = yield* one.queues()
    assert.strictEqual(waiting, retried)
    const taken = yield* Effect.forEach(Array.from({ length: retried }), () => queue.take(Effect.succeed))
    assert.strictEqual(new Set(taken).size, retried)
    // Whose letters are gone have their ids free; the others were taken just now.
    yield* Effect.forEach(Array.from({ length: count }, (_, n) => n), (n) => queue.offer(100 + n, { id: String(n) }))
    const [after] = yield* one.queues()
    assert.strictEqual(after?.waiting, count - retried)
    assert.isAtMost(retried + dropped.changed, count)
  })))

/** Writes of an operator whose first answer is lost, before or after something else happens. */
const losingOne = (services: Services, took: boolean, meanwhile: () => Effect.Effect<unknown, unknown>): Services =>
  Layer.provideMerge(
    Layer.effect(
      KeyValue,
      Effect.map(KeyValue, (kv) => {
        let lost = false
        return KeyValue.of({
          ...kv,
          transact: (txn, options) =>
            Effect.suspend(() => {
              if (lost) return kv.transact(txn, options)
              lost = true
              return Effect.andThen(
                Effect.andThen(took ? kv.transact(txn, options) : Effect.void, Effect.orDie(meanwhile())),
                Effect.fail(new Indeterminate({ reason: "the answer was lost" }))
              )
            })
        })
      })
    ),
    services
  )

describe("of two operators, one of whom loses an answer,", () => {
  type Change = (overview: Overview["Service"], letter: DeadLetter) => Effect.Effect<boolean, unknown>
  const retry: Change = (overview, letter) => overview.retry(name, letter)
  const drop: Change = (overview, letter) => overview.drop(letter)
  const table: ReadonlyArray<
    readonly [what: string, took: boolean, one: Change, other: Change | undefined, told: unknown]
  > = [
    ["the one who did not retry a letter is not told so", false, retry, retry, "Indeterminate"],
    ["nor when the other one dropped it", false, retry, drop, "Indeterminate"],
    ["nor is who did not drop a letter that was retried", false, drop, retry, "Indeterminate"],
    ["the one who retried it is told so", true, retry, retry, true],
    ["and who dropped it", true, drop, drop, true],
    ["and who is alone", false, retry, undefined, true]
  ]
  for (const [what, took, one, other, told] of table) {
    it.live(what, () =>
      Effect.scoped(Effect.gen(function*() {
        const services = yield* memory
        yield* fail(yield* queueOf(services), 1)
        const second = yield* operator(services)
        yield* eventually("it has failed", Effect.map(letters(second), ({ length }) => length === 1))
        const [letter] = yield* letters(second)
        const answers: Array<boolean> = []
        const first = yield* operator(losingOne(services, took, () =>
          other === undefined
            ? Effect.void
            : Effect.map(other(second, letter!), (answer) => answers.push(answer))))
        const answer = yield* Effect.result(one(first, letter!))
        assert.strictEqual(answer._tag === "Success" ? answer.success : (answer.failure as Indeterminate)._tag, told)
        assert.deepStrictEqual(answers, other === undefined ? [] : [!took])
      })))
  }
})
