/**
 * Effect's `MessageStorage`: requests, replies, acknowledgements and interrupts of persisted entities.
 *
 * Whatever is stored is one transaction of the store, and recognises its own effect when the answer was lost. Replies
 * are in `Replies.ts`.
 */
import { Context, Effect, Layer, Option } from "effect"
import { MessageStorage, Snowflake } from "effect/cluster"
import type { EntityAddress, Envelope, Reply } from "effect/cluster"
import type { KeyValueEntry, ReadFailure } from "../../client/KeyValue.ts"
import { KeyValue } from "../../client/KeyValue.ts"
import { Compare, Op } from "../../client/Txn.ts"
import type { Watch } from "../../client/Watch.ts"
import { countFenced, messageSaved } from "../ActorMetrics.ts"
import { Sharing, StepWriter } from "../StepWriter.ts"
import type { ClusterName, QueuePart } from "./ClusterKeys.ts"
import { ClusterKeys } from "./ClusterKeys.ts"
import * as LogTime from "../LogTime.ts"
import { Contended, IdTaken, persistent } from "./Failures.ts"
import { HeldShards } from "./HeldShards.ts"
import { Freshness } from "./Freshness.ts"
import type { EntityRow, ExitRow, PrimaryKeyRow, RequestRow } from "./MessageRows.ts"
import { rowOf, shardOf, waitingRow } from "./MessageRows.ts"
import { Replies } from "./Replies.ts"
import type { RetentionOptions } from "./Retention.ts"
import { Retention } from "./Retention.ts"
import type { Item } from "./ShardQueues.ts"
import { ShardQueues } from "./ShardQueues.ts"
import type { Store } from "./StorageTransaction.ts"
import { carryOut, inTransaction, OpenTransaction } from "./StorageTransaction.ts"
import { MessageWork } from "./MessageWork.ts"

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

/** Times that a change of a message meets others before it fails. */
const attempts = 8

/** Messages deleted at once by `clearAddress`. */
const clearedAtOnce = 100

const { Duplicate, Success } = MessageStorage.SaveResultEncoded

class Messages {
  private readonly keys: ClusterKeys
  private readonly store: Store
  private readonly kv: KeyValue["Service"]
  private readonly queues: ShardQueues
  private readonly retention: Retention
  private readonly replies: Replies
  /** A request that is sent again fails its conditions: its primary key is stored already. */
  private readonly saves = new Sharing()

  constructor(
    keys: ClusterKeys,
    store: Store,
    queues: ShardQueues,
    retention: Retention,
    replies: Replies
  ) {
    this.keys = keys
    this.store = store
    this.kv = store.kv
    this.queues = queues
    this.retention = retention
    this.replies = replies
  }

  get encoded(): MessageStorage.Encoded {
    return {
      saveEnvelope: (options) => persistent(Effect.suspend(() => this.saveEnvelope(options))),
      saveReply: (reply) =>
        countFenced(
          persistent(reply._tag === "WithExit" ? this.replies.saveExit(reply) : this.replies.saveChunk(reply))
        ),
      clearReplies: (id, options) =>
        persistent(this.clearReplies(
          String(id),
          options?.expectedReplyId === undefined ? undefined : String(options.expectedReplyId)
        )),
      requestIdForPrimaryKey: (primaryKey) => persistent(this.requestOf(primaryKey)),
      repliesFor: (ids) => persistent(this.replies.of(ids, false)),
      repliesForUnfiltered: (ids) => persistent(this.replies.of(ids, true)),
      unprocessedMessages: (shards, now, options) =>
        options?.addresses?.length === 0 ? Effect.succeed([]) : persistent(this.unprocessed(shards, now, options)),
      unprocessedMessagesById: (ids, now) => persistent(this.unprocessedById(ids.map(String), now)),
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
      clearAddress: (address) => persistent(this.clearAddress(address)),
      withTransaction: inTransaction(this.store)
    }
  }

  private saveEnvelope(
    { deliverAt, envelope, primaryKey }: {
      readonly envelope: Envelope.Encoded
      readonly primaryKey: string | null
      readonly deliverAt: number | null
    }
  ) {
    switch (envelope._tag) {
      case "Request":
        return this.saveRequest({ envelope, shard: shardOf(envelope.address), primaryKey, deliverAt })
      case "AckChunk":
        return Effect.as(this.saveAcknowledgement(envelope), Success())
      case "Interrupt":
        return Effect.as(this.saveInterrupt(envelope), Success())
    }
  }

  /** Rows, read at once. */
  private read<const Keys extends ReadonlyArray<string>>(...keys: Keys) {
    return Effect.forEach(keys, (key) => this.kv.get(key), { concurrency: "unbounded" }) as Effect.Effect<
      { readonly [I in keyof Keys]: Option.Option<KeyValueEntry> },
      ReadFailure
    >
  }

  private holds(key: string, text: string): Effect.Effect<boolean, ReadFailure> {
    return Effect.map(
      Effect.suspend(() => this.kv.get(key)),
      (found) => found._tag === "Some" && found.value.text === text
    )
  }

  private readonly saveRequest = Effect.fnUntraced({ self: this }, function*(this: Messages, request: RequestRow) {
    const { envelope: { address, requestId: id }, primaryKey, shard } = request
    const open = yield* OpenTransaction
    const row = JSON.stringify(request)
    const requestKey = this.keys.request(id)
    const byKey = primaryKey === null ? undefined : this.keys.primaryKey(primaryKey)
    const before = byKey === undefined ? undefined : open?.primaryKeys.get(byKey)
    if (before !== undefined) {
      return Duplicate({ originalId: Snowflake.Snowflake(before), lastReceivedReply: Option.none() })
    }
    const keyRow: PrimaryKeyRow = { id, shard }
    const entityRow: EntityRow = { shard, primaryKey }
    const waiting = waitingRow(request)
    const saved = yield* carryOut(this.store, {
      if: [Compare.missing(requestKey), ...byKey === undefined ? [] : [Compare.missing(byKey)]],
      do: [
        Op.put(requestKey, row),
        Op.put(this.keys.part(shard, id, "r"), waiting),
        Op.put(this.keys.ofEntity(address.entityType, address.entityId, id), JSON.stringify(entityRow)),
        ...byKey === undefined ? [] : [Op.put(byKey, JSON.stringify(keyRow))]
      ]
    }, {
      onStored: (revision) => this.queues.saved(shard, id, waiting, revision),
      proof: this.holds(requestKey, row),
      sharing: this.saves
    })
    if (saved) {
      yield* messageSaved
      if (byKey !== undefined) open?.primaryKeys.set(byKey, id)
      return Success()
    }
    const [known, keyed] = yield* this.read(requestKey, byKey ?? requestKey)
    if (byKey !== undefined && keyed._tag === "Some") {
      const original = yield* rowOf<PrimaryKeyRow>(keyed.value)
      // Its own effect, whose answer was lost.
      if (original.id === id && known._tag === "Some" && known.value.text === row) return Success()
      const last = yield* this.replies.last(original.id)
      return Duplicate({ originalId: Snowflake.Snowflake(original.id), lastReceivedReply: last })
    }
    if (known._tag === "Some" && known.value.text === row) return Success()
    return yield* new IdTaken({ id })
  })

  private readonly saveAcknowledgement = Effect.fnUntraced({ self: this }, function*(
    this: Messages,
    envelope: Envelope.AckChunkEncoded
  ) {
    const { replyId, requestId: id } = envelope
    const shard = shardOf(envelope.address)
    const waits = this.keys.part(shard, id, "r")
    const unacknowledged = this.keys.part(shard, id, "u")
    const queued = Op.put(this.keys.part(shard, id, "a"), JSON.stringify(envelope))
    const marked = yield* carryOut(this.store, {
      if: [Compare.exists(waits), Compare.value(unacknowledged).equals(replyId)],
      do: [
        queued,
        Op.delete(unacknowledged),
        Op.put(this.keys.part(shard, id, "k"), replyId),
        Op.put(this.keys.acknowledged(id), replyId)
      ]
    })
    // Of a chunk that is acknowledged already; and one of a request with an exit is of no use to anybody.
    if (!marked) yield* carryOut(this.store, { if: [Compare.exists(waits)], do: [queued] })
  })

  private saveInterrupt(envelope: Envelope.InterruptEncoded) {
    const { requestId: id } = envelope
    const shard = shardOf(envelope.address)
    return carryOut(this.store, {
      if: [Compare.exists(this.keys.part(shard, id, "r"))],
      do: [Op.put(this.keys.part(shard, id, "i"), JSON.stringify(envelope))]
    })
  }

  /** Takes the exit back, so that the request waits again at its old place. */
  private readonly clearReplies = Effect.fnUntraced({ self: this }, function*(
    this: Messages,
    id: string,
    expected: string | undefined
  ) {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const [found, exit] = yield* this.read(this.keys.request(id), this.keys.exit(id))
      if (found._tag === "None") return
      const request = yield* rowOf<RequestRow>(found.value)
      const { shard } = request
      const waits = this.keys.part(shard, id, "r")
      if (exit._tag === "None") {
        if (expected !== undefined) {
          const last = yield* this.replies.last(id)
          if (last._tag === "None" || last.value.id !== expected) return
        }
        const reset = yield* carryOut(this.store, {
          if: [Compare.exists(waits), Compare.missing(this.keys.exit(id))],
          do: [
            Op.delete(this.keys.part(shard, id, "k")),
            ...expected === undefined ? [Op.delete(this.keys.part(shard, id, "i"))] : []
          ]
        })
        this.queues.release((waiting) => waiting.id === id)
        if (reset) return
        continue
      }
      const stored = yield* rowOf<ExitRow>(exit.value)
      if (expected !== undefined && stored.reply.id !== expected) return
      const cleared = yield* carryOut(this.store, {
        if: [Compare.modRevision(this.keys.exit(id)).equals(exit.value.modRevision)],
        do: [
          Op.delete(this.keys.exit(id)),
          Op.put(waits, waitingRow(request, found.value.createRevision)),
          ...stored.hour === undefined ? [] : [Op.delete(this.keys.finishedIn(stored.hour, id))]
        ]
      })
      // Otherwise another one changed it, or the answer was lost and there is nothing to clear.
      if (cleared) return
    }
    return yield* new Contended({ id, attempts })
  })

  private readonly requestOf = Effect.fnUntraced({ self: this }, function*(this: Messages, primaryKey: string) {
    const found = yield* this.kv.get(this.keys.primaryKey(primaryKey))
    return found._tag === "None"
      ? Option.none()
      : Option.some(Snowflake.Snowflake((yield* rowOf<PrimaryKeyRow>(found.value)).id))
  })

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
    const envelope = (yield* rowOf<{ readonly envelope?: Envelope.Encoded }>(entry)).envelope ??
      (yield* this.envelopeOf(waiting.id))
    if (envelope === undefined) return undefined
    return {
      envelope,
      lastSentReply: yield* this.replies.chunk(waiting.id, waiting.parts.get("k")?.text)
    } satisfies Message
  })

  private readonly envelopeOf = Effect.fnUntraced({ self: this }, function*(this: Messages, id: string) {
    const request = yield* this.kv.get(this.keys.request(id))
    return request._tag === "None" ? undefined : (yield* rowOf<RequestRow>(request.value)).envelope
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
    const found = yield* this.kv.get(this.keys.request(id))
    if (found._tag === "None") return undefined
    const request = yield* rowOf<RequestRow>(found.value)
    if (request.deliverAt !== null && request.deliverAt > (yield* this.queues.dueTime(now))) return undefined
    const part = (name: QueuePart) => this.keys.part(request.shard, id, name)
    const [waits, unacknowledged, last] = yield* this.read(part("r"), part("u"), part("k"))
    if (waits._tag === "None" || unacknowledged._tag === "Some") return undefined
    return {
      envelope: request.envelope,
      lastSentReply: yield* this.replies.chunk(id, last._tag === "Some" ? last.value.text : undefined),
      order: found.value.createRevision
    }
  })

  private readonly clearAddress = Effect.fnUntraced({ self: this }, function*(
    this: Messages,
    { entityId, entityType }: EntityAddress.EntityAddress
  ) {
    const prefix = this.keys.entity(entityType, entityId)
    for (;;) {
      const { entries } = yield* this.kv.scan(prefix, { limit: clearedAtOnce })
      if (entries.length === 0) return
      yield* Effect.forEach(
        entries,
        (entry) =>
          Effect.flatMap(
            rowOf<EntityRow>(entry),
            (row) => this.retention.remove(this.keys.lastIdOf(entry.keyText), entityType, entityId, row)
          ),
        {
          concurrency: "unbounded",
          discard: true
        }
      )
    }
  })
}

/**
 * The storage of messages as Effect's drivers are, and when there is something to read in it. What is due is judged by
 * the time that a caller names. Each reading sees what any process saved before, unless `freshness` says that this is
 * not needed.
 */
export const makeEncoded = Effect.fnUntraced(function*(
  options: MessageStorageOptions,
  freshness: Freshness = new Freshness(false)
) {
  const keys = new ClusterKeys(options)
  const kv = yield* KeyValue
  const store = { kv, steps: yield* StepWriter.make(kv) }
  const queues = yield* ShardQueues.make(keys, options.maxQueueBytes ?? defaultQueueBytes, freshness)
  const retention = yield* Retention.make(keys, options)
  const replies = new Replies(keys, store, yield* HeldShards, queues, retention)
  const messages = new Messages(keys, store, queues, retention, replies)
  return { encoded: messages.encoded, retention, work: MessageWork.of({ next: queues.next }) }
})

/**
 * `MessageStorage`, and `MessageWork`, which says when there is something to read. What is due is judged by the time of
 * the log, unless a `LogTime` of another clock is provided.
 */
export const layer = (
  options: MessageStorageOptions = {}
): Layer.Layer<
  MessageStorage.MessageStorage | MessageWork,
  never,
  KeyValue | Watch | HeldShards | Snowflake.Generator
> =>
  Layer.effectContext(
    Effect.gen(function*() {
      const given = yield* Effect.serviceOption(LogTime.LogTime)
      const time = Option.isSome(given) ? given.value : yield* LogTime.make(new ClusterKeys(options).clock)
      const freshness = new Freshness(true)
      const { encoded, work } = yield* Effect.provideService(makeEncoded(options, freshness), LogTime.LogTime, time)
      const storage = yield* MessageStorage.makeEncoded(encoded)
      return Context.make(
        MessageStorage.MessageStorage,
        MessageStorage.MessageStorage.of({
          ...storage,
          // A runner does so for each request of another process, before it reads the request.
          registerReplyHandler: (message) => {
            if (message._tag === "IncomingRequest") freshness.announce(String(message.envelope.requestId))
            return storage.registerReplyHandler(message)
          }
        })
      ).pipe(Context.add(MessageWork, work))
    })
  )
