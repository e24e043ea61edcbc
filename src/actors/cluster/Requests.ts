/**
 * What is stored of requests: they are saved, acknowledged, interrupted, wait again, and are forgotten. Each is one
 * transaction of the store, and recognises its own effect when the answer was lost.
 */
import { Effect, Option } from "effect"
import { MessageStorage, Snowflake } from "effect/cluster"
import type { EntityAddress, Envelope } from "effect/cluster"
import { Compare, Op } from "../../client/Txn.ts"
import { messageSaved } from "../ActorMetrics.ts"
import { Sharing } from "../StepWriter.ts"
import type { ClusterKeys } from "./ClusterKeys.ts"
import { Contended, IdTaken, ShardLockLost } from "./Failures.ts"
import type { ShardTable } from "./HeldShards.ts"
import type { KnownActivities } from "./KnownActivities.ts"
import { isActivity } from "./KnownActivities.ts"
import type { EntityRow, NewRequest, PendingRow, PrimaryKeyRow } from "./MessageRows.ts"
import { requestRows, returnedRow, rowOf, shardOf } from "./MessageRows.ts"
import { checkSize } from "./MessageSizes.ts"
import type { Replies } from "./Replies.ts"
import { removalOf } from "./Retention.ts"
import { repeatable } from "./Failures.ts"
import type { ShardCount } from "./ShardCount.ts"
import type { ShardQueues } from "./ShardQueues.ts"
import type { Store } from "./StorageTransaction.ts"
import { carryOut, openTransaction } from "./StorageTransaction.ts"
import type { StoredMessages } from "./StoredMessages.ts"
import type { UnsavedRequests } from "./UnsavedRequests.ts"
import { mayBeHeld } from "./UnsavedRequests.ts"

/** Times that a change of a message meets others before it fails. */
const attempts = 8

/** Messages deleted at once by `clearAddress`. */
const clearedAtOnce = 100

const { Duplicate, Success } = MessageStorage.SaveResultEncoded

const pendingRow = (shard: string): string => JSON.stringify({ shard } satisfies PendingRow)

/** Of a request without a reply. */
const pendingDuplicate = (id: string) =>
  Duplicate({ originalId: Snowflake.Snowflake(id), lastReceivedReply: Option.none() })

export class Requests {
  private readonly keys: ClusterKeys
  private readonly store: Store
  private readonly queues: ShardQueues
  private readonly stored: StoredMessages
  private readonly replies: Replies
  private readonly shards: ShardTable
  private readonly activities: KnownActivities
  private readonly unsaved: UnsavedRequests
  private readonly count: ShardCount | undefined
  /** A request that is sent again fails its conditions: its primary key is stored already. */
  private readonly saves = new Sharing()

  constructor(
    keys: ClusterKeys,
    store: Store,
    queues: ShardQueues,
    stored: StoredMessages,
    replies: Replies,
    shards: ShardTable,
    activities: KnownActivities,
    unsaved: UnsavedRequests,
    count: ShardCount | undefined
  ) {
    this.count = count
    this.keys = keys
    this.store = store
    this.queues = queues
    this.stored = stored
    this.replies = replies
    this.shards = shards
    this.activities = activities
    this.unsaved = unsaved
  }

  /** Saves a request, unless its primary key has one. Within a transaction those of one key come one after another. */
  save(request: NewRequest) {
    const { primaryKey } = request
    return Effect.flatMap(openTransaction, (open) =>
      open === undefined || primaryKey === null
        ? this.saveOne(request)
        : open.savingOne(primaryKey, this.saveOne(request)))
  }

  private readonly saveOne = Effect.fnUntraced({ self: this }, function*(this: Requests, request: NewRequest) {
    const { envelope: { address, requestId: id }, primaryKey } = request
    const { entityId: entity, entityType: type } = address
    const shard = shardOf(address)
    const open = yield* openTransaction
    const messageKey = this.keys.request(id)
    const keyed = primaryKey === null ? undefined : this.keys.keyed(type, entity, primaryKey)
    const entityKey = keyed ?? this.keys.ofRequest(type, entity, id, undefined)
    const byKey = primaryKey === null ? undefined : keyed ?? this.keys.primaryKey(primaryKey)
    const before = byKey === undefined ? undefined : open?.primaryKeys.get(byKey)
    if (before !== undefined) return pendingDuplicate(before)
    const entityRow: EntityRow = primaryKey === null || this.keys.saysPrimaryKey(entityKey)
      ? { id, shard }
      : { id, shard, primaryKey }
    const keyRow: PrimaryKeyRow = { id }
    const { envelope, text } = requestRows(request)
    yield* checkSize("request", id, text, [text, envelope])
    const asks = isActivity(request.envelope)
    const fence = asks ? this.shards.fence(this.keys, shard) : []
    if (fence instanceof ShardLockLost) return yield* fence
    if (asks && keyed !== undefined && primaryKey !== null) {
      const held = this.holdBack(
        request,
        primaryKey,
        entityKey,
        JSON.stringify(entityRow),
        text,
        open === undefined && envelope === undefined
      )
      if (held === id) yield* messageSaved
      if (held !== undefined) return held === id ? Success() : pendingDuplicate(held)
    }
    this.queues.saves(shard, id)
    for (let attempt = 0; attempt < attempts; attempt++) {
      // While a runner holds shards it is registered with its number, and none with another one is there.
      const counted = this.shards.size > 0 ? [] : this.count?.conditions ?? []
      const saved = yield* carryOut(this.store, {
        if: [
          Compare.missing(messageKey),
          ...byKey === undefined ? [] : [Compare.missing(byKey)],
          ...fence,
          ...counted
        ],
        do: [
          Op.put(messageKey, pendingRow(shard)),
          Op.put(this.keys.part(shard, id, "r"), text),
          Op.put(entityKey, JSON.stringify(entityRow)),
          ...byKey === undefined || byKey === entityKey ? [] : [Op.put(byKey, JSON.stringify(keyRow))],
          ...envelope === undefined ? [] : [Op.put(this.keys.envelope(id), envelope)]
        ]
      }, {
        onStored: (revision) => this.queues.saved(shard, id, text, revision),
        proof: Effect.map(this.stored.isStored(request), (isStored) => isStored === true),
        sharing: this.saves
      })
      if (saved) {
        yield* messageSaved
        if (byKey !== undefined) open?.primaryKeys.set(byKey, id)
        return Success()
      }
      const original = primaryKey === null ? undefined : yield* this.stored.keyedOf(type, entity, primaryKey)
      if (original !== undefined) {
        // Its own effect, whose answer was lost.
        if (original === id && (yield* this.stored.isStored(request)) === true) return Success()
        const last = yield* this.replies.last(original)
        return Duplicate({ originalId: Snowflake.Snowflake(original), lastReceivedReply: last })
      }
      const isStored = yield* this.stored.isStored(request)
      if (isStored === true) return Success()
      if (isStored === false) return yield* new IdTaken({ id })
      if (counted.length > 0) yield* this.count?.checkAgain ?? Effect.void
      // What was in its way is gone, unless it is that another runner holds the shard.
      if (fence.length > 0 && !(yield* this.store.kv.transact({ if: fence })).succeeded) {
        this.shards.release(shard, this.shards.lockOf(shard))
        return yield* new ShardLockLost({ shard })
      }
    }
    return yield* new Contended({ id, attempts })
  })

  /**
   * Holds the request of an activity back, unless it has to be stored first. Gives the request that is held back under
   * its primary key, which may be an earlier one.
   */
  private holdBack(
    { deliverAt, envelope }: NewRequest,
    primaryKey: string,
    entityKey: string,
    entityRow: string,
    text: string,
    isAlone: boolean
  ): string | undefined {
    const { address: { entityId, entityType: type }, requestId: id } = envelope
    const held = this.unsaved.keyed(primaryKey)
    if (held !== undefined) return held
    const shard = shardOf(envelope.address)
    const lock = this.shards.lockOf(shard)
    const isNew = this.activities.ask(this.keys.entity(type, entityId), entityKey, lock)
    if (!isNew || lock === undefined || !isAlone || deliverAt !== null || !mayBeHeld(envelope)) return undefined
    const pending = pendingRow(shard)
    const isHeld = this.unsaved.hold({ id, shard, type, lock, text, pending, primaryKey, entityKey, entityRow })
    return isHeld ? id : undefined
  }

  readonly acknowledge = Effect.fnUntraced({ self: this }, function*(
    this: Requests,
    envelope: Envelope.AckChunkEncoded
  ) {
    const { replyId, requestId: id } = envelope
    const shard = shardOf(envelope.address)
    const waits = this.keys.part(shard, id, "r")
    const unacknowledged = this.keys.part(shard, id, "u")
    const queued = Op.put(this.keys.part(shard, id, "a"), JSON.stringify(envelope))
    const onStored = (revision: number) => this.queues.changed(shard, revision)
    const marked = yield* carryOut(this.store, {
      if: [Compare.exists(waits), Compare.value(unacknowledged).equals(replyId)],
      do: [
        queued,
        Op.delete(unacknowledged),
        Op.put(this.keys.part(shard, id, "k"), replyId),
        Op.put(this.keys.acknowledged(id), replyId)
      ]
    }, { onStored })
    // Of a chunk that is acknowledged already; and one of a request with an exit is of no use to anybody.
    if (!marked) yield* carryOut(this.store, { if: [Compare.exists(waits)], do: [queued] }, { onStored })
  })

  interrupt(envelope: Envelope.InterruptEncoded) {
    const { requestId: id } = envelope
    const shard = shardOf(envelope.address)
    const stored = carryOut(this.store, {
      if: [Compare.exists(this.keys.part(shard, id, "r"))],
      do: [Op.put(this.keys.part(shard, id, "i"), JSON.stringify(envelope))]
    }, { onStored: (revision) => this.queues.changed(shard, revision) })
    return Effect.andThen(this.unsaved.save(id), stored)
  }

  /** Takes the exit back, so that the request waits again at its old place. */
  readonly clearReplies = Effect.fnUntraced({ self: this }, function*(
    this: Requests,
    id: string,
    expected: string | undefined
  ) {
    const messageKey = this.keys.request(id)
    yield* this.unsaved.save(id)
    for (let attempt = 0; attempt < attempts; attempt++) {
      const found = yield* this.stored.find(id)
      if (found === undefined) return
      const { entry, finished, request, shard } = found
      const waits = this.keys.part(shard, id, "r")
      const unchanged = Compare.modRevision(messageKey).equals(entry.modRevision)
      if (finished === undefined) {
        if (expected !== undefined) {
          const last = yield* this.replies.last(id)
          if (last._tag === "None" || last.value.id !== expected) return
        }
        const reset = yield* carryOut(this.store, {
          if: [Compare.exists(waits), unchanged],
          do: [
            Op.delete(this.keys.part(shard, id, "k")),
            ...expected === undefined ? [Op.delete(this.keys.part(shard, id, "i"))] : []
          ]
        })
        this.queues.release((waiting) => waiting.id === id)
        if (reset) return
        continue
      }
      if (expected !== undefined && finished.reply.id !== expected) return
      const cleared = yield* carryOut(this.store, {
        if: [unchanged],
        do: [
          Op.put(messageKey, pendingRow(shard)),
          Op.put(waits, returnedRow(request, entry.createRevision))
        ]
      }, { onStored: (revision) => this.queues.changed(shard, revision) })
      // Otherwise another one changed it, or the answer was lost and there is nothing to clear.
      if (cleared) return
    }
    return yield* new Contended({ id, attempts })
  })

  readonly clearAddress = Effect.fnUntraced({ self: this }, function*(
    this: Requests,
    { entityId, entityType }: EntityAddress.EntityAddress
  ) {
    const { kv } = this.store
    const prefix = this.keys.entity(entityType, entityId)
    this.activities.forget(prefix)
    this.unsaved.clear(prefix)
    for (;;) {
      const { entries } = yield* kv.scan(prefix, { limit: clearedAtOnce })
      if (entries.length === 0) return
      yield* Effect.forEach(
        entries,
        (entry) =>
          Effect.flatMap(rowOf<EntityRow>(entry), ({ id, primaryKey, shard }) =>
            repeatable(kv.transact({
              // Otherwise it is gone, and a new request may have its primary key.
              if: [Compare.modRevision(entry.key).equals(entry.modRevision)],
              do: removalOf(this.keys, {
                id,
                shard,
                entityKey: entry.keyText,
                primaryKey: this.keys.isOther(entityType, entityId, primaryKey) ? primaryKey : undefined
              })
            }))),
        { concurrency: "unbounded", discard: true }
      )
    }
  })
}
