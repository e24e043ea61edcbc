/**
 * Effect's `PersistedQueueStore` in FlareDB. An element takes three round trips at most: offer, claim,
 * complete. It takes two when a worker of the process that offers is next for it, and one when a worker goes from one
 * element to the next. Steps that come together share a transaction.
 *
 * - Consumers are woken by a watch: an element is taken when it is offered, due, or given back, not at the next poll.
 *   There is no poll interval.
 * - All workers of a process at one queue share one claimer with one lease. A handler keeps its claim however long it
 *   runs; when the process is gone, or cut off, others take over after `lockExpiration`. Then a handler that still runs
 *   settles nothing: whoever has the claim does. So an element may be handled twice, and is settled once.
 * - Delays and times to live are measured by the cluster's clock.
 * - One process takes elements in the order in which they were offered or became due. Several processes at one queue
 * take
 *   about in that order: each leaves some of the first elements to the others.
 * - Ids of completed elements stay until `cleanup`, as Effect says. An element that failed for good stays with the
 * reason.
 *
 * An element has at most 960 KiB as JSON, an id 2,048 characters.
 */
import { Cause, Duration, Effect, Layer, RcMap } from "effect"
import { PersistedQueue } from "effect/persistence"
import { randomUUID } from "node:crypto"
import { KeyValue } from "../../client/KeyValue.ts"
import { Leases } from "../../client/Lease.ts"
import { Compare, Op } from "../../client/Txn.ts"
import { Watch } from "../../client/Watch.ts"
import { defaultPrefix } from "./Keys.ts"
import * as LogTime from "../LogTime.ts"
import { outcomeOf } from "../Outcome.ts"
import type { Claimed } from "./queue/Claimed.ts"
import { Claimer } from "./queue/Claimer.ts"
import { offerRetries } from "./queue/HandOvers.ts"
import { cleanup } from "./queue/Cleanup.ts"
import {
  completedPrefix,
  copyOf,
  encodePending,
  encodeQueueRow,
  failedPrefix,
  maxElementBytes
} from "./queue/Layout.ts"
import { maxIdLength, placeOf, QueueKeys } from "./queue/Layout.ts"
import { Sharing, stepOf, StepWriter } from "../StepWriter.ts"

export interface PersistedQueueStoreOptions {
  /** Before every key. Default `fx/`. */
  readonly prefix?: string | undefined
  /**
   * How long the claims of a process outlive it when it ends without a word, and how long it may be cut off without
   * losing them. Default 10 seconds, at least 1.
   */
  readonly lockExpiration?: Duration.Input | undefined
}

const defaultLockExpiration = Duration.seconds(10)

/** How long a claimer without workers stays. */
const idleTimeToLive = Duration.seconds(30)

const failed = (what: string) => (cause: unknown): PersistedQueue.PersistedQueueError =>
  new PersistedQueue.PersistedQueueError({
    message: `${what}${cause instanceof Error ? `: ${cause.message}` : ""}`,
    cause
  })

/** What `PersistedQueue` fails a take with whose element does not decode; Effect does not export it. */
const deadLetterTag = "~effect/persistence/PersistedQueue/DeadLetter"

const deadLetterOf = (cause: Cause.Cause<unknown>): Cause.Cause<unknown> | undefined => {
  for (const reason of cause.reasons) {
    if (!Cause.isFailReason(reason)) continue
    const error = reason.error as { readonly _tag?: unknown; readonly cause?: Cause.Cause<unknown> } | undefined
    if (error?._tag === deadLetterTag) return error.cause ?? cause
  }
  return undefined
}

const make = Effect.fnUntraced(function*(options: PersistedQueueStoreOptions) {
  const { prefix = defaultPrefix } = options
  const kv = yield* KeyValue
  const leases = yield* Leases
  const watch = yield* Watch
  const { now } = yield* LogTime.LogTime
  const lockExpirationMs = Duration.toMillis(Duration.fromInputUnsafe(options.lockExpiration ?? defaultLockExpiration))

  // Places of this process never go back, whatever the readings of the cluster's time do.
  const by = randomUUID().slice(0, 8)
  let lastMs = 0
  let count = 0
  const placeAt = (ms: number) => placeOf(ms, ++count, by)
  const immediate = (ms: number) => {
    lastMs = Math.max(lastMs, ms)
    return placeAt(lastMs)
  }

  const steps = yield* StepWriter.make(kv)
  const present = new Map<string, Claimer>()
  const claimers = yield* RcMap.make({
    lookup: (name: string) =>
      Effect.gen(function*() {
        const keys = new QueueKeys(prefix, name)
        const claimer = yield* Claimer.make({ kv, steps, leases, watch, now, place: placeAt, lockExpirationMs, keys })
        present.set(name, claimer)
        // Another one may have begun meanwhile.
        yield* Effect.addFinalizer(() => Effect.sync(() => present.get(name) === claimer && present.delete(name)))
        return claimer
      }),
    idleTimeToLive
  })
  // A random id is new; one that the caller gave may be there already.
  const offers = new Sharing()
  const customOffers = new Sharing()

  const offer: PersistedQueue.PersistedQueueStore["Service"]["offer"] = ({ delay, element, id, isCustomId, name }) =>
    Effect.gen(function*() {
      if (id.length > maxIdLength) {
        return yield* Effect.fail(new Error(`the id has ${id.length} characters; at most ${maxIdLength} are allowed`))
      }
      const json = yield* Effect.try({ try: () => JSON.stringify(element), catch: (cause) => cause })
      if (json === undefined) return yield* Effect.fail(new Error("the element has no JSON"))
      const value = encodePending(json)
      if (value.byteLength > maxElementBytes) {
        return yield* Effect.fail(
          new Error(
            `the element has ${value.byteLength} bytes as JSON; at most ${maxElementBytes} are allowed. Store larger ` +
              "data elsewhere and its name here"
          )
        )
      }
      const keys = new QueueKeys(prefix, name)
      const nowMs = yield* now
      const delayMs = delay === undefined ? 0 : Math.ceil(Duration.toMillis(delay))
      const place = delayMs > 0 ? placeAt(nowMs + delayMs) : immediate(nowMs)
      const claimer = present.get(name)
      const sharing = isCustomId ? customOffers : offers
      const fiber = yield* Effect.withFiber(({ id }) => Effect.succeed(id))
      const handOver = delayMs > 0 ? undefined : claimer?.handOver({ place, id, json, value, sharing }, nowMs, fiber)
      if (handOver !== undefined && (yield* handOver)) return
      const row = { id, attempts: 0, delayed: delayMs > 0, claim: undefined, copy: copyOf(json) }
      const key = keys.element(id)
      const put = steps.take(stepOf(
        [Compare.missing(key)],
        [Op.put(key, value), Op.put(keys.row(place), encodeQueueRow(row))],
        sharing
      ))
      // It takes effect once at most: a second attempt finds the key. The same as for an id that was offered before.
      const { revision, succeeded } = yield* Effect.retry(put, {
        times: offerRetries,
        while: (failure) => outcomeOf(failure) === "unknown"
      })
      if (succeeded) claimer?.offered({ ...row, place, revision })
    }).pipe(Effect.mapError(failed(`unable to offer an element to the queue ${name}`)))

  type Taken = { readonly id: string; readonly attempts: number; readonly element: unknown }

  const take: PersistedQueue.PersistedQueueStore["Service"]["take"] = (takeOptions) => {
    const { maxAttempts, name, retryDelay } = takeOptions
    const settle = (claimed: Claimed, cause: Cause.Cause<unknown>): Effect.Effect<void> => {
      const dead = deadLetterOf(cause)
      if (dead !== undefined) return claimed.fail(Cause.pretty(dead))
      if (Cause.hasInterruptsOnly(cause)) return claimed.release
      if (claimed.attempts >= maxAttempts) return claimed.fail(Cause.pretty(cause))
      return Effect.flatMap(
        retryDelay(claimed.attempts),
        (delay) => claimed.retry(Math.ceil(Duration.toMillis(delay)))
      )
    }
    return Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        // Its claimer stays until this element is settled.
        const claimer = yield* RcMap.get(claimers, name)
        for (;;) {
          const claimed = yield* restore(claimer.take(maxAttempts))
          const element = yield* Effect.result(
            Effect.try({ try: () => JSON.parse(claimed.text) as unknown, catch: (e) => e })
          )
          if (element._tag === "Failure") {
            yield* claimed.fail(`the element is no JSON: ${String(element.failure)}`)
            continue
          }
          yield* Effect.addFinalizer((exit) =>
            exit._tag === "Success" ? claimer.complete(claimed, maxAttempts) : settle(claimed, exit.cause)
          )
          const { attempts, id } = claimed
          return { id, attempts, element: element.success } satisfies Taken
        }
      })
    )
  }

  return PersistedQueue.PersistedQueueStore.of({
    offer,
    take,
    cleanup: ({ failedTimeToLive, timeToLive }) =>
      Effect.gen(function*() {
        const nowMs = yield* now
        yield* cleanup(kv, prefix, completedPrefix(prefix), nowMs - Duration.toMillis(timeToLive))
        if (failedTimeToLive === undefined) return
        yield* cleanup(kv, prefix, failedPrefix(prefix), nowMs - Duration.toMillis(failedTimeToLive))
      }).pipe(Effect.mapError(failed("unable to clean up finished elements")))
  })
})

/** Effect's `PersistedQueueStore`, kept in FlareDB; `PersistedQueue.layer` makes queues of it. */
export const layerStore = (
  options: PersistedQueueStoreOptions = {}
): Layer.Layer<PersistedQueue.PersistedQueueStore, never, KeyValue | Leases | Watch> =>
  Layer.effect(PersistedQueue.PersistedQueueStore, make(options)).pipe(
    Layer.provide(LogTime.layer(options.prefix ?? defaultPrefix))
  )

/** Effect's `PersistedQueueFactory`, kept in FlareDB. */
export const layer = (
  options: PersistedQueueStoreOptions = {}
): Layer.Layer<PersistedQueue.PersistedQueueFactory, never, KeyValue | Leases | Watch> =>
  Layer.provide(Layer.fresh(PersistedQueue.layer), layerStore(options))
