/**
 * What users of Effect's `PersistedQueue` rely on: every element is handled, in order and with its attempts counted, by
 * one consumer at a time, and an id that was offered is not offered again.
 */
import type { Scope } from "effect"
import { Context, Deferred, Duration, Effect, Exit, Fiber, Layer, Schedule, Schema } from "effect"
import { PersistedQueue } from "effect/persistence"
import { ensure, eventually, same } from "./Checks.ts"
import type { ConformanceCase } from "./Conformance.ts"

/** The store to hold against the cases, and what it does not promise. */
export interface PersistedQueueSuiteOptions {
  /** The suite builds it more than once, as several processes do. */
  readonly layer: Layer.Layer<PersistedQueue.PersistedQueueStore, unknown>
  /** Whether layers built apart share their queues. Default `true`; Effect's memory store does not. */
  readonly shared?: boolean | undefined
  /** Elements that consumers compete for. Default 200. */
  readonly elements?: number | undefined
}

const Job = Schema.Struct({ n: Schema.Number })

/** A consumer of the suite: a store as one process has it. */
interface Process {
  readonly store: PersistedQueue.PersistedQueueStore["Service"]
  readonly queue: (
    name: string,
    options?: { readonly maxAttempts?: number; readonly retryMs?: number }
  ) => Effect.Effect<PersistedQueue.PersistedQueue<{ readonly n: number }>>
}

/** Shorter than anything that is waited for, and longer than a hand-over takes. */
const quietMs = 300

/** Longer than what is there takes to come, on a machine that is busy. */
const soonMs = 5_000

/** What the store of persisted queues has to do, between two processes. */
export const persistedQueueCases = (options: PersistedQueueSuiteOptions): ReadonlyArray<ConformanceCase> => {
  const elements = options.elements ?? 200

  const open: Effect.Effect<Process, unknown, Scope.Scope> = Effect.gen(function*() {
    const context = yield* Layer.build(Layer.fresh(options.layer))
    const store = Context.get(context, PersistedQueue.PersistedQueueStore)
    const factory = yield* Effect.provideService(
      PersistedQueue.makeFactory,
      PersistedQueue.PersistedQueueStore,
      store
    )
    return {
      store,
      queue: (name, { maxAttempts = 5, retryMs = 20 } = {}) =>
        factory.make({ name, schema: Job, maxAttempts, retrySchedule: Schedule.spaced(retryMs) })
    }
  })

  const make = (
    name: string,
    run: (one: Process, other: Process) => Effect.Effect<void, unknown, Scope.Scope>
  ): ConformanceCase => ({
    name,
    effect: Effect.scoped(Effect.gen(function*() {
      const one = yield* open
      yield* run(one, options.shared === false ? one : yield* open)
    }))
  })

  /** Takes one element and gives it with its attempt. */
  const taken = (queue: PersistedQueue.PersistedQueue<{ readonly n: number }>) =>
    queue.take(({ n }, { attempts, id }) => Effect.succeed({ n, attempts, id }))

  /** Dies when an element comes. */
  const nothing = (queue: PersistedQueue.PersistedQueue<{ readonly n: number }>, why: string) =>
    Effect.flatMap(
      Effect.timeoutOption(taken(queue), quietMs),
      (found) => ensure(found._tag === "None", `${why}: an element came nevertheless`)
    )

  /** Workers that take until all elements of a range were handled; gives how often each was. */
  const handled = Effect.fnUntraced(function*(
    consumers: ReadonlyArray<PersistedQueue.PersistedQueue<{ readonly n: number }>>,
    workers: number,
    count: number
  ) {
    const times = new Map<number, number>()
    let completed = 0
    const done = yield* Deferred.make<void>()
    const work = (queue: PersistedQueue.PersistedQueue<{ readonly n: number }>) =>
      queue.take(({ n }) => Effect.sync(() => times.set(n, (times.get(n) ?? 0) + 1))).pipe(
        // Not in the handler: an element is completed once `take` has returned.
        Effect.andThen(Effect.suspend(() => ++completed >= count ? Deferred.succeed(done, undefined) : Effect.void)),
        Effect.forever
      )
    const fibers = yield* Effect.forEach(
      consumers.flatMap((queue) => Array.from({ length: workers }, () => queue)),
      (queue) => Effect.forkScoped(work(queue))
    )
    yield* Effect.timeout(Deferred.await(done), 30_000)
    yield* Fiber.interruptAll(fibers)
    return times
  })

  return [
    make("an element is handed to the consumer that waits, and to no other", (one, other) =>
      Effect.gen(function*() {
        const queue = yield* one.queue("waits")
        const waiting = yield* Effect.forkChild(taken(yield* other.queue("waits")))
        const id = yield* queue.offer({ n: 1 })
        yield* same(yield* Fiber.join(waiting), { n: 1, attempts: 1, id }, "what was taken")
        yield* nothing(queue, "it was completed")
        yield* nothing(yield* one.queue("waits/"), "another queue")
      })),
    make("elements come in the order in which they were offered", (one, other) =>
      Effect.gen(function*() {
        const queue = yield* one.queue("order")
        for (let n = 0; n < 50; n++) yield* queue.offer({ n })
        const consumer = yield* other.queue("order")
        const found: Array<number> = []
        for (let n = 0; n < 50; n++) found.push((yield* taken(consumer)).n)
        yield* same(found, Array.from({ length: 50 }, (_, n) => n), "the order")
      })),
    make(
      "an id is offered once: while it waits, after it is completed, until cleanup",
      (one, other) =>
        Effect.gen(function*() {
          const queue = yield* one.queue("ids")
          const consumer = yield* other.queue("ids")
          const ids = ["job", "a/b", "", "x".repeat(2_000), "ä\u0000"]
          for (const [n, id] of ids.entries()) yield* same(yield* queue.offer({ n }, { id }), id, "the id")
          yield* Effect.all(ids.map((id) => consumer.offer({ n: -1 }, { id })), { concurrency: "unbounded" })
          for (const [n, id] of ids.entries()) {
            yield* same(yield* taken(consumer), { n, attempts: 1, id }, `the id ${id.slice(0, 9)}`)
          }
          yield* Effect.all(
            ids.map((id) => queue.offer({ n: -1 }, { id })),
            { concurrency: "unbounded" }
          )
          yield* one.store.cleanup({ timeToLive: Duration.days(1), failedTimeToLive: Duration.days(1) })
          yield* queue.offer({ n: -1 }, { id: "job" })
          yield* nothing(consumer, "all ids were offered before")
          yield* eventually(
            "the id may be offered again after cleanup",
            Effect.gen(function*() {
              yield* other.store.cleanup({ timeToLive: Duration.zero, failedTimeToLive: undefined })
              yield* queue.offer({ n: 7 }, { id: "job" })
              return (yield* Effect.timeoutOption(taken(consumer), soonMs))._tag === "Some"
            })
          )
        })
    ),
    make(
      "a handler that fails gets the element again, with its attempts counted from 1",
      (one) =>
        Effect.gen(function*() {
          const queue = yield* one.queue("retries")
          yield* queue.offer({ n: 1 })
          const attempts: Array<number> = []
          const handle = queue.take((_, metadata) =>
            Effect.suspend(() => attempts.push(metadata.attempts) < 3 ? Effect.fail("not yet") : Effect.succeed("done"))
          )
          yield* same(yield* Effect.flip(handle), "not yet", "the failure of the first attempt")
          yield* Effect.flip(handle)
          yield* same(yield* handle, "done", "the third attempt")
          yield* same(attempts, [1, 2, 3], "the attempts")
          yield* nothing(queue, "it was completed")
        })
    ),
    make(
      "an element whose attempts are over is not taken again, and its id stays",
      (one, other) =>
        Effect.gen(function*() {
          const queue = yield* one.queue("spent", { maxAttempts: 2 })
          yield* queue.offer({ n: 1 }, { id: "bad" })
          yield* queue.offer({ n: 2 }, { id: "good", delay: 100 })
          let attempts = 0
          const attempt = Effect.suspend(() => {
            attempts++
            return Effect.fail("bad")
          })
          const handle = queue.take(({ n }) => n === 1 ? attempt : Effect.succeed(n))
          yield* Effect.flip(handle)
          yield* eventually(
            "the others are handled",
            Effect.map(Effect.result(handle), ({ _tag }) => _tag === "Success")
          )
          const consumer = yield* other.queue("spent", { maxAttempts: 2 })
          yield* eventually(
            "the attempts are over",
            Effect.map(
              Effect.timeoutOption(Effect.exit(consumer.take(() => attempt)), quietMs),
              // On a busy machine the last attempt may be late.
              (found) => found._tag === "None" && attempts >= 2
            )
          )
          yield* same(attempts, 2, "the attempts")
          yield* queue.offer({ n: 3 }, { id: "bad" })
          yield* one.store.cleanup({ timeToLive: Duration.zero, failedTimeToLive: undefined })
          yield* queue.offer({ n: 3 }, { id: "bad" })
          yield* nothing(consumer, "failed elements stay")
          yield* eventually(
            "cleanup of failed elements frees the id",
            Effect.gen(function*() {
              yield* one.store.cleanup({ timeToLive: Duration.days(1), failedTimeToLive: Duration.zero })
              yield* queue.offer({ n: 4 }, { id: "bad" })
              const found = yield* Effect.timeoutOption(taken(consumer), soonMs)
              return found._tag === "Some" && found.value.n === 4 && found.value.attempts === 1
            })
          )
        })
    ),
    make(
      "an element that does not decode is set aside, and the next one is taken",
      (one, other) =>
        Effect.gen(function*() {
          yield* one.store.offer({ name: "letters", id: "odd", element: { m: "no job" }, isCustomId: true })
          const queue = yield* one.queue("letters")
          yield* queue.offer({ n: 2 })
          yield* same((yield* taken(queue)).n, 2, "the element that decodes")
          yield* nothing(yield* other.queue("letters"), "it never decodes")
        })
    ),
    make("an interrupted handler gives its attempt back, at once", (one, other) =>
      Effect.gen(function*() {
        const queue = yield* one.queue("interrupts")
        yield* queue.offer({ n: 1 })
        yield* queue.offer({ n: 2 })
        const started = yield* Deferred.make<number>()
        const fiber = yield* Effect.forkChild(
          queue.take(({ n }) => Effect.andThen(Deferred.succeed(started, n), Effect.never))
        )
        yield* same(yield* Deferred.await(started), 1, "what the handler got")
        yield* Fiber.interrupt(fiber)
        const consumer = yield* other.queue("interrupts")
        const found = [yield* taken(consumer), yield* taken(consumer)]
        yield* same(
          found.map(({ attempts, n }) => [n, attempts]).sort(),
          [[1, 1], [2, 1]],
          "what another consumer gets, with its attempts"
        )
      })),
    make("a worker that stops waiting takes nothing with it", (one, other) =>
      Effect.gen(function*() {
        const queue = yield* one.queue("waiters")
        for (let round = 0; round < 10; round++) {
          const waiting = yield* Effect.forkChild(taken(yield* other.queue("waiters")))
          const offered = yield* Effect.forkChild(queue.offer({ n: round }))
          if (round % 2 === 0) yield* Fiber.join(offered)
          yield* Fiber.interrupt(waiting)
          yield* Fiber.join(offered)
          // It was handed over before the interrupt, or comes now.
          if (Exit.isFailure(yield* Fiber.await(waiting))) {
            const found = yield* Effect.timeout(taken(queue), 10_000)
            yield* same([found.n, found.attempts], [round, 1], "the element and its attempt")
          }
        }
      })),
    make("a delay is kept, and others go first", (one, other) =>
      Effect.gen(function*() {
        const queue = yield* one.queue("delays")
        yield* queue.offer({ n: 1 }, { delay: 400 })
        yield* queue.offer({ n: 2 })
        yield* queue.offer({ n: 3 }, { delay: -5 })
        yield* queue.offer({ n: 4 }, { delay: Duration.infinity })
        const consumer = yield* other.queue("delays")
        yield* same([(yield* taken(consumer)).n, (yield* taken(consumer)).n], [2, 3], "those without a delay")
        const found = yield* taken(consumer)
        yield* same([found.n, found.attempts], [1, 1], "the delayed one")
        yield* nothing(consumer, "an infinite delay stores nothing")
      })),
    make("many workers of one process handle each element once", (one) =>
      Effect.gen(function*() {
        const queue = yield* one.queue("workers")
        yield* Effect.all(Array.from({ length: elements }, (_, n) => queue.offer({ n })), { concurrency: "unbounded" })
        const times = yield* handled([queue], 16, elements)
        yield* same(
          [times.size, [...times.values()].every((count) => count === 1)],
          [elements, true],
          "handled, each once"
        )
      })),
    make("two consumers handle each element once between them", (one, other) =>
      Effect.gen(function*() {
        const queue = yield* one.queue("consumers")
        const offering = Effect.all(
          Array.from({ length: elements }, (_, n) => queue.offer({ n })),
          { concurrency: 20, discard: true }
        )
        yield* Effect.forkScoped(offering)
        const times = yield* handled([queue, yield* other.queue("consumers")], 8, elements)
        yield* same(
          [times.size, [...times.values()].every((count) => count === 1)],
          [elements, true],
          "handled, each once"
        )
        yield* nothing(queue, "all were completed")
      })),
    make(
      "no element is kept from a hungry consumer: by a handler at work, or for a worker that is gone",
      (one, other) =>
        Effect.gen(function*() {
          const queue = yield* one.queue("hungry")
          const consumer = yield* other.queue("hungry")
          for (let n = 0; n < 12; n++) yield* queue.offer({ n })
          const release = yield* Deferred.make<void>()
          const started = yield* Deferred.make<void>()
          const atWork = yield* Effect.forkScoped(
            queue.take(({ n }) =>
              Deferred.succeed(started, undefined).pipe(Effect.andThen(Deferred.await(release)), Effect.as(n))
            )
          )
          yield* Deferred.await(started)
          const found = [yield* Effect.timeout(taken(consumer), 10_000)]
          // Two workers of the first one come and go: what was claimed ahead for them is free again.
          for (let worker = 0; worker < 2; worker++) found.push(yield* taken(queue))
          for (let n = 3; n < 11; n++) found.push(yield* Effect.timeout(taken(consumer), 10_000))
          yield* Deferred.succeed(release, undefined)
          const all = [yield* Fiber.join(atWork), ...found.map(({ n }) => n)].sort((a, b) => a - b)
          yield* same(all, Array.from({ length: 12 }, (_, n) => n), "what was handled")
          yield* same([...new Set(found.map(({ attempts }) => attempts))], [1], "their attempts")
          yield* nothing(consumer, "all were completed")
        })
    ),
    make("a consumer that ends gives back what it had", (one) =>
      Effect.gen(function*() {
        if (options.shared === false) return
        const queue = yield* one.queue("ends")
        yield* queue.offer({ n: 1 })
        yield* Effect.scoped(Effect.gen(function*() {
          const ending = yield* open
          const started = yield* Deferred.make<void>()
          const endingQueue = yield* ending.queue("ends")
          yield* Effect.forkScoped(
            endingQueue.take(() => Effect.andThen(Deferred.succeed(started, undefined), Effect.never))
          )
          yield* Deferred.await(started)
        }))
        const found = yield* Effect.timeout(taken(queue), 20_000)
        yield* same([found.n, found.attempts], [1, 1], "the element and its attempt")
      }))
  ]
}
