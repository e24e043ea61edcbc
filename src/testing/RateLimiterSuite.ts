/**
 * What users of Effect's `RateLimiter` rely on: each step at a key is atomic, also between processes, and a limit fills
 * up again with time.
 */
import type { Scope } from "effect"
import { Context, Duration, Effect, Layer } from "effect"
import { RateLimiter } from "effect/persistence"
import { ensure, eventually, same } from "./Checks.ts"
import type { ConformanceCase } from "./Conformance.ts"

/** The store to hold against the cases, and what it does not promise. */
export interface RateLimiterSuiteOptions {
  /** The suite builds it more than once, as several processes do. */
  readonly layer: Layer.Layer<RateLimiter.RateLimiterStore, unknown>
  /** Whether layers built apart share their limits. Default `true`; Effect's memory store does not. */
  readonly shared?: boolean | undefined
}

type Store = RateLimiter.RateLimiterStore["Service"]

/** So long that nothing comes back during a case. */
const never = Duration.hours(1)

/** What the store of rate limits has to do, between two processes. */
export const rateLimiterCases = (options: RateLimiterSuiteOptions): ReadonlyArray<ConformanceCase> => {
  const open = Effect.map(
    Layer.build(Layer.fresh(options.layer)),
    (context) => Context.get(context, RateLimiter.RateLimiterStore)
  )

  const make = (
    name: string,
    run: (one: Store, other: Store) => Effect.Effect<void, unknown, Scope.Scope>
  ): ConformanceCase => ({
    name,
    effect: Effect.scoped(Effect.gen(function*() {
      const one = yield* open
      yield* run(one, options.shared === false ? one : yield* open)
    }))
  })

  const limiter = (store: Store) => Effect.provideService(RateLimiter.make, RateLimiter.RateLimiterStore, store)

  const consume = (store: Store, key: string) =>
    store.adaptiveConsume({ key, tokens: 1, fallbackLimit: 10, fallbackWindow: Duration.minutes(1) })

  const refused = (store: Store, key: string, epoch: number, retryAfterMs: number, tokens = 1) =>
    store.adaptiveFeedback({ key, epoch, tokens, status: 429, retryAfter: Duration.millis(retryAfterMs) })

  return [
    make(
      "a fixed window counts, and refuses what is beyond its limit without counting it",
      (one, other) =>
        Effect.gen(function*() {
          const take = (store: Store, tokens: number, limit: number | undefined) =>
            Effect.map(store.fixedWindow({ key: "window", tokens, refillRate: never, limit }), ([count]) => count)
          yield* same(yield* take(one, 3, 5), 3, "the count after 3")
          yield* same(yield* take(other, 3, 5), 6, "the count that 3 more would make")
          yield* same(yield* take(one, 2, 5), 5, "the count after 2 more")
          yield* same(yield* take(other, 1, 5), 6, "the count that one more would make")
          yield* same(yield* take(other, 4, undefined), 9, "the count without a limit")
          const [, ttl] = yield* one.fixedWindow({ key: "window", tokens: 1, refillRate: never, limit: undefined })
          yield* ensure(
            ttl > 9.9 * 3_600_000 && ttl <= 10 * 3_600_000,
            `10 tokens of an hour each end in ${ttl} ms`
          )
          yield* same(
            yield* one.fixedWindow({ key: "window/", tokens: 1, refillRate: never, limit: 5 }),
            [1, 3_600_000],
            "another key"
          )
        })
    ),
    make("a fixed window ends, and begins again from nothing", (one, other) =>
      Effect.gen(function*() {
        const options = { key: "ends", tokens: 2, refillRate: Duration.millis(200), limit: 2 }
        yield* same((yield* one.fixedWindow(options))[0], 2, "the count")
        yield* eventually(
          "the window ends",
          Effect.map(other.fixedWindow(options), ([count]) => count === 2)
        )
      })),
    make("a limit whose window never ends holds for good", (one, other) =>
      Effect.gen(function*() {
        const ever = { tokens: 1, limit: 2, refillRate: Duration.infinity }
        const counts: Array<number> = []
        const left: Array<number> = []
        for (const store of [one, other, one, other]) {
          counts.push((yield* store.fixedWindow({ key: "ever", ...ever }))[0])
          left.push((yield* store.tokenBucket({ key: "ever", ...ever, allowOverflow: false }))[0])
        }
        yield* same(counts, [1, 2, 3, 3], "the counts of the window")
        yield* same(left, [1, 0, -1, -1], "what is left in the bucket")
      })),
    make(
      "a token bucket gives what it has, and goes into debt only where that is allowed",
      (one, other) =>
        Effect.gen(function*() {
          const take = (store: Store, tokens: number, allowOverflow: boolean) =>
            Effect.map(
              store.tokenBucket({ key: "bucket", tokens, limit: 5, refillRate: never, allowOverflow }),
              ([remaining]) => remaining
            )
          yield* same(yield* take(one, 3, false), 2, "what is left of 5 after 3")
          yield* same(yield* take(other, 3, false), -1, "what 3 more would leave")
          yield* same(yield* take(one, 0.5, false), 1.5, "what is left after a half")
          yield* same(yield* take(other, 4, true), -2.5, "the debt")
          yield* same(yield* take(one, 1, false), -3.5, "what one more would leave")
          yield* same(yield* take(other, 0, true), -2.5, "what was not taken")
        })
    ),
    make("a token bucket fills up again, to its limit", (one, other) =>
      Effect.gen(function*() {
        const look = { key: "fills", limit: 3, refillRate: Duration.millis(150), allowOverflow: true }
        yield* same((yield* one.tokenBucket({ ...look, tokens: 5 }))[0], -2, "the debt")
        yield* eventually(
          "it is full",
          Effect.map(other.tokenBucket({ ...look, tokens: 0 }), ([remaining, elapsed]) =>
            remaining === 3 && elapsed === 0)
        )
      })),
    make("no more than the limit is given to many at once", (one, other) =>
      Effect.gen(function*() {
        const stores = [yield* limiter(one), yield* limiter(other)]
        for (const algorithm of ["fixed-window", "token-bucket"] as const) {
          const results = yield* Effect.all(
            Array.from({ length: 60 }, (_, i) =>
              Effect.exit((stores[i % 2] as RateLimiter.RateLimiter).consume({
                algorithm,
                key: `at once ${algorithm}`,
                limit: 25,
                window: never
              }))),
            { concurrency: "unbounded" }
          )
          const given = results.filter(({ _tag }) => _tag === "Success").length
          yield* same(given, 25, `what a limit of 25 gave to 60 callers, ${algorithm}`)
        }
      })),
    make("callers that wait are spread over the windows", (one) =>
      Effect.gen(function*() {
        const store = yield* limiter(one)
        const delays = yield* Effect.forEach(Array.from({ length: 6 }), () =>
          Effect.map(
            store.consume({ key: "delays", limit: 2, window: never, onExceeded: "delay" }),
            ({ delay }) => Math.round(Duration.toMillis(delay) / 3_600_000)
          ))
        yield* same(delays, [0, 0, 1, 1, 2, 2], "the windows in which they may go on")
      })),
    make(
      "an adaptive limit does nothing until it learns of a refusal, then cools down, learns and keeps to it",
      (one, other) =>
        Effect.gen(function*() {
          const key = "adaptive"
          yield* same(yield* consume(one, key), { delay: Duration.zero, epoch: 0, phase: "inactive" }, "at first")
          yield* one.adaptiveFeedback({ key, epoch: 0, tokens: 1, status: 200, retryAfter: Duration.millis(100) })
          yield* one.adaptiveFeedback({ key, epoch: 0, tokens: 1, status: 429, retryAfter: undefined })
          yield* same((yield* consume(other, key)).phase, "inactive", "after answers that are no refusals")
          yield* refused(one, key, 0, 3_600_000)
          const cooling = yield* consume(other, key)
          yield* same([cooling.phase, cooling.epoch], ["cooldown", 0], "after a refusal")
          yield* ensure(Duration.toMillis(cooling.delay) > 3_500_000, "the delay is what was asked for")

          const fast = "adaptive and fast"
          yield* refused(one, fast, 0, 100)
          yield* eventually(
            "the cool-down is over",
            Effect.map(consume(other, fast), ({ epoch, phase }) => phase === "learning" && epoch === 1)
          )
          for (let i = 0; i < 3; i++) yield* consume(i % 2 === 0 ? one : other, fast)
          // Four were let through, the last one of them is refused: three an hour is what it learns.
          yield* refused(other, fast, 0, 3_600_000)
          yield* same((yield* consume(one, fast)).phase, "learning", "after a refusal of an earlier epoch")
          yield* refused(other, fast, 1, 3_600_000, 2)
          const learned = [yield* consume(one, fast), yield* consume(other, fast)]
          yield* same(
            learned.map(({ epoch, phase }) => [epoch, phase]),
            [[2, "learned"], [2, "learned"]],
            "what it is then"
          )
          yield* ensure(learned.every(({ delay }) => Duration.toMillis(delay) > 0), "more than it learned has to wait")
          yield* refused(one, fast, 2, 3_600_000)
          yield* same((yield* consume(other, fast)).phase, "cooldown", "after a refusal of what it had learned")
        })
    ),
    make("the ways of limiting a key do not disturb each other", (one) =>
      Effect.gen(function*() {
        const key = "one key"
        yield* one.fixedWindow({ key, tokens: 2, refillRate: never, limit: 5 })
        yield* same(
          (yield* one.tokenBucket({ key, tokens: 1, limit: 5, refillRate: never, allowOverflow: false }))[0],
          4,
          "the bucket"
        )
        yield* refused(one, key, 0, 3_600_000)
        yield* same((yield* one.fixedWindow({ key, tokens: 1, refillRate: never, limit: 5 }))[0], 3, "the window")
        yield* same((yield* consume(one, key)).phase, "cooldown", "the adaptive limit")
      }))
  ]
}
