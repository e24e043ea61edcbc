/** Effect's rate limiter on FlareDB in memory: the suite, and Effect's own memory store as the model. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Duration, Effect, Layer } from "effect"
import { RateLimiter } from "effect/persistence"
import { layerRateLimiterStore } from "../../src/actors/index.ts"
import { LongLived } from "../../src/actors/persistence/LongLived.ts"
import { LogTime } from "../../src/actors/LogTime.ts"
import * as RateLimiterStore from "../../src/actors/persistence/RateLimiterStore.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { Indeterminate } from "../../src/FlareDbError.ts"
import { eventually } from "../Eventually.ts"
import { rateLimiterCases } from "../../src/testing/index.ts"
import type { Services } from "./Stores.ts"
import { memory, onMemory } from "./Stores.ts"
import { withWall } from "../WallClock.ts"

describe("a rate limiter in FlareDB", () => {
  onMemory((services) => rateLimiterCases({ layer: Layer.provide(layerRateLimiterStore(), services) }))
})

describe("Effect's memory store", () => {
  const cases = rateLimiterCases({ layer: RateLimiter.layerStoreMemory, shared: false })
  for (const { effect, name } of cases) it.live(name, () => effect)
})

const random = (seed: number) => (below: number): number => {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
  return Math.floor((seed / 2 ** 32) * below)
}

interface AnyStep {
  readonly key: string
  readonly take: (store: RateLimiter.RateLimiterStore["Service"]) => Effect.Effect<unknown, unknown>
}

/** Any step at a store. Most answers to requests are of the epoch in which they were let through. */
const anyStep = (below: (bound: number) => number, epochs: ReadonlyMap<string, number>): AnyStep => {
  const key = `key ${below(2)}`
  const tokens = [1, 1, 2, 3, 7, 0.5, 0][below(7)] as number
  const refillRate = Duration.millis([7, 100, 1_000 / 3][below(3)] as number)
  const retryAfter = below(40) === 0
    ? Duration.hours(5)
    : [Duration.millis(40), Duration.millis(900), Duration.millis(5), Duration.zero, undefined][below(5)]
  switch (below(6)) {
    case 0: {
      const options = { key, tokens, refillRate, limit: below(3) === 0 ? undefined : 5 }
      return { key, take: (store) => store.fixedWindow(options) }
    }
    case 1: {
      // A bucket has one size: what it is filled up to while nobody looks is not defined otherwise.
      const size = { refillRate: Duration.millis(100), limit: 5 }
      const options = { key: `${key} of 5`, tokens, ...size, allowOverflow: below(2) === 0 }
      return { key, take: (store) => store.tokenBucket(options) }
    }
    case 2:
    case 3: {
      const options = {
        key,
        tokens: Math.ceil(tokens),
        fallbackLimit: 5,
        fallbackWindow: Duration.millis(500)
      }
      return { key, take: (store) => store.adaptiveConsume(options) }
    }
    default: {
      const epoch = below(5) === 0 ? below(6) : epochs.get(key) ?? 0
      const options = { key, epoch, tokens: below(4), status: below(5) === 0 ? 200 : 429, retryAfter }
      return { key, take: (store) => store.adaptiveFeedback(options) }
    }
  }
}

describe("what each step answers", () => {
  for (const seed of [1, 2, 3, 4]) {
    it.live(`is what Effect's memory store answers (seed ${seed})`, () =>
      Effect.scoped(Effect.gen(function*() {
        const below = random(seed)
        const epochs = new Map<string, number>()
        let nowMs = 1_000
        const time = Layer.succeed(LogTime, { now: Effect.sync(() => nowMs) })
        const own = Effect.provide(RateLimiterStore.make({}), Layer.merge(yield* memory, time))
        // Two processes: each is behind after the other has changed a row.
        const stores = [yield* own, yield* own]
        const stopped = withWall(yield* Clock.Clock, () => nowMs)
        const model = Context.get(yield* Layer.build(RateLimiter.layerStoreMemory), RateLimiter.RateLimiterStore)
        for (let n = 0; n < 300; n++) {
          const { key, take } = anyStep(below, epochs)
          const expected = yield* Effect.provideService(take(model), Clock.Clock, stopped)
          const found = yield* take(stores[below(2)]!)
          assert.deepStrictEqual(found, expected, `step ${n}`)
          const { epoch } = (expected ?? {}) as { readonly epoch?: number }
          if (epoch !== undefined) epochs.set(key, epoch)
          if (below(4) === 0) nowMs += [1, 7, 100, 650, 4_000, 100_000, 4_000_000][below(7)] as number
        }
      })))
  }
})

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

const storeOf = (services: Services) =>
  Effect.map(
    Layer.build(Layer.fresh(Layer.provide(layerRateLimiterStore(), services))),
    (context) => Context.get(context, RateLimiter.RateLimiterStore)
  )

const window = { key: "key", tokens: 1, refillRate: Duration.hours(1), limit: 1_000 }

describe("a step", () => {
  it.live("costs one write, and those that wait for a key share one", () =>
    Effect.scoped(Effect.gen(function*() {
      let writes = 0
      const store = yield* storeOf(withWrites(yield* memory, (kv) => (txn) => {
        writes++
        return kv.transact(txn)
      }))
      yield* store.fixedWindow(window)
      writes = 0
      for (let n = 0; n < 10; n++) yield* store.fixedWindow(window)
      assert.strictEqual(writes, 10)
      writes = 0
      const counts = yield* Effect.all(Array.from({ length: 100 }, () => store.fixedWindow(window)), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(counts.map(([count]) => count), Array.from({ length: 100 }, (_, i) => 12 + i))
      assert.isAtMost(writes, 2)
    })))

  it.live("takes its tokens once when the answer is lost", () =>
    Effect.scoped(Effect.gen(function*() {
      let n = 0
      const lost = Effect.fail(new Indeterminate({ reason: "a test" }))
      const store = yield* storeOf(withWrites(yield* memory, (kv) => (txn) => {
        n++
        return n % 3 === 1 ? Effect.andThen(kv.transact(txn), lost) : n % 3 === 2 ? lost : kv.transact(txn)
      }))
      for (let count = 1; count <= 10; count++) {
        assert.strictEqual((yield* store.fixedWindow(window))[0], count)
      }
    })))

  it.live("whose outcome stays unknown fails with the reason", () =>
    Effect.scoped(Effect.gen(function*() {
      const store = yield* storeOf(
        withWrites(yield* memory, () => () => Effect.fail(new Indeterminate({ reason: "a test" })))
      )
      const error = yield* Effect.flip(store.fixedWindow(window))
      assert.strictEqual(error.reason._tag, "RateLimitStoreError")
      assert.match(error.message, /unable to take tokens of the window for the key key: outcome unknown: a test/)
      assert.instanceOf((error.reason as RateLimiter.RateLimitStoreError).cause, Indeterminate)
    })))

  it.live("refuses numbers of which no state can be kept, and keeps none", () =>
    Effect.gen(function*() {
      const services = yield* memory
      yield* Effect.gen(function*() {
        const store = yield* RateLimiter.RateLimiterStore
        const options = { key: "odd", refillRate: Duration.millis(10), allowOverflow: false }
        for (
          const [field, tokens, limit] of [["tokens", NaN, 5], ["tokens", Infinity, 5], ["limit", 1, NaN]] as const
        ) {
          for (const take of [store.fixedWindow, store.tokenBucket]) {
            const { reason } = yield* Effect.flip(take({ ...options, tokens, limit }))
            assert.match(reason.message, new RegExp(`${field}.* is (NaN|Infinity); give a finite number`))
          }
        }
        assert.deepStrictEqual(yield* store.fixedWindow({ ...options, tokens: 1, limit: Infinity }), [1, 10])
        assert.strictEqual((yield* store.tokenBucket({ ...options, tokens: 1, limit: 5 }))[0], 4)
      }).pipe(Effect.provide(layerRateLimiterStore()), Effect.provide(services))
    }).pipe(Effect.scoped))

  it.live("of a window that outlives every lease is marked once, for the sweep", () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      const store = yield* storeOf(services)
      const kv = yield* Effect.provide(KeyValue, services)
      const month = { ...window, refillRate: Duration.days(30), limit: undefined }
      for (let n = 0; n < 5; n++) yield* store.fixedWindow(month)
      assert.strictEqual(yield* kv.count("fx/x/"), 1)
      yield* new LongLived(kv, "fx/").sweep(Date.now() + Duration.toMillis(Duration.days(149)))
      assert.strictEqual((yield* store.fixedWindow(month))[0], 6)
      yield* new LongLived(kv, "fx/").sweep(Date.now() + Duration.toMillis(Duration.days(181)))
      assert.strictEqual(yield* kv.count("fx/"), 1, "nothing but the clock is left")
    })))

  it.live("moves the end of a long window by less than a millisecond", () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      const store = yield* storeOf(services)
      const kv = yield* Effect.provide(KeyValue, services)
      // A quota of ten thousand million in thirty days.
      const quota = { ...window, refillRate: Duration.millis(0.2592), limit: 10_000_000_000 }
      yield* store.fixedWindow({ ...quota, tokens: 5_000_000_000 })
      for (let n = 1; n <= 8; n++) {
        assert.strictEqual((yield* store.fixedWindow(quota))[0], 5_000_000_000 + n)
      }
      assert.strictEqual(yield* kv.count("fx/x/"), 1)
    })))

  it.live("leaves nothing behind once its time has run out", () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      const store = yield* storeOf(services)
      const kv = yield* Effect.provide(KeyValue, services)
      for (let n = 0; n < 20; n++) {
        yield* store.fixedWindow({ ...window, key: `key ${n}`, refillRate: Duration.millis(1) })
      }
      assert.isAbove(yield* kv.count("fx/l/"), 0)
      yield* eventually("the rows are gone", Effect.map(kv.count("fx/l/"), (rows) => rows === 0))
    })))
})
