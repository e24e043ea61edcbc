/** Effect's persisted queue on FlareDB in memory, and the suite on Effect's own memory store. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Deferred, Duration, Effect, Fiber, Layer, Schedule, Schema } from "effect"
import { PersistedQueue } from "effect/persistence"
import { layerPersistedQueue, layerPersistedQueueStore } from "../../src/actors/index.ts"
import { Indeterminate, Unavailable } from "../../src/FlareDbError.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { Leases } from "../../src/client/Lease.ts"
import type { ClientServices } from "../../src/client/RemoteClient.ts"
import { elementsOf } from "../../src/actors/persistence/queue/Layout.ts"
import { eventually } from "../Eventually.ts"
import { persistedQueueCases } from "../../src/testing/index.ts"
import type { Services } from "./Stores.ts"
import { memory, onMemory } from "./Stores.ts"

// Much of it waits for locks and retries to come, each on a store of its own.
describe.concurrent("a queue in FlareDB", () => {
  onMemory((services) => persistedQueueCases({ layer: Layer.provide(layerPersistedQueueStore(), services) }))
})

describe.concurrent("Effect's memory store", () => {
  const cases = persistedQueueCases({ layer: PersistedQueue.layerStoreMemory, shared: false })
  for (const { effect, name } of cases) it.live(name, () => effect)
})

/** Locks end in a test that wants them to, and in no other, however slow it is. */
const queueOf = (services: Services, lockExpiration = 60_000) =>
  Effect.flatMap(
    Layer.build(Layer.fresh(Layer.provide(layerPersistedQueue({ lockExpiration }), services))),
    (context) =>
      Context.get(context, PersistedQueue.PersistedQueueFactory).make({
        name: "jobs",
        schema: Schema.Number,
        maxAttempts: 3,
        retrySchedule: Schedule.spaced(10)
      })
  )

const textsOf = (services: Services, lockExpiration = 60_000) =>
  Effect.flatMap(
    Layer.build(Layer.fresh(Layer.provide(layerPersistedQueue({ lockExpiration }), services))),
    (context) =>
      Context.get(context, PersistedQueue.PersistedQueueFactory).make({ name: "texts", schema: Schema.String })
  )

it.live("refuses a number of attempts that is none, and takes nothing", () =>
  Effect.gen(function*() {
    const services = yield* memory
    const context = yield* Layer.build(Layer.provide(layerPersistedQueueStore(), services))
    const store = Context.get(context, PersistedQueue.PersistedQueueStore)
    yield* store.offer({ name: "jobs", id: "1", element: 1, isCustomId: true, delay: undefined })
    const take = (maxAttempts: number) =>
      Effect.scoped(store.take({ name: "jobs", maxAttempts, retryDelay: () => Effect.succeed(Duration.zero) }))
    for (const maxAttempts of [0, -1, 2.5, NaN, -Infinity, 2 ** 53]) {
      const error = yield* Effect.flip(take(maxAttempts))
      assert.include(error.message, `invalid maxAttempts: ${maxAttempts} is not an integer of at least 1`)
    }
    assert.deepInclude(yield* take(Infinity), { id: "1", attempts: 1 })
  }).pipe(Effect.scoped))

it.live("refuses a lock that no lease can hold", () =>
  Effect.gen(function*() {
    const services = yield* memory
    for (const lockExpiration of [0, 999, "8 days", "Infinity"] as const) {
      const exit = yield* Effect.exit(
        Effect.scoped(Layer.build(Layer.provide(layerPersistedQueueStore({ lockExpiration }), services)))
      )
      assert(exit._tag === "Failure")
      assert.match(Cause.pretty(exit.cause), /lockExpiration.*it must be 1 second to 7 days/)
    }
  }).pipe(Effect.scoped))

/** The same services, with a key-value store that does something else when it writes. */
const withWrites = (
  services: Services,
  transact: (kv: KeyValue["Service"]) => (txn: Parameters<KeyValue["Service"]["transact"]>[0]) => unknown
): Services =>
  Layer.effectContext(Effect.map(Layer.build(services), (context) => {
    const kv = Context.get(context, KeyValue)
    const changed = transact(kv) as KeyValue["Service"]["transact"]
    return Context.add(context, KeyValue, { ...kv, transact: (txn) => Effect.suspend(() => changed(txn)) })
  }))

const isWrite = (txn: { readonly do?: ReadonlyArray<{ readonly operation: { readonly _tag: string } }> | undefined }) =>
  txn.do?.some(({ operation }) => operation._tag !== "Get") === true

/** Keep-alives and the revocation at the end go nowhere: to the cluster it looks like a process that was killed. */
const silent = (context: Context.Context<ClientServices>): Services => {
  const leases = Context.get(context, Leases)
  return Layer.succeedContext(Context.add(context, Leases, {
    ...leases,
    scoped: (ttlMs) =>
      Effect.map(leases.grant(ttlMs), (lease) => ({
        ...lease,
        lost: Effect.never,
        remainingMs: Effect.succeed(ttlMs)
      }))
  }))
}

describe.concurrent("an element", () => {
  it.live("takes three trips at most: offer, claim, complete", () =>
    Effect.scoped(Effect.gen(function*() {
      let writes = 0
      let others = 0
      const services = withWrites(yield* memory, (kv) => (txn) => {
        if (isWrite(txn)) writes++
        else others++
        return kv.transact(txn)
      })
      const elsewhere = yield* queueOf(services)
      // Otherwise whoever comes first says which layout there is.
      yield* Effect.flatMap(KeyValue, (kv) => kv.put("fx/qv", "2")).pipe(Effect.provide(services))
      const offered = (count: number) =>
        Effect.forEach(Array.from({ length: count }, (_, n) => n), (n) => elsewhere.offer(n), { concurrency: 16 })

      /** What a consumer of its own needs, beside one write that says it is there. */
      const trips = (
        what: string,
        most: number,
        waiting: number,
        run: (queue: PersistedQueue.PersistedQueue<number>) => Effect.Effect<unknown, unknown>
      ) =>
        Effect.scoped(Effect.gen(function*() {
          yield* offered(waiting)
          const queue = yield* queueOf(services)
          writes = 0
          others = 0
          yield* run(queue)
          assert.isAtMost(writes, most + 1, what)
          assert.strictEqual(others, 0, what)
        }))

      // The offer of another process, the claim when the watch tells of it, the completion.
      yield* trips("offered elsewhere while a worker waits", 60, 0, (queue) =>
        Effect.forEach(Array.from({ length: 20 }), () =>
          Effect.gen(function*() {
            const worker = yield* Effect.forkChild(queue.take(Effect.succeed), { startImmediately: true })
            yield* elsewhere.offer(1)
            yield* Fiber.join(worker)
          })))
      yield* trips("a worker that offers: its offer is its claim", 43, 1, (queue) =>
        Effect.andThen(
          queue.take(Effect.succeed),
          Effect.forEach(Array.from({ length: 20 }), () =>
            Effect.andThen(queue.offer(1), queue.take(Effect.succeed)))
        ))
      yield* trips("a queue that is full: a completion is the next claim", 45, 40, (queue) =>
        Effect.map(
          Effect.all(Array.from({ length: 40 }, () =>
            queue.take(Effect.succeed))),
          (taken) =>
            assert.deepStrictEqual(
              taken,
              Array.from({ length: 40 }, (_, n) =>
                n)
            )
        ))
      yield* trips("sixteen workers share them", 60, 96, (queue) =>
        Effect.forEach(Array.from({ length: 16 }), () =>
          Effect.replicateEffect(queue.take(Effect.succeed), 6), {
          concurrency: "unbounded"
        }))
    })))

  it.live("that is large is read beside its claim, and its claim shares a transaction", () =>
    Effect.scoped(Effect.gen(function*() {
      let writes = 0
      const services = withWrites(yield* memory, (kv) => (txn) => {
        if (isWrite(txn)) writes++
        return kv.transact(txn)
      })
      const factoryOf = Effect.map(
        Layer.build(Layer.fresh(Layer.provide(layerPersistedQueue(), services))),
        (context) => Context.get(context, PersistedQueue.PersistedQueueFactory)
      )
      const options = { name: "large", schema: Schema.String }
      const elsewhere = yield* Effect.flatMap(factoryOf, (factory) => factory.make(options))
      const texts = Array.from({ length: 32 }, (_, n) => `${n} `.padEnd(20_000, "ä"))
      yield* Effect.forEach(texts, (text) => elsewhere.offer(text), { discard: true })
      const queue = yield* Effect.flatMap(factoryOf, (factory) => factory.make(options))
      writes = 0
      const found = yield* Effect.forEach(texts, () => queue.take(Effect.succeed), { concurrency: 16 })
      assert.deepStrictEqual(found.sort(), texts.sort())
      // One says that the consumer is there. 32 claims of their own would be 32 more, beside their completions.
      assert.isAtMost(writes, 20)
    })))

  it.live("that was claimed for a worker that does not come back goes to another one, as the first attempt", () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      const kv = yield* Effect.provide(KeyValue, services)
      const queue = yield* queueOf(services, 60_000)
      const other = yield* queueOf(services, 60_000)
      for (let n = 0; n < 2; n++) yield* queue.offer(n)
      assert.strictEqual(yield* queue.take(Effect.succeed), 0)
      assert.deepStrictEqual(yield* other.take((n, { attempts }) => Effect.succeed([n, attempts])), [1, 1])

      // Also when its process ends in that moment.
      for (let n = 2; n < 4; n++) yield* queue.offer(n)
      const first = yield* Effect.scoped(
        Effect.flatMap(queueOf(services, 60_000), (ending) => ending.take(Effect.succeed))
      )
      assert.deepStrictEqual(yield* other.take((n, { attempts }) => Effect.succeed([n, attempts])), [5 - first, 1])
      assert.strictEqual(yield* kv.count("fx/q/jobs/w/r/"), 0)
    })))

  it.live("whose claim was not answered is handled, although reading what became of it fails at first", () =>
    Effect.scoped(Effect.gen(function*() {
      let claims = 0
      let reads = 0
      const services = withWrites(yield* memory, (kv) => (txn) => {
        // Nothing is claimed ahead here, so that only a claim of a waiting element writes one row on two conditions.
        const isClaim = txn.do?.length === 1 && isWrite(txn) && (txn.if?.length ?? 0) >= 2
        if (isClaim && ++claims === 1) return Effect.andThen(kv.transact(txn), new Indeterminate({ reason: "a test" }))
        if (!isWrite(txn) && ++reads === 1) return Effect.fail(new Unavailable({ reason: "a test" }))
        return kv.transact(txn)
      })
      const other = yield* queueOf(services)
      yield* other.offer(1)
      const queue = yield* queueOf(services, 60_000)
      const found = yield* Effect.timeout(queue.take((n, { attempts }) => Effect.succeed([n, attempts])), 10_000)
      assert.deepStrictEqual([found, claims >= 2, reads >= 2], [[1, 1], true, true])
    })))

  it.live("is handled once by a handler that runs longer than a lock lives", () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      const lockMs = 3_000
      const queue = yield* queueOf(services, lockMs)
      const other = yield* queueOf(services, lockMs)
      yield* queue.offer(1)
      const release = yield* Deferred.make<void>()
      const long = yield* Effect.forkChild(queue.take((n) => Effect.as(Deferred.await(release), n)))
      const second = yield* Effect.forkChild(other.take(() => Effect.succeed("taken twice")))
      const { timeToLive } = yield* Effect.provide(Leases, services)
      const { list } = yield* Effect.provide(Leases, services)
      // Longer than the lock lives without a keep-alive.
      yield* Effect.sleep(lockMs + 1_000)
      assert.isAtLeast((yield* list()).length, 2)
      assert.isAbove((yield* timeToLive((yield* list())[0]!.id)).remainingMs, 0)
      assert.isUndefined(second.pollUnsafe())
      yield* Deferred.succeed(release, undefined)
      assert.strictEqual(yield* Fiber.join(long), 1)
      yield* Fiber.interrupt(second)
    })))

  it.live("of a consumer that is gone without a word is taken by another, as the next attempt", () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      const context = yield* Layer.build(services)
      const gone = yield* queueOf(silent(context), 1_000)
      const queue = yield* queueOf(services)
      yield* queue.offer(1)
      const started = yield* Deferred.make<void>()
      const finish = yield* Deferred.make<void>()
      const first = yield* Effect.forkChild(
        gone.take((n) => Effect.as(Effect.andThen(Deferred.succeed(started, undefined), Deferred.await(finish)), n))
      )
      yield* Deferred.await(started)
      const handling = yield* Deferred.make<number>()
      const end = yield* Deferred.make<void>()
      const second = yield* Effect.forkChild(
        queue.take((n, { attempts }) =>
          Effect.as(Effect.andThen(Deferred.succeed(handling, attempts), Deferred.await(end)), n)
        )
      )
      assert.strictEqual(yield* Deferred.await(handling), 2)
      // What the first one settles now has no effect on the claim of the second.
      yield* Deferred.succeed(finish, undefined)
      yield* Fiber.join(first)
      const kv = Context.get(context, KeyValue)
      assert.strictEqual(yield* kv.count("fx/q/jobs/w/r/"), 1, "still claimed by the second")
      yield* Deferred.succeed(end, undefined)
      yield* Fiber.join(second)
      assert.strictEqual(yield* kv.count("fx/q/jobs/w/r/"), 0)
      assert.strictEqual(yield* kv.count("fx/qc/"), 1)
    })))

  for (const characters of [10, 5_000]) {
    it.live(`of ${characters} characters that its offer has claimed is there once, whatever becomes of its process`, () =>
      Effect.scoped(Effect.gen(function*() {
        const services = yield* memory
        const context = yield* Layer.build(services)
        const kv = Context.get(context, KeyValue)
        const gone = yield* textsOf(silent(context), 1_000)
        const text = "x".repeat(characters)
        const started = yield* Deferred.make<number>()
        const finish = yield* Deferred.make<void>()
        const first = yield* Effect.forkChild(
          gone.take((_, { attempts }) => Effect.andThen(Deferred.succeed(started, attempts), Deferred.await(finish)))
        )
        yield* eventually("it claims", Effect.map(kv.count("fx/q/texts/w/k/"), (count) => count === 1))
        // Until its worker is told of, an offer leaves the claim to it.
        let ids = 0
        yield* eventually(
          "an offer claims",
          Effect.andThen(
            Effect.suspend(() => gone.offer(text, { id: `id ${++ids}` })),
            Effect.map(kv.count("fx/q/texts/h/"), (count) => count === 1)
          )
        )
        assert.strictEqual(yield* Deferred.await(started), 1)
        const queue = yield* textsOf(services)
        // The ids are taken, so that none of these is among what is taken below, nor left.
        for (let id = 1; id <= ids; id++) yield* queue.offer("another", { id: `id ${id}` })
        const taken = yield* Effect.forEach(
          Array.from({ length: ids }, (_, n) => n),
          () => queue.take((found, { attempts, id }) => Effect.succeed({ found, attempts, id })),
          { concurrency: 1 }
        )
        assert.deepStrictEqual(taken.map(({ found }) => found), Array.from({ length: ids }, () => text))
        assert.strictEqual(taken.filter(({ attempts }) => attempts === 2).length, 1, "one was attempted before")
        // What the first one settles now has no effect.
        yield* Deferred.succeed(finish, undefined)
        yield* Fiber.join(first)
        assert.deepStrictEqual(
          yield* Effect.all([kv.count("fx/q/texts/w/r/"), kv.count("fx/q/texts/h/"), kv.count("fx/q/texts/e/")]),
          [0, 0, ids]
        )
        yield* queue.offer("another", { id: "id 1" })
        assert.strictEqual(yield* kv.count("fx/q/texts/w/r/"), 0, "the id stays taken")
      })))
  }

  it.live("whose last attempt was that of a process that was killed is a dead letter", () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      const kv = yield* Effect.provide(KeyValue, services)
      const queue = yield* queueOf(services)
      yield* queue.offer(1)
      yield* queue.offer(2)
      const rows = (yield* kv.scan("fx/q/jobs/w/r/")).entries
      const row = JSON.parse(rows[0]!.text)
      yield* kv.put(rows[0]!.key, JSON.stringify({ ...row, n: 3, c: "gone", t: "gone/1" }))
      assert.strictEqual(yield* queue.take(Effect.succeed), 2)
      yield* eventually("it is set aside", Effect.map(kv.count("fx/qx/"), (count) => count === 1))
    })))

  it.live("is claimed and settled once when answers are lost", () =>
    Effect.scoped(Effect.gen(function*() {
      const plain = yield* memory
      let writes = 0
      // Of each three writes one takes effect without an answer, and one has neither.
      const services = withWrites(plain, (kv) => (txn) => {
        const lost = Effect.fail(new Indeterminate({ reason: "a test" }))
        if (!isWrite(txn)) return kv.transact(txn)
        writes++
        if (writes % 3 === 1) return Effect.andThen(kv.transact(txn), lost)
        return writes % 3 === 2 ? lost : kv.transact(txn)
      })
      const queue = yield* queueOf(services)
      const other = yield* queueOf(services)
      const handled: Array<string> = []
      for (let n = 0; n < 8; n++) yield* Effect.eventually(queue.offer(n, { id: String(n) }))
      yield* Effect.all(
        Array.from({ length: 8 }, (_, i) =>
          (i % 2 === 0 ? queue : other).take((n, { attempts }) =>
            Effect.sync(() =>
              handled.push(`${n} in attempt ${attempts}`)
            )
          )),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(handled.sort(), Array.from({ length: 8 }, (_, n) => `${n} in attempt 1`))
      const kv = yield* Effect.provide(KeyValue, plain)
      assert.strictEqual(yield* kv.count("fx/q/jobs/w/r/"), 0)
      const completed = (yield* kv.scan("fx/qc/")).entries
        .flatMap(({ keyText, value }) => elementsOf("fx/", "fx/qc/", keyText, value))
      assert.deepStrictEqual(completed.sort(), Array.from({ length: 8 }, (_, n) => `fx/q/jobs/e/=${n}`))
    })))
})

it.live("an offer that cannot be kept is refused with the reason", () =>
  Effect.scoped(Effect.gen(function*() {
    const services = yield* memory
    const context = yield* Layer.build(Layer.provide(layerPersistedQueueStore(), services))
    const { offer } = Context.get(context, PersistedQueue.PersistedQueueStore)
    const refused = (id: string, element: unknown) =>
      Effect.map(Effect.flip(offer({ name: "jobs", id, element, isCustomId: true })), ({ message }) => message)
    assert.match(yield* refused("x".repeat(3_000), 1), /the id has 3000 characters; at most 2048/)
    assert.match(yield* refused("large", "x".repeat(2 ** 20)), /bytes as JSON; at most 983040/)
    assert.match(yield* refused("none", undefined), /no JSON/)
  })))
