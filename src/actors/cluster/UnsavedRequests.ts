/**
 * Requests for activities of workflows that are not stored yet. Such a request is stored together with its exit, as one
 * step: when a runner ends, the workflow's own request is there, runs again and asks again. A request without a result
 * says nothing that its workflow does not say.
 *
 * - It is held back only when it is certain that the activity was not asked for before, see `KnownActivities.ts`. One
 *   that was is found in the store, with its result.
 * - The step compares what storing the request would have compared, and who holds the shard. Until it has taken effect
 *   the workflow does not go on.
 * - A request that has no exit after {@link heldMs} is stored by itself, so that others see it.
 *
 * Not held back are `DurableClock.sleep`, whose request says when it was asked for, activities that are one transaction
 * with their result, and large envelopes.
 */
import type { Scope } from "effect"
import { Clock, Effect, Latch } from "effect"
import type { Envelope } from "effect/cluster"
import type { ReadFailure, WriteFailure } from "../../client/KeyValue.ts"
import { Compare, Op } from "../../client/Txn.ts"
import { monotonicMsOf } from "../../Monotonic.ts"
import { Sharing, stepOf } from "../StepWriter.ts"
import type { ClusterKeys } from "./ClusterKeys.ts"
import { repeatable, ShardLockLost } from "./Failures.ts"
import type { ShardTable } from "./HeldShards.ts"
import type { ShardQueues } from "./ShardQueues.ts"
import type { Store } from "./StorageTransaction.ts"

/** How long a request is held back, in milliseconds. */
const heldMs = 1_000

/** Requests held back at a time; those of further ones are stored first. */
const maxHeld = 8_192

/** How many are remembered whose exits must not be stored. */
const maxLost = 8_192

/** How the names of the activities begin that `DurableClock.sleep` makes. */
const sleepName = "DurableClock/"

/** Whether the request of an activity may be stored with its exit alone. */
export const mayBeHeld = ({ payload }: Envelope.PartialRequestEncoded): boolean => {
  const { name, withTransaction } = payload as { readonly name?: unknown; readonly withTransaction?: unknown }
  return withTransaction !== true && typeof name === "string" && !name.startsWith(sleepName)
}

/** A request as it would be stored. */
export interface Unsaved {
  readonly id: string
  readonly shard: string
  readonly type: string
  /** The create revision of the shard's lock. */
  readonly lock: number
  /** The row of the queue. */
  readonly text: string
  /** The row of its id while it waits. */
  readonly pending: string
  readonly primaryKey: string
  /** What its workflow has of it. */
  readonly entityKey: string
  readonly entityRow: string
}

interface Held extends Unsaved {
  readonly sinceMs: number
  /** Its exit is being stored with it. */
  isEnding: boolean
  /** Open once it is stored by itself, or is known not to be. */
  storing: Latch.Latch | undefined
}

export class UnsavedRequests {
  private readonly keys: ClusterKeys
  private readonly store: Store
  private readonly shards: ShardTable
  private readonly queues: ShardQueues
  private readonly clock: Clock.Clock
  private readonly sharing = new Sharing()
  private readonly requests = new Map<string, Held>()
  private readonly byPrimaryKey = new Map<string, Held>()
  private readonly lost = new Set<string>()
  private readonly some = Latch.makeUnsafe(false)

  private constructor(
    keys: ClusterKeys,
    store: Store,
    shards: ShardTable,
    queues: ShardQueues,
    clock: Clock.Clock
  ) {
    this.keys = keys
    this.store = store
    this.shards = shards
    this.queues = queues
    this.clock = clock
  }

  static readonly make = Effect.fnUntraced(function*(
    keys: ClusterKeys,
    store: Store,
    shards: ShardTable,
    queues: ShardQueues
  ): Effect.fn.Return<UnsavedRequests, never, Scope.Scope> {
    const unsaved = new UnsavedRequests(keys, store, shards, queues, yield* Clock.Clock)
    yield* Effect.forkScoped(unsaved.storeInTime)
    return unsaved
  })

  /** The request that is held back under a primary key, unless its shard was lost since: its exit is not stored. */
  keyed(primaryKey: string): string | undefined {
    const held = this.byPrimaryKey.get(primaryKey)
    if (held === undefined || this.shards.lockOf(held.shard) === held.lock) return held?.id
    this.lose(held.id)
    return undefined
  }

  /** Holds a request back, and has this process read it. False when it has to be stored first. */
  hold(unsaved: Unsaved): boolean {
    const { id, primaryKey, shard, text } = unsaved
    if (this.requests.size >= maxHeld || !this.queues.hold(shard, id, text)) return false
    const held = { ...unsaved, sinceMs: monotonicMsOf(this.clock), isEnding: false, storing: undefined }
    this.requests.set(id, held)
    this.byPrimaryKey.set(primaryKey, held)
    this.some.openUnsafe()
    return true
  }

  /**
   * The request, whose exit is about to be stored with it: `ended`, `kept` or `lose` has to be called. `undefined` when
   * it is stored, or is none of these.
   */
  readonly ends = Effect.fnUntraced({ self: this }, function*(
    this: UnsavedRequests,
    id: string
  ): Effect.fn.Return<Unsaved | undefined, ShardLockLost> {
    const before = this.requests.get(id)
    if (before?.storing !== undefined) yield* before.storing.await
    const held = this.requests.get(id)
    if (held !== undefined && this.shards.lockOf(held.shard) === held.lock) {
      held.isEnding = true
      return held
    }
    if (held !== undefined) this.lose(id)
    // The workflow asks again where the shard is now, and this result is of no use.
    if (this.lost.has(id)) return yield* new ShardLockLost({ shard: before?.shard ?? "of an activity" })
    return undefined
  })

  /** It is stored with its exit. */
  ended(id: string): void {
    const held = this.remove(id)
    if (held !== undefined) this.queues.drop(held.shard, id)
  }

  /** It is stored by itself, and waits for its exit. */
  saved(id: string): void {
    const held = this.remove(id)
    if (held !== undefined) this.queues.holdsNoMore(held.shard, id)
  }

  /** It is not known whether it is stored. */
  kept(id: string): void {
    const held = this.requests.get(id)
    if (held !== undefined) held.isEnding = false
  }

  /** It is not stored, and must not be: another runner holds the shard, or another request has its key. */
  lose(id: string): void {
    this.ended(id)
    this.lost.add(id)
    for (const oldest of this.lost) {
      if (this.lost.size <= maxLost) break
      this.lost.delete(oldest)
    }
  }

  /** Forgets what is held back of a workflow. */
  clear(entityPrefix: string): void {
    for (const { entityKey, id } of this.requests.values()) if (entityKey.startsWith(entityPrefix)) this.ended(id)
  }

  /** Stores a request that is held back, before something else of it is stored. */
  save(id: string): Effect.Effect<void, WriteFailure | ReadFailure> {
    return Effect.suspend(() => {
      const held = this.requests.get(id)
      if (held === undefined || held.isEnding) return Effect.void
      return held.storing === undefined ? this.saveAlone(held) : held.storing.await
    })
  }

  private readonly saveAlone = Effect.fnUntraced({ self: this }, function*(this: UnsavedRequests, held: Held) {
    const { entityKey, entityRow, id, lock, pending, shard, text } = held
    if (this.shards.lockOf(shard) !== lock) return this.lose(id)
    const fence = this.shards.fence(this.keys, shard)
    if (fence instanceof ShardLockLost) return this.lose(id)
    held.storing = Latch.makeUnsafe(false)
    this.queues.saves(shard, id)
    const messageKey = this.keys.request(id)
    const step = stepOf(
      [Compare.missing(messageKey), Compare.missing(entityKey), ...fence],
      [Op.put(messageKey, pending), Op.put(this.keys.part(shard, id, "r"), text), Op.put(entityKey, entityRow)],
      this.sharing
    )
    yield* Effect.gen({ self: this }, function*() {
      const { succeeded } = yield* repeatable(this.store.steps.take(step))
      // An earlier attempt may have taken effect, whose answer was lost.
      if (!succeeded && (yield* this.store.kv.get(messageKey))._tag === "None") return this.lose(id)
      this.saved(id)
    }).pipe(
      Effect.ensuring(Effect.sync(() => {
        held.storing?.openUnsafe()
        held.storing = undefined
      }))
    )
  })

  private remove(id: string): Held | undefined {
    const held = this.requests.get(id)
    if (held === undefined) return undefined
    this.requests.delete(id)
    if (this.byPrimaryKey.get(held.primaryKey) === held) this.byPrimaryKey.delete(held.primaryKey)
    return held
  }

  /** Stores those that have no exit in time. What fails is tried again. */
  private readonly storeInTime: Effect.Effect<never> = Effect.suspend(() => {
    if (this.requests.size === 0) {
      this.some.closeUnsafe()
      return this.some.await
    }
    return Effect.andThen(
      Effect.sleep(heldMs),
      Effect.suspend(() => {
        const untilMs = monotonicMsOf(this.clock) - heldMs
        const late = [...this.requests.values()].filter(({ sinceMs }) => sinceMs <= untilMs)
        return Effect.forEach(late, ({ id }) => Effect.ignore(this.save(id)), {
          concurrency: "unbounded",
          discard: true
        })
      })
    )
  }).pipe(Effect.forever)
}
