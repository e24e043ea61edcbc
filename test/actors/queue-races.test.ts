/**
 * A queue under everything that may come between: three consumers that also offer, answers that are lost before or
 * after their write, or whose write comes late, claimers that lose their lease, handlers that fail, are interrupted or
 * outlast their claim, delayed elements and ids that are offered twice. What happens is drawn by seed; when it does is
 * real time.
 *
 * An element is settled once: in the history of its key there is one settlement, and it is listed once.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Layer, References, Schedule, Schema, Stream } from "effect"
import { PersistedQueue } from "effect/persistence"
import { layerPersistedQueue } from "../../src/actors/index.ts"
import { completedPrefix, elementsOf, QueueKeys } from "../../src/actors/persistence/queue/Layout.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { Leases } from "../../src/client/Lease.ts"
import { Watch } from "../../src/client/Watch.ts"
import { Indeterminate } from "../../src/FlareDbError.ts"
import { eventually } from "../Eventually.ts"
import type { Services } from "./Stores.ts"
import { memory } from "./Stores.ts"

/** Reproducible numbers below a bound. */
const random = (seed: number) => (below: number): number => {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
  return Math.floor((seed / 2 ** 32) * below)
}

const elements = 40
const consumers = 3
const maxAttempts = 4

/** A client on whose writes one cannot rely. */
const unreliable = (services: Services, below: (bound: number) => number): Services =>
  Layer.effectContext(Effect.map(Layer.build(services), (context) => {
    const kv = Context.get(context, KeyValue)
    const lost = Effect.fail(new Indeterminate({ reason: "a test" }))
    const transact: KeyValue["Service"]["transact"] = (txn, options) =>
      Effect.suspend(() => {
        const write = kv.transact(txn, options)
        if (!txn.do?.some(({ operation }) => operation._tag !== "Get")) return write
        switch (below(24)) {
          case 0:
            return lost
          case 1:
            return Effect.andThen(write, lost)
          case 2:
            return Effect.andThen(Effect.forkDetach(Effect.delay(Effect.exit(write), below(300))), lost)
          default:
            return write
        }
      })
    return Context.add(context, KeyValue, { ...kv, transact })
  }))

/** How often each element was completed or failed for good, by its key: all that its history says until now. */
const settlements = Effect.fnUntraced(function*(
  watch: Watch["Service"],
  kv: KeyValue["Service"],
  elementKeys: string
) {
  const { revision } = yield* kv.put(`${elementKeys}~`, "")
  const times = new Map<string, number>()
  yield* watch.notices({ prefix: elementKeys }, { fromRevision: 1, only: "puts" }).pipe(
    Stream.takeUntil((notice) => notice._tag === "Changes" && notice.revision >= revision),
    Stream.runForEach((notice) =>
      Effect.sync(() => {
        if (notice._tag !== "Changes" || notice.revision === revision) return
        for (const event of notice.events) {
          const isPending = event._tag !== "Put" || event.entry.value[0] === 0x70
          if (!isPending) times.set(event.keyText, (times.get(event.keyText) ?? 0) + 1)
        }
      })
    )
  )
  return times
})

const run = Effect.fnUntraced(function*(services: Services, seed: number, leasesEnd: boolean) {
  const below = random(seed)
  const name = "races"
  const prefix = `fx ${seed}/`
  const keys = new QueueKeys(prefix, name)
  const kv = yield* Effect.provide(KeyValue, services)
  const leases = yield* Effect.provide(Leases, services)
  const make = Effect.flatMap(
    Layer.build(
      Layer.fresh(Layer.provide(layerPersistedQueue({ prefix }), unreliable(services, below)))
    ),
    (context) =>
      Context.get(context, PersistedQueue.PersistedQueueFactory).make({
        name,
        schema: Schema.Number,
        maxAttempts,
        retrySchedule: Schedule.spaced(20)
      })
  )
  const queues = yield* Effect.all(Array.from({ length: consumers }, () => make))
  const starts = new Map<number, Array<number>>()
  const succeeded = new Set<number>()
  /** The attempts that there are to be while nobody loses a claim. */
  const expected = new Map<number, Array<number>>()

  const handle = (n: number, { attempts }: { readonly attempts: number }) =>
    Effect.suspend((): Effect.Effect<void, string> => {
      starts.set(n, [...starts.get(n) ?? [], attempts])
      const pause = Effect.sleep(below(20))
      const kind = below(10)
      expected.set(n, [...expected.get(n) ?? [1], kind === 0 ? attempts + 1 : kind === 1 ? attempts : Infinity])
      if (kind === 0) return Effect.andThen(pause, Effect.fail("a test"))
      if (kind === 1) return Effect.andThen(pause, Effect.interrupt)
      if (kind === 2) return Effect.andThen(Effect.sleep(300), Effect.sync(() => void succeeded.add(n)))
      return Effect.andThen(pause, Effect.sync(() => void succeeded.add(n)))
    })
  for (const queue of queues) {
    const work = Effect.exit(queue.take(handle)).pipe(
      Effect.flatMap((exit) =>
        Exit.isFailure(exit) && Cause.hasDies(exit.cause) ? Effect.failCause(exit.cause) : Effect.void
      ),
      Effect.forever
    )
    yield* Effect.forkScoped(work)
    yield* Effect.forkScoped(work)
  }
  // Some of them are offered by two processes at once.
  const offer = (n: number): Effect.Effect<unknown> => {
    const options = { id: String(n), ...(below(4) === 0 ? { delay: below(200) } : {}) }
    const one = Effect.eventually(queues[below(consumers)]!.offer(n, options))
    return below(5) === 0
      ? Effect.all([one, Effect.eventually(queues[below(consumers)]!.offer(n, options))], { concurrency: 2 })
      : one
  }
  yield* Effect.forkScoped(
    Effect.forEach(Array.from({ length: elements }, (_, n) => n), (n) => Effect.delay(offer(n), below(120)), {
      concurrency: 4,
      discard: true
    })
  )
  // Now and then a claimer is taken for dead.
  if (leasesEnd) {
    yield* Effect.forkScoped(
      Effect.gen(function*() {
        yield* Effect.sleep(100 + below(300))
        const present = (yield* kv.scan(keys.claimers)).entries
        const victim = present[below(Math.max(1, present.length))]
        if (victim !== undefined) yield* Effect.ignore(leases.revoke(victim.lease))
      }).pipe(Effect.repeat({ times: 4 }))
    )
  }

  const listed = Effect.map(
    kv.scan(completedPrefix(prefix)),
    ({ entries }) =>
      entries.flatMap(({ keyText, value }) => elementsOf(prefix, completedPrefix(prefix), keyText, value)).sort()
  )
  const finished = Effect.map(
    Effect.all([listed, kv.count(`${prefix}qx/`), kv.count(keys.rows), kv.count(keys.handed)]),
    ([completed, failed, left, handed]) => completed.length + failed === elements && left + handed === 0
  )
  yield* eventually(`seed ${seed}: every element is settled`, finished)
  const elementKeys = keys.element("").slice(0, -1)
  const found = (yield* kv.scan(elementKeys)).entries
  const settled = yield* settlements(yield* Effect.provide(Watch, services), kv, elementKeys)
  assert.deepStrictEqual(
    [[...settled.keys()].sort(), [...settled].filter(([, times]) => times !== 1)],
    [found.map(({ keyText }) => keyText), []],
    `seed ${seed}: settled once`
  )
  assert.strictEqual(found.length, elements)
  const completed = found.filter(({ value }) => value[0] === 0x63)
  assert.deepStrictEqual(yield* listed, completed.map(({ keyText }) => keyText), `seed ${seed}: listed once`)
  for (const { keyText } of completed) {
    const n = Number(keyText.slice(keys.element("").length))
    assert.isTrue(succeeded.has(n), `seed ${seed}: ${n} was completed by a handler that succeeded`)
  }
  for (const [n, attempts] of starts) {
    assert.isAtMost(Math.max(...attempts), maxAttempts, `seed ${seed}: attempts of ${n}`)
    // No attempt is lost or made twice.
    if (!leasesEnd) assert.deepStrictEqual(attempts, expected.get(n)?.slice(0, -1), `seed ${seed}: attempts of ${n}`)
  }
})

describe("a queue whose answers are lost", () => {
  const test = (name: string, leasesEnd: boolean, seeds: ReadonlyArray<number>) =>
    it.live(name, () =>
      Effect.gen(function*() {
        const services = yield* memory
        yield* Effect.forEach(seeds, (seed) => Effect.scoped(run(services, seed, leasesEnd)), { concurrency: 2 })
        // Each loss of a lease is a warning.
      }).pipe(Effect.scoped, Effect.provideService(References.MinimumLogLevel, "Error")), 120_000)

  test("settles every element once, after exactly the attempts that were made", false, [1, 2, 3])
  test("settles every element once, although claimers lose their leases", true, [4, 5, 6])
})
