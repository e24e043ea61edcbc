/** What is told of queues, and dead letters that are tried again and dropped beside consumers that run. */
import { assert, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, Schedule, Schema, Stream } from "effect"
import { PersistedQueue } from "effect/persistence"
import { DeadLetterNotFound, layerPersistedQueue, Overview } from "../../../src/actors/index.ts"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import { Unauthorized } from "../../../src/FlareDbError.ts"
import { eventually } from "../../Eventually.ts"
import { ahead } from "../../WallClock.ts"
import { withLostAnswers } from "../LostAnswers.ts"
import type { Services } from "../Stores.ts"
import { memory } from "../Stores.ts"

const name = "jobs/ä"

const queueOf = (services: Services) =>
  Effect.flatMap(
    Layer.build(Layer.fresh(Layer.provide(layerPersistedQueue(), services))),
    (context) =>
      Context.get(context, PersistedQueue.PersistedQueueFactory).make({
        name,
        schema: Schema.Struct({ n: Schema.Number, pad: Schema.String }),
        maxAttempts: 2,
        retrySchedule: Schedule.spaced(1)
      })
  )

const overviewOf = (services: Services) =>
  Effect.map(Layer.build(Layer.provide(Overview.layer(), services)), (context) => Context.get(context, Overview))

const ids = (overview: Overview["Service"], queue = name) =>
  Effect.map(Stream.runCollect(overview.deadLetters(queue)), (letters) => letters.map(({ id }) => id).sort())

it.live("counts what waits, is delayed, claimed, failed and done, queue by queue", () =>
  Effect.scoped(Effect.gen(function*() {
    const services = yield* memory
    const queue = yield* queueOf(services)
    const overview = yield* overviewOf(services)
    assert.deepStrictEqual(yield* overview.queues(), [])
    yield* queue.offer({ n: 1, pad: "" }, { id: "done" })
    yield* queue.take(() => Effect.void)
    yield* queue.offer({ n: 2, pad: "" }, { id: "failed" })
    for (let attempt = 1; attempt <= 2; attempt++) yield* Effect.flip(queue.take(() => Effect.fail("no luck")))
    yield* queue.offer({ n: 3, pad: "" }, { id: "taken" })
    yield* queue.offer({ n: 4, pad: "" }, { id: "later", delay: "1 hour" })
    yield* eventually(
      "one is failed, one is done",
      Effect.map(overview.queues(), ([one]) => one?.failed === 1 && one.done === 1)
    )
    const before = yield* overview.queues()
    assert.deepInclude(before[0], { name, waiting: 1, delayed: 1, claimed: 0, consumers: 1, failed: 1, done: 1 })
    assert.isAtMost(Math.abs(Date.now() - (before[0]?.oldestMs ?? 0)), 60_000)
    const counted = yield* Deferred.make<void>()
    const taken = yield* Deferred.make<void>()
    const taking = yield* Effect.forkChild(
      queue.take(() => Effect.andThen(Deferred.succeed(taken, undefined), Deferred.await(counted)))
    )
    yield* Deferred.await(taken)
    assert.deepInclude((yield* overview.queues())[0], {
      waiting: 0,
      delayed: 1,
      claimed: 1,
      abandoned: 0,
      consumers: 1,
      atLeast: []
    })
    yield* Deferred.succeed(counted, undefined)
    yield* Fiber.join(taking)
    assert.deepStrictEqual(
      (yield* overview.queues({ maxFinished: 1 }))[0]?.atLeast,
      ["done"],
      "two are done, and one was counted"
    )
    const { deadLetters, queues } = yield* overview.summary
    assert.deepStrictEqual(queues, [{ name, elements: { count: 1, atLeast: false }, deadLetters: 1 }])
    assert.deepStrictEqual(deadLetters, { count: 1, atLeast: false })
  })))

it.live("tells what is delayed, and since when the oldest waits, by the cluster's clock", () =>
  Effect.scoped(Effect.gen(function*() {
    const services = yield* memory
    const queue = yield* queueOf(services)
    yield* queue.offer({ n: 1, pad: "" }, { id: "now" })
    yield* queue.offer({ n: 2, pad: "" }, { id: "later", delay: "1 hour" })
    for (const hours of [-2, 2]) {
      const [found] = yield* Effect.flatMap(overviewOf(services), (overview) => overview.queues()).pipe(
        ahead(hours * 3_600_000)
      )
      assert.deepInclude(found, { waiting: 1, delayed: 1 })
      assert.isAtMost(found?.oldestWaitMs ?? Infinity, 600_000)
    }
  })))

it.live("goes by the clocks of the nodes for one who may not write, or reads what one node knows", () =>
  Effect.scoped(Effect.gen(function*() {
    const services = yield* memory
    const queue = yield* queueOf(services)
    yield* queue.offer({ n: 1, pad: "" }, { id: "now" })
    yield* queue.offer({ n: 2, pad: "" }, { id: "later", delay: "1 hour" })
    let writes = 0
    const refused = Effect.andThen(
      Effect.sync(() => void writes++),
      Effect.fail(new Unauthorized({ name: "reader", what: "write \"fx/\"" }))
    )
    const reading = Layer.effectContext(Effect.map(
      Layer.build(services),
      (context) => Context.add(context, KeyValue, { ...Context.get(context, KeyValue), put: () => refused })
    ))
    for (const [consistency, asked] of [["linearizable", 1], ["stale", 0]] as const) {
      writes = 0
      const layer = Layer.fresh(Layer.provide(Overview.layer({ consistency }), reading))
      const overview = Context.get(yield* Layer.build(layer), Overview)
      for (const hours of [-2, 2]) {
        const [found] = yield* ahead(hours * 3_600_000)(overview.queues())
        assert.deepInclude(found, { waiting: 1, delayed: 1 }, `${consistency}, ${hours} hours`)
        assert.isAtMost(found?.oldestWaitMs ?? Infinity, 600_000)
      }
      assert.strictEqual(writes > 0, asked > 0, consistency)
    }
  })))

/** Elements that failed for good: a small one, and one that is too large for a copy. */
const withDeadLetters = Effect.fnUntraced(function*(services: Services) {
  const queue = yield* queueOf(services)
  for (const [id, pad] of [["small", ""], ["large", "x".repeat(5_000)]] as const) {
    yield* queue.offer({ n: 1, pad }, { id })
    for (let attempt = 1; attempt <= 2; attempt++) yield* Effect.flip(queue.take(() => Effect.fail(`no ${id}`)))
  }
  const overview = yield* overviewOf(services)
  yield* eventually("both have failed", Effect.map(ids(overview), (found) => found.length === 2))
  return { queue, overview }
})

for (const lossy of [false, true]) {
  it.live(`a dead letter is tried again once, and dropped once${lossy ? ", when answers are lost" : ""}`, () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      const { overview: plain, queue } = yield* withDeadLetters(services)
      const overview = lossy ? yield* overviewOf(withLostAnswers(services)) : plain
      const letters = yield* Stream.runCollect(overview.deadLetters(name))
      assert.deepStrictEqual(
        letters.map(({ attempts, element, id }) => [id, attempts, JSON.parse(element).pad.length]),
        [["small", 2, 0], ["large", 2, 5_000]]
      )
      assert.match(letters[0]?.reason ?? "", /no small/)
      assert.deepStrictEqual(yield* ids(overview, "another"), [])
      assert.instanceOf(yield* Effect.flip(overview.deadLetter(name, "missing")), DeadLetterNotFound)

      // Of those that act on the same letter, one does.
      const large = yield* overview.deadLetter(name, "large")
      const small = yield* overview.deadLetter(name, "small")
      const retried = yield* Effect.all([overview.retry(name, large), overview.retry(name, large)], { concurrency: 2 })
      if (!lossy) assert.deepStrictEqual(retried.filter((done) => done).length, 1)
      // Its id was never free.
      yield* queue.offer({ n: 9, pad: "another" }, { id: "large" })
      const again = yield* queue.take(({ n, pad }, { attempts, id }) => Effect.succeed([id, attempts, n, pad.length]))
      assert.deepStrictEqual(again, ["large", 1, 1, 5_000])
      if (!lossy) assert.isFalse(yield* overview.drop(large), "it is no dead letter any more")
      assert.isTrue(yield* overview.drop(small))
      assert.deepStrictEqual(yield* ids(overview), [])
      // The id of a letter that was dropped may be offered again, that of one that was completed may not.
      yield* queue.offer({ n: 10, pad: "" }, { id: "large" })
      yield* queue.offer({ n: 11, pad: "" }, { id: "small" })
      assert.deepStrictEqual(yield* queue.take(({ n }, { id }) => Effect.succeed([id, n])), ["small", 11])
      yield* eventually(
        "nothing is left",
        Effect.map(overview.queues(), ([one]) => one?.waiting === 0 && one.done === 2)
      )
    })))
}

it.live("retrying all of them ends while a consumer fails them again at once", () =>
  Effect.scoped(Effect.gen(function*() {
    const services = yield* memory
    const { overview, queue } = yield* withDeadLetters(services)
    yield* Effect.forkScoped(
      Effect.forever(Effect.ignore(queue.take(() => Effect.fail("never")))),
      { startImmediately: true }
    )
    const told: Array<number> = []
    assert.deepStrictEqual(
      yield* overview.retryAll(name, ({ changed }) => told.push(changed)),
      { changed: 2, skipped: 0 }
    )
    assert.deepStrictEqual(told, [1, 2])
    yield* eventually("both have failed again", Effect.map(ids(overview), (found) => found.length === 2))
    assert.strictEqual((yield* overview.deadLetter(name, "small")).attempts, 2)
    assert.deepStrictEqual(yield* overview.dropAll(name), { changed: 2, skipped: 0 })
    assert.deepStrictEqual(yield* ids(overview), [])
  })))
