/**
 * Effect's `PersistedQueueStore` in FlareDB. An element takes three round trips at most: offer, claim,
 * complete. It takes two when a worker of the process that offers is next for it, and one when a worker goes from one
 * element to the next. Steps that come together share a transaction.
 *
 * - Consumers are woken by a watch: an element is taken when it is offered, due, or given back, not at the next poll.
 *   There is no poll interval. What an offer claims for a worker of its own process is not watched by anybody.
 * - All workers of a process at one queue share one claimer with one lease. A handler keeps its claim however long it
 *   runs; when the process is gone, or cut off, others take over after `lockExpiration`. A handler that still runs then
 *   settles nothing, because it has no claim. So an element may be handled twice, and is settled once.
 * - Delays and times to live are measured by the cluster's clock.
 * - One process takes elements in the order in which they were offered or became due. Several processes at one queue
 *   take about in that order: each leaves some of the first elements to the others.
 * - Ids of completed elements stay until `cleanup`, as Effect says. An element that failed for good stays with the
 *   reason.
 *
 * An element has at most 960 KiB as JSON, an id 2,048 characters.
 */
import { Duration, Effect, Layer, RcMap } from "effect"
import { PersistedQueue } from "effect/persistence"
import { InvalidConfig } from "../../config/ConfigProblem.ts"
import { InvalidArgument } from "../../FlareDbError.ts"
import type { KeyValue } from "../../client/KeyValue.ts"
import { maxLockMs } from "../ActorsConfig.ts"
import { LatestReads } from "../LatestReads.ts"
import { Leases } from "../../client/Lease.ts"
import { Watch } from "../../client/Watch.ts"
import * as LogTime from "../LogTime.ts"
import { StepWriter } from "../StepWriter.ts"
import { defaultPrefix } from "./Keys.ts"
import { Claimer } from "./queue/Claimer.ts"
import { cleanup } from "./queue/Cleanup.ts"
import { completedPrefix, failedPrefix, QueueKeys } from "./queue/Layout.ts"
import { Offers } from "./queue/Offers.ts"
import { PlaceSequence } from "./queue/Places.ts"
import { QueueLayout } from "./queue/QueueLayout.ts"
import { takeFrom } from "./queue/Takes.ts"

/** Where queues lie in the store, and how long claims outlive their process. */
export interface PersistedQueueStoreOptions {
  /** Before every key. Default `fx/`. */
  readonly prefix?: string | undefined
  /**
   * How long the claims of a process outlive it when it ends without a word, and how long it may be cut off without
   * losing them. Default 10 seconds; 1 second to 7 days, and building the layer dies as `InvalidConfig` otherwise.
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

/** Claims live on a lease of that time. */
const lockExpirationOf = ({ lockExpiration = defaultLockExpiration }: PersistedQueueStoreOptions) => {
  const ms = Math.ceil(Duration.toMillis(Duration.fromInputUnsafe(lockExpiration)))
  if (ms >= 1_000 && ms <= maxLockMs) return Effect.succeed(ms)
  const problem = `${ms} ms; it must be 1 second to 7 days, which a lease may last`
  return Effect.die(new InvalidConfig({ problems: [{ field: "lockExpiration", problem }] }))
}

/** With less than one attempt a claim would spend none: each element would count as one that failed. */
const attemptsProblem = (maxAttempts: number): InvalidArgument | undefined =>
  maxAttempts === Infinity || (Number.isSafeInteger(maxAttempts) && maxAttempts >= 1)
    ? undefined
    : new InvalidArgument({
      field: "maxAttempts",
      problem: `${maxAttempts} is not an integer of at least 1; Infinity is one without a limit`
    })

const make = Effect.fnUntraced(function*(options: PersistedQueueStoreOptions) {
  const { prefix = defaultPrefix } = options
  const kv = yield* LatestReads
  const leases = yield* Leases
  const watch = yield* Watch
  const { now } = yield* LogTime.LogTime
  const lockExpirationMs = yield* lockExpirationOf(options)
  const layout = new QueueLayout(prefix, kv)
  const places = new PlaceSequence()
  const steps = yield* StepWriter.make(kv)
  const present = new Map<string, Claimer>()
  const claimers = yield* RcMap.make({
    lookup: (name: string) =>
      Effect.gen(function*() {
        const keys = new QueueKeys(prefix, name)
        const claimer = yield* Claimer.make({ kv, steps, leases, watch, now, place: places.at, lockExpirationMs, keys })
        present.set(name, claimer)
        // Another one may have begun meanwhile.
        yield* Effect.addFinalizer(() => Effect.sync(() => present.get(name) === claimer && present.delete(name)))
        return claimer
      }),
    idleTimeToLive
  })
  const offers = new Offers({ steps, now, places, prefix, claimer: (name) => present.get(name) })

  return PersistedQueue.PersistedQueueStore.of({
    offer: (element) =>
      Effect.mapError(
        layout.before(offers.add(element)),
        failed(`unable to offer an element to the queue ${element.name}`)
      ),
    take: (takeOptions) => {
      const refused = attemptsProblem(takeOptions.maxAttempts)
      return Effect.andThen(
        Effect.mapError(
          layout.beforeWaiting(refused === undefined ? Effect.void : Effect.fail(refused)),
          failed(`unable to take an element from the queue ${takeOptions.name}`)
        ),
        takeFrom(claimers, takeOptions)
      )
    },
    cleanup: ({ failedTimeToLive, timeToLive }) =>
      layout.before(Effect.gen(function*() {
        const nowMs = yield* now
        yield* cleanup(kv, prefix, completedPrefix(prefix), nowMs - Duration.toMillis(timeToLive))
        if (failedTimeToLive === undefined) return
        yield* cleanup(kv, prefix, failedPrefix(prefix), nowMs - Duration.toMillis(failedTimeToLive))
      })).pipe(Effect.mapError(failed("unable to clean up finished elements")))
  })
})

/**
 * Effect's `PersistedQueueStore`, kept in FlareDB; `PersistedQueue.layer` makes queues of it.
 *
 * **When to use**
 *
 * To make queues of it with settings of one's own; otherwise {@link layer}.
 */
export const layerStore = (
  options: PersistedQueueStoreOptions = {}
): Layer.Layer<PersistedQueue.PersistedQueueStore, never, KeyValue | Leases | Watch> =>
  Layer.effect(PersistedQueue.PersistedQueueStore, make(options)).pipe(
    Layer.provide(LogTime.layer(options.prefix ?? defaultPrefix))
  )

/**
 * Effect's `PersistedQueueFactory`, kept in FlareDB.
 *
 * **When to use**
 *
 * For queues whose elements survive restarts, with any number of consumers.
 *
 * **Details**
 *
 * An element takes three round trips at most: offer, claim, complete. A process that ends without a word loses its
 * claims after `lockExpiration`, 10 seconds by default.
 *
 * **Gotchas**
 *
 * An element may be handled twice, when its consumer was cut off: handle it so that this does no harm.
 */
export const layer = (
  options: PersistedQueueStoreOptions = {}
): Layer.Layer<PersistedQueue.PersistedQueueFactory, never, KeyValue | Leases | Watch> =>
  Layer.provide(Layer.fresh(PersistedQueue.layer), layerStore(options))
