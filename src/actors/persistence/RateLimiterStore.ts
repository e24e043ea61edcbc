/**
 * Effect's `RateLimiterStore` in FlareDB. Each call is one atomic step, by the cluster's clock, however many processes
 * share a limit; calls of one process that wait for the same key become one write. A lone call costs one round trip.
 *
 * A key's state is deleted by the cluster some time after it has run out. A call fails as `RateLimitStoreError`, with
 * the client's error as its cause; after `Indeterminate` its tokens may be taken.
 */
import { Effect, Layer } from "effect"
import type { Scope } from "effect"
import { RateLimiter } from "effect/persistence"
import type { KeyValue } from "../../client/KeyValue.ts"
import { LatestReads } from "../LatestReads.ts"
import { Leases } from "../../client/Lease.ts"
import { InvalidArgument } from "../../FlareDbError.ts"
import type { Watch } from "../../client/Watch.ts"
import type { StepFailure } from "./AtomicRows.ts"
import { AtomicRows } from "./AtomicRows.ts"
import { ExpiryLeases } from "./ExpiryLeases.ts"
import { defaultPrefix, encodeName, encodeOwnPart } from "./Keys.ts"
import * as LogTime from "../LogTime.ts"
import { LongLived } from "./LongLived.ts"
import * as RateLimits from "./RateLimits.ts"

/** Where rate limits lie in the store. */
export interface RateLimiterStoreOptions {
  /** Stores of different names do not share limits. Default `default`. */
  readonly name?: string | undefined
  /** Before every key. Default `fx/`. */
  readonly prefix?: string | undefined
}

const { RateLimiterError, RateLimitStoreError, RateLimiterStore } = RateLimiter

/** Refuses numbers that a state cannot be made of: they would be kept, and every caller would go by them. */
const finite = (numbers: Readonly<Record<string, number>>): Effect.Effect<void, InvalidArgument> => {
  for (const [field, number] of Object.entries(numbers)) {
    if (!Number.isFinite(number)) {
      return Effect.fail(new InvalidArgument({ field, problem: `is ${number}; give a finite number` }))
    }
  }
  return Effect.void
}

/** The store, by whatever time there is. */
export const make = Effect.fnUntraced(function*(
  { name = "default", prefix = defaultPrefix }: RateLimiterStoreOptions
): Effect.fn.Return<RateLimiter.RateLimiterStore["Service"], never, KeyValue | Leases | LogTime.LogTime | Scope.Scope> {
  const kv = yield* LatestReads
  const { now } = yield* LogTime.LogTime
  const longLived = new LongLived(kv, prefix)
  yield* longLived.sweeping(now)
  const rows = new AtomicRows({ kv, now, longLived, leases: new ExpiryLeases(yield* Leases) })

  /** `kind` keeps the ways of limiting apart, which may use one key. */
  const keyOf = (kind: string, key: string) => `${prefix}l/${encodeName(name)}/${kind}/${encodeOwnPart(key)}`

  const failing = (what: string, key: string) => (cause: StepFailure) =>
    new RateLimiterError({
      reason: new RateLimitStoreError({ message: `unable to ${what} for the key ${key}: ${cause.message}`, cause })
    })

  return RateLimiterStore.of({
    fixedWindow: (options) =>
      Effect.mapError(
        // A window may have no limit.
        Effect.andThen(
          finite({ tokens: options.tokens, ...Number.isNaN(options.limit) ? { limit: NaN } : {} }),
          rows.step(keyOf("window", options.key), RateLimits.fixedWindow(options))
        ),
        failing("take tokens of the window", options.key)
      ),
    tokenBucket: (options) =>
      Effect.mapError(
        Effect.andThen(
          finite({ tokens: options.tokens, limit: options.limit }),
          rows.step(keyOf("bucket", options.key), RateLimits.tokenBucket(options))
        ),
        failing("take tokens of the bucket", options.key)
      ),
    adaptiveConsume: (options) =>
      Effect.mapError(
        Effect.andThen(
          finite({ tokens: options.tokens }),
          rows.step(keyOf("adaptive", options.key), RateLimits.adaptiveConsume(options))
        ),
        failing("take tokens of the adaptive limit", options.key)
      ),
    // What says nothing of the limit costs nothing.
    adaptiveFeedback: (options) =>
      options.status !== 429 || options.retryAfter === undefined
        ? Effect.void
        : Effect.mapError(
          rows.step(keyOf("adaptive", options.key), RateLimits.adaptiveFeedback(options)),
          failing("record the answer", options.key)
        )
  })
})

/**
 * Effect's `RateLimiterStore`, kept in FlareDB; `RateLimiter.layer` makes a `RateLimiter` of it.
 *
 * **When to use**
 *
 * To make a `RateLimiter` of it with settings of one's own; otherwise {@link layer}.
 */
export const layerStore = (
  options: RateLimiterStoreOptions = {}
): Layer.Layer<RateLimiter.RateLimiterStore, never, KeyValue | Leases | Watch> =>
  Layer.effect(RateLimiterStore, make(options)).pipe(
    Layer.provide(LogTime.layer(options.prefix ?? defaultPrefix))
  )

/**
 * Effect's `RateLimiter`, kept in FlareDB.
 *
 * **When to use**
 *
 * For limits that all processes of a service share.
 *
 * **Details**
 *
 * Each call is one atomic step, by the cluster's clock. Calls of one process for one key share a write.
 *
 * **Gotchas**
 *
 * A lone call is a write of the cluster; one that is refused is a read.
 */
export const layer = (
  options: RateLimiterStoreOptions = {}
): Layer.Layer<RateLimiter.RateLimiter, never, KeyValue | Leases | Watch> =>
  Layer.provide(Layer.fresh(RateLimiter.layer), layerStore(options))
