/** Processes whose queues have other rows do not share a queue with those of this version. */
import { assert, it } from "@effect/vitest"
import { Context, Deferred, Duration, Effect, Fiber, Layer, Schema } from "effect"
import { PersistedQueue } from "effect/persistence"
import { layerPersistedQueueStore, Overview } from "../../src/actors/index.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { eventually } from "../Eventually.ts"
import { memory } from "./Stores.ts"

const setUp = Effect.gen(function*() {
  const services = yield* memory
  const kv = yield* Effect.provide(KeyValue, services)
  const open = Effect.gen(function*() {
    const stores = Layer.fresh(Layer.provide(layerPersistedQueueStore({ lockExpiration: 60_000 }), services))
    const context = yield* Layer.build(Layer.provideMerge(Layer.fresh(PersistedQueue.layer), stores))
    const queue = yield* Context.get(context, PersistedQueue.PersistedQueueFactory).make({
      name: "jobs",
      schema: Schema.String
    })
    return { queue, store: Context.get(context, PersistedQueue.PersistedQueueStore) }
  })
  const keys = (prefix: string) =>
    Effect.map(kv.scan(prefix, { keysOnly: true }), ({ entries }) => entries.map(({ keyText }) => keyText))
  return { keys, kv, open, services }
})

const versionKey = "fx/qv"
const former = "fx/q/jobs/w/k/former"
const place = (n: number) => `00000000000100${n}000000000001former`

it.live("the first store writes the version, and others find it", () =>
  Effect.scoped(Effect.gen(function*() {
    const { kv, open } = yield* setUp
    const queues = yield* Effect.all([open, open, open])
    yield* Effect.forEach(queues, ({ queue }) => queue.offer("a"), { concurrency: "unbounded" })
    const { entries } = yield* kv.scan(versionKey)
    assert.deepStrictEqual(entries.map(({ text, version }) => [text, version]), [["2", 1]])
    yield* queues[0]!.queue.take(Effect.succeed)
    const claimers = (yield* kv.scan("fx/q/jobs/w/k/")).entries
    assert.deepStrictEqual(claimers.map(({ text }) => text), ["2"], "a consumer says its version")
  })))

it.live("queues of a later layout are refused and left as they are", () =>
  Effect.scoped(Effect.gen(function*() {
    const { keys, kv, open, services } = yield* setUp
    yield* kv.put(versionKey, "3")
    const { queue, store } = yield* open
    const refused = [
      yield* Effect.flip(queue.offer("a")),
      yield* Effect.flip(queue.take(Effect.succeed)),
      yield* Effect.flip(store.cleanup({ timeToLive: Duration.zero, failedTimeToLive: Duration.zero }))
    ]
    for (const { _tag, cause, message } of refused) {
      assert.strictEqual(_tag, "PersistedQueueError")
      assert.deepInclude(cause, { _tag: "OtherQueueLayout", key: versionKey, version: "3" })
      assert.match(message, /layout 3, of which this release knows 2 and before.*Start this process with the release/)
    }
    const overview = Context.get(yield* Layer.build(Layer.provide(Overview.layer(), services)), Overview)
    const at = { element: "fx/q/jobs/e/=a", mark: "fx/qx/x", elementRevision: 1, markRevision: 1 }
    const letter = { id: "a", failedMs: 0, attempts: 1, reason: "", element: "1", at }
    for (const change of [overview.retry("jobs", letter), overview.drop(letter)]) {
      assert.deepInclude(yield* Effect.flip(change), { _tag: "OtherQueueLayout", version: "3" })
    }
    assert.deepStrictEqual(yield* keys("fx/q"), [versionKey])
    yield* kv.delete(versionKey)
    yield* queue.offer("a")
    assert.strictEqual(yield* queue.take(Effect.succeed), "a", "the same store, once nothing is in its way")
  })))

it.live("what the first layout left is taken as it is", () =>
  Effect.scoped(Effect.gen(function*() {
    const { keys, kv, open } = yield* setUp
    yield* Effect.forEach(
      Object.entries({
        "fx/q/jobs/e/=waiting": `p"waiting"`,
        [`fx/q/jobs/w/r/${place(1)}`]: `{"id":"waiting","n":0,"e":"\\"waiting\\""}`,
        "fx/q/jobs/e/=claimed": `p"claimed"`,
        [`fx/q/jobs/w/r/${place(2)}`]: `{"id":"claimed","n":1,"c":"gone","t":"gone/1"}`,
        "fx/q/jobs/e/=large": `p"large"`,
        [`fx/q/jobs/w/r/${place(3)}`]: `{"id":"large","n":0}`,
        "fx/q/jobs/e/=done": "cgone/2",
        "fx/qc/000000000001000/jobs/=done": ""
      }),
      ([key, value]) => kv.put(key, value)
    )
    const { queue, store } = yield* open
    const taken = yield* Effect.forEach([1, 2, 3], () =>
      queue.take((text, { attempts, id }) => Effect.succeed([id, text, attempts])))
    assert.deepStrictEqual(taken, [["waiting", "waiting", 1], ["claimed", "claimed", 2], ["large", "large", 1]])
    yield* Effect.forEach(["waiting", "done"], (id) =>
      queue.offer("again", { id }))
    assert.deepStrictEqual(yield* keys("fx/q/jobs/w/r/"), [], "their ids stay taken")
    yield* store.cleanup({ timeToLive: Duration.zero, failedTimeToLive: undefined })
    assert.deepStrictEqual(yield* keys("fx/q/jobs/e/"), [])
    assert.deepStrictEqual(yield* keys("fx/qc/"), [])
  })))

it.live("nothing is taken, and no offer claims, while a consumer of the first layout is there", () =>
  Effect.scoped(Effect.gen(function*() {
    const { keys, kv, open } = yield* setUp
    yield* kv.put(former, "")
    const { queue } = yield* open
    const taking = yield* Effect.forkChild(queue.take(Effect.succeed), { startImmediately: true })
    yield* eventually("it is there", Effect.map(kv.count("fx/q/jobs/w/k/"), (count) => count === 2))
    for (let n = 0; n < 5; n++) {
      yield* queue.offer(`${n}`, { id: `${n}` })
      yield* Effect.sleep(100)
    }
    // Rows that a consumer of the first layout knows.
    assert.lengthOf(yield* keys("fx/q/jobs/e/"), 5)
    assert.lengthOf(yield* keys("fx/q/jobs/w/r/"), 5)
    assert.lengthOf(yield* keys("fx/q/jobs/h/"), 0)
    assert.isUndefined(taking.pollUnsafe())
    yield* kv.delete(former)
    assert.strictEqual(yield* Fiber.join(taking), "0")
  })))

it.live("a consumer of the first layout that comes later ends claims, and no handler", () =>
  Effect.scoped(Effect.gen(function*() {
    const { keys, kv, open } = yield* setUp
    const { queue } = yield* open
    yield* queue.offer("first")
    const started = yield* Deferred.make<void>()
    const finish = yield* Deferred.make<void>()
    const handling = yield* Effect.forkChild(
      queue.take((text) =>
        Effect.as(Effect.andThen(Deferred.succeed(started, undefined), Deferred.await(finish)), text)
      )
    )
    yield* Deferred.await(started)
    const next = yield* Effect.forkChild(queue.take(Effect.succeed), { startImmediately: true })
    yield* eventually(
      "an offer claims for the second worker",
      Effect.gen(function*() {
        yield* queue.offer("second")
        return next.pollUnsafe() !== undefined
      })
    )
    let waiting = next
    yield* kv.put(former, "")
    // The watch reports it soon: what is offered until then may still be claimed.
    let offers = 0
    yield* eventually(
      "an offer claims no more",
      Effect.gen(function*() {
        offers += 1
        waiting = yield* Effect.forkScoped(queue.take(Effect.succeed), { startImmediately: true })
        yield* queue.offer("third", { id: `third-${offers}` })
        yield* Effect.sleep(300)
        return waiting.pollUnsafe() === undefined
      })
    )
    assert.include(yield* keys("fx/q/jobs/e/"), `fx/q/jobs/e/=third-${offers}`)
    yield* Deferred.succeed(finish, undefined)
    assert.strictEqual(yield* Fiber.join(handling), "first")
    yield* kv.delete(former)
    yield* Fiber.join(waiting)
  })))
