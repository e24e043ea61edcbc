/**
 * Effect's `MessageStorage`: requests, replies, acknowledgements and interrupts of persisted entities. What is stored
 * of requests is in `Requests.ts`, replies are in `Replies.ts`, and what waits is in `ShardQueues.ts`.
 */
import { Clock, Context, Effect, Layer, Option } from "effect"
import { Envelope, MessageStorage, ShardingConfig, Snowflake } from "effect/cluster"
import type { EntityAddress, Reply } from "effect/cluster"
import type { ClusterAdmin } from "../../client/ClusterAdmin.ts"
import type { KeyValue } from "../../client/KeyValue.ts"
import { LatestReads } from "../LatestReads.ts"
import type { Watch } from "../../client/Watch.ts"
import { countFenced } from "../ActorMetrics.ts"
import { StepWriter } from "../StepWriter.ts"
import type { ClusterName, QueuePart } from "./ClusterKeys.ts"
import { ClusterKeys } from "./ClusterKeys.ts"
import * as DueTime from "../DueTime.ts"
import * as LogTime from "../LogTime.ts"
import { persistent } from "./Failures.ts"
import { HeldShards } from "./HeldShards.ts"
import type { ShardTable } from "./HeldShards.ts"
import { Freshness } from "./Freshness.ts"
import { LayoutVersion } from "./LayoutVersion.ts"
import { KnownActivities } from "./KnownActivities.ts"
import type { EntityRow, RequestRow } from "./MessageRows.ts"
import { rowOf } from "./MessageRows.ts"
import { Replies } from "./Replies.ts"
import { Requests } from "./Requests.ts"
import type { RetentionOptions } from "./Retention.ts"
import { Retention } from "./Retention.ts"
import { ShardCount } from "./ShardCount.ts"
import type { Reading } from "./ShardQueues.ts"
import { ShardQueues } from "./ShardQueues.ts"
import type { Store } from "./StorageTransaction.ts"
import { answeringUnstorable, sayingExits } from "./UnstorableReplies.ts"
import { inTransaction } from "./StorageTransaction.ts"
import { StoredMessages } from "./StoredMessages.ts"
import { UnsavedRequests } from "./UnsavedRequests.ts"
import { MessageWork } from "./MessageWork.ts"
import type { Item } from "./WaitingItems.ts"

/** Where messages lie in the store, how long they are kept, and how much of their queues is mirrored in memory. */
export interface MessageStorageOptions extends ClusterName, RetentionOptions {
  /** Most memory of the mirrors of each 256 shards' queues, in bytes. Default 256 MiB. */
  readonly maxQueueBytes?: number | undefined
}

interface Message {
  readonly envelope: Envelope.Encoded
  readonly lastSentReply: Option.Option<Reply.Encoded>
}

const defaultQueueBytes = 256 * 1024 * 1024

/** Most messages of one reading when the caller names no limit. */
const defaultLimit = 1_024

const { Success } = MessageStorage.SaveResultEncoded

class Messages {
  private readonly keys: ClusterKeys
  private readonly store: Store
  private readonly queues: ShardQueues
  private readonly stored: StoredMessages
  private readonly requests: Requests
  private readonly replies: Replies
  private readonly activities: KnownActivities
  private readonly unsaved: UnsavedRequests
  private readonly layout: LayoutVersion

  constructor(
    keys: ClusterKeys,
    store: Store,
    queues: ShardQueues,
    stored: StoredMessages,
    requests: Requests,
    replies: Replies,
    activities: KnownActivities,
    unsaved: UnsavedRequests
  ) {
    this.keys = keys
    this.store = store
    this.queues = queues
    this.stored = stored
    this.requests = requests
    this.replies = replies
    this.activities = activities
    this.unsaved = unsaved
    this.layout = new LayoutVersion(keys, store.kv)
  }

  /** Whatever reads or changes rows, as Effect's cluster knows it. */
  private of<A, E, R>(effect: Effect.Effect<A, E, R>) {
    return persistent(this.layout.before(effect))
  }

  get encoded(): MessageStorage.Encoded {
    const { replies, requests } = this
    return {
      saveEnvelope: (options) => this.of(Effect.suspend(() => this.saveEnvelope(options))),
      saveReply: (reply) =>
        countFenced(
          this.of(reply._tag === "WithExit" ? sayingExits(replies.saveExit(reply)) : replies.saveChunk(reply))
        ),
      clearReplies: (id, options) =>
        this.of(requests.clearReplies(
          String(id),
          options?.expectedReplyId === undefined ? undefined : String(options.expectedReplyId)
        )),
      requestIdForPrimaryKey: (primaryKey) =>
        this.of(Effect.suspend(() => {
          const held = this.unsaved.keyed(primaryKey)
          return Effect.map(held === undefined ? this.stored.keyed(primaryKey) : Effect.succeed(held), snowflakeOf)
        })),
      repliesFor: (ids) => this.of(replies.of(ids, false)),
      repliesForUnfiltered: (ids) => this.of(replies.of(ids, true)),
      unprocessedMessages: (shards, now, options) =>
        options?.addresses?.length === 0 ? Effect.succeed([]) : this.of(this.unprocessed(shards, now, options)),
      unprocessedMessagesById: (ids, now) => this.of(this.unprocessedById(ids.map(String), now)),
      resetRequests: (ids) =>
        Effect.sync(() => {
          const wanted = new Set(ids.map(String))
          this.queues.release(({ id }) => wanted.has(id))
        }),
      resetAddresses: (addresses) => Effect.sync(() => this.queues.releaseAddresses(addresses)),
      resetShards: (shards) =>
        Effect.sync(() => {
          const wanted = new Set(shards)
          this.queues.release(({ shard }) => wanted.has(shard))
        }),
      clearAddress: (address) => this.of(requests.clearAddress(address)),
      withTransaction: inTransaction(this.store)
    }
  }

  /** The request of a primary key, whose entity is known. */
  readonly requestIdForPrimaryKey: MessageStorage.MessageStorage["Service"]["requestIdForPrimaryKey"] = (options) => {
    const { entityId, entityType } = options.address
    return this.of(
      Effect.map(
        this.keyedOf(entityType, entityId, options.address.shardId, Envelope.primaryKeyByAddress(options)),
        snowflakeOf
      )
    )
  }

  private readonly keyedOf = Effect.fnUntraced({ self: this }, function*(
    this: Messages,
    type: string,
    entity: string,
    shardId: EntityAddress.EntityAddress["shardId"],
    primaryKey: string
  ) {
    // Its workflow may be one of those of which is forgotten what they asked for.
    const held = this.unsaved.keyed(primaryKey)
    if (held !== undefined) return held
    const shard = `${shardId.group}:${shardId.id}`
    const key = this.keys.keyed(type, entity, primaryKey)
    if (key !== undefined && this.activities.areUnknown(type, entity, shard)) {
      const found = yield* this.activities.read(type, entity, shard, key)
      if (found === undefined) return undefined
      if (found !== "unknown") return (yield* rowOf<EntityRow>(found)).id
    }
    return yield* this.stored.keyedOf(type, entity, primaryKey)
  })

  private saveEnvelope(
    { deliverAt, envelope, primaryKey }: {
      readonly envelope: Envelope.Encoded
      readonly primaryKey: string | null
      readonly deliverAt: number | null
    }
  ) {
    switch (envelope._tag) {
      case "Request":
        return this.requests.save({ envelope, primaryKey, deliverAt })
      case "AckChunk":
        return Effect.as(this.requests.acknowledge(envelope), Success())
      case "Interrupt":
        return Effect.as(this.requests.interrupt(envelope), Success())
    }
  }

  private readonly unprocessed = Effect.fnUntraced({ self: this }, function*(
    this: Messages,
    shards: ReadonlyArray<string>,
    now: number,
    options: {
      readonly limit?: number | undefined
      readonly addresses?: ReadonlyArray<EntityAddress.EntityAddress> | undefined
    } = {}
  ) {
    const items = yield* this.queues.take(shards, now, options.limit ?? defaultLimit, options.addresses)
    const messages = yield* Effect.forEach(items, (item) => this.messageOf(item), { concurrency: "unbounded" }).pipe(
      // What was not read is not handed out.
      Effect.onError(() => Effect.sync(() => this.queues.release((_, item) => items.includes(item))))
    )
    return messages.filter((message) => message !== undefined)
  })

  private readonly messageOf = Effect.fnUntraced({ self: this }, function*(this: Messages, item: Item) {
    const { entry, part, waiting } = item
    if (part !== "r") {
      return { envelope: yield* rowOf<Envelope.Encoded>(entry), lastSentReply: Option.none() } satisfies Message
    }
    const request = item.takeRow() ?? (yield* rowOf<RequestRow>(entry))
    const envelope = "envelope" in request ? request.envelope : yield* this.stored.envelopeOf(waiting.id, request)
    if (envelope === undefined) return undefined
    const last = waiting.parts.get("k")
    return {
      envelope,
      lastSentReply: last === undefined ? Option.none() : yield* this.replies.chunk(waiting.id, last.text)
    } satisfies Message
  })

  private readonly unprocessedById = Effect.fnUntraced({ self: this }, function*(
    this: Messages,
    ids: ReadonlyArray<string>,
    now: number
  ) {
    const found = yield* Effect.forEach(new Set(ids), (id) => this.readById(id, now), { concurrency: "unbounded" })
    return found
      .filter((message) => message !== undefined)
      .sort((a, b) => a.order - b.order)
      .map(({ envelope, lastSentReply }): Message => ({ envelope, lastSentReply }))
  })

  private readonly readById = Effect.fnUntraced({ self: this }, function*(this: Messages, id: string, now: number) {
    yield* this.unsaved.save(id)
    const found = yield* this.stored.find(id)
    if (found === undefined || found.finished !== undefined) return undefined
    const { entry, request, shard } = found
    const { deliverAt } = request
    if (deliverAt !== undefined && deliverAt > (yield* this.queues.dueTime(now))) return undefined
    const part = (name: QueuePart) => this.store.kv.get(this.keys.part(shard, id, name))
    const [unacknowledged, last] = yield* Effect.all([part("u"), part("k")], { concurrency: 2 })
    if (unacknowledged._tag === "Some") return undefined
    const envelope = yield* this.stored.envelopeOf(id, request)
    if (envelope === undefined) return undefined
    return {
      envelope,
      lastSentReply: yield* this.replies.chunk(id, last._tag === "Some" ? last.value.text : undefined),
      order: entry.createRevision
    }
  })
}

const snowflakeOf = (id: string | undefined): Option.Option<Snowflake.Snowflake> =>
  id === undefined ? Option.none() : Option.some(Snowflake.Snowflake(id))

/**
 * The storage of messages as Effect's drivers are, and when there is something to read in it. What is due is judged by
 * the time that a caller names. Each reading sees what any process saved before, unless `reading.freshness` says that
 * this is not needed.
 */
export const makeEncoded = Effect.fnUntraced(function*(
  options: MessageStorageOptions,
  reading: Reading = { freshness: new Freshness(false), rests: false },
  count?: ShardCount
) {
  const keys = new ClusterKeys(options)
  const kv = yield* LatestReads
  const store = { kv, steps: yield* StepWriter.make(kv) }
  const queues = yield* ShardQueues.make(keys, options.maxQueueBytes ?? defaultQueueBytes, reading)
  const retention = yield* Retention.make(keys, options, (ownMs) => queues.dueTime(ownMs))
  const stored = new StoredMessages(keys, kv)
  const shards = yield* HeldShards
  const activities = new KnownActivities(keys, kv, shards)
  const unsaved = yield* UnsavedRequests.make(keys, store, shards, queues)
  const replies = new Replies(keys, store, shards, queues, stored, retention, unsaved)
  const requests = new Requests(keys, store, queues, stored, replies, shards, activities, unsaved, count)
  const { encoded, requestIdForPrimaryKey } = new Messages(
    keys,
    store,
    queues,
    stored,
    requests,
    replies,
    activities,
    unsaved
  )
  const now = Effect.flatMap(Clock.currentTimeMillis, (ownMs) => queues.dueTime(ownMs))
  return { encoded, requestIdForPrimaryKey, retention, work: MessageWork.of({ next: queues.next, now }) }
})

/** The number of shards on which a process counts, if it has one. */
const shardCount = Effect.fnUntraced(function*(options: MessageStorageOptions) {
  const config = Option.getOrUndefined(yield* Effect.serviceOption(ShardingConfig.ShardingConfig))
  return config && new ShardCount(new ClusterKeys(options), yield* LatestReads, config.shardsPerGroup)
})

/** Saves requests, unless the runners have another number of shards than this process. */
const savingRequests = (
  { saveRequest }: MessageStorage.MessageStorage["Service"],
  count: ShardCount | undefined,
  held: ShardTable
): typeof saveRequest =>
  count === undefined ? saveRequest : (request) =>
    // A runner that holds shards is registered with its number.
    Effect.suspend(() =>
      held.size > 0 ? saveRequest(request) : Effect.andThen(persistent(count.check), saveRequest(request))
    )

/**
 * `MessageStorage`, and `MessageWork`, which says when there is something to read. What is due is judged by the
 * clocks of most nodes (`DueTime.ts`), unless a `DueTime` of another clock is provided.
 *
 * **When to use**
 *
 * To put a runner together by hand; `Actors.layer` has it already.
 */
export const layer = (
  options: MessageStorageOptions = {}
): Layer.Layer<
  MessageStorage.MessageStorage | MessageWork,
  never,
  KeyValue | Watch | ClusterAdmin | HeldShards | Snowflake.Generator
> =>
  Layer.effectContext(
    Effect.gen(function*() {
      const given = yield* Effect.serviceOption(DueTime.DueTime)
      const time = Option.isSome(given)
        ? given.value
        : yield* DueTime.make(yield* LogTime.make(new ClusterKeys(options).clock))
      const freshness = new Freshness(true)
      const count = yield* shardCount(options)
      const { encoded, requestIdForPrimaryKey, work } = yield* Effect.provideService(
        // The other clock may stand, and a rest would not end.
        makeEncoded(options, { freshness, rests: Option.isNone(given) }, count),
        DueTime.DueTime,
        time
      )
      const storage = answeringUnstorable(yield* MessageStorage.makeEncoded(encoded))
      return Context.make(
        MessageStorage.MessageStorage,
        MessageStorage.MessageStorage.of({
          ...storage,
          saveRequest: savingRequests(storage, count, yield* HeldShards),
          requestIdForPrimaryKey,
          // A runner does so for each request of another process, before it reads the request.
          registerReplyHandler: (message) => {
            if (message._tag === "IncomingRequest") freshness.announce(String(message.envelope.requestId))
            return storage.registerReplyHandler(message)
          }
        })
      ).pipe(Context.add(MessageWork, work))
    })
  )
