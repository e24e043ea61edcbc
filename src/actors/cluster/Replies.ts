/**
 * Replies of requests: exits and chunks. A runner stores them only while it holds the request's shard: the transaction
 * compares the create revision of the lock.
 */
import { Effect, Option } from "effect"
import type { NonEmptyArray } from "effect/Array"
import type { Reply } from "effect/cluster"
import type { KeyValue, KeyValueEntry, ReadFailure, WriteFailure } from "../../client/KeyValue.ts"
import { Compare, Op } from "../../client/Txn.ts"
import { messageProcessed } from "../ActorMetrics.ts"
import { Sharing } from "../StepWriter.ts"
import type { ClusterKeys, QueuePart } from "./ClusterKeys.ts"
import type { Contended, UnknownRow } from "./Failures.ts"
import { RequestFinished, ShardLockLost } from "./Failures.ts"
import type { ShardTable } from "./HeldShards.ts"
import type { MessageRow } from "./MessageRows.ts"
import { addressOf, finishedRows, rowOf } from "./MessageRows.ts"
import type { MessageTooLarge } from "./MessageSizes.ts"
import { checkSize } from "./MessageSizes.ts"
import type { Retention } from "./Retention.ts"
import type { ShardQueues } from "./ShardQueues.ts"
import type { Store } from "./StorageTransaction.ts"
import { carryOut, openTransaction } from "./StorageTransaction.ts"
import type { StoredMessages } from "./StoredMessages.ts"
import type { Unsaved, UnsavedRequests } from "./UnsavedRequests.ts"

/** A request that this process may store replies of. */
interface Owned {
  readonly shard: string
  readonly type: string
  /** The request's row in the queue, or the reply that is its exit. */
  readonly row: { readonly text: string } | { readonly exit: string }
  /** The create revision of the shard's lock, and what holds while it is this process's. */
  readonly lock: number | undefined
  readonly fence: ReadonlyArray<Compare>
}

type ExitFailure =
  | ReadFailure
  | WriteFailure
  | UnknownRow
  | Contended
  | ShardLockLost
  | RequestFinished
  | MessageTooLarge

/** Requests with chunks that are remembered before those of lost shards are looked for. */
const chunkedAtEase = 1_024

export class Replies {
  private readonly keys: ClusterKeys
  private readonly store: Store
  private readonly kv: KeyValue["Service"]
  private readonly shards: ShardTable
  private readonly queues: ShardQueues
  private readonly stored: StoredMessages
  private readonly retention: Retention
  private readonly unsaved: UnsavedRequests
  /** Requests of which this process stored a chunk, with the shard, until they end. */
  private readonly chunked = new Map<string, string>()
  /** Conditions of replies seldom fail: that takes a request that was cleared, or a shard that was lost. */
  private readonly saves = new Sharing()

  constructor(
    keys: ClusterKeys,
    store: Store,
    shards: ShardTable,
    queues: ShardQueues,
    stored: StoredMessages,
    retention: Retention,
    unsaved: UnsavedRequests
  ) {
    this.keys = keys
    this.store = store
    this.kv = store.kv
    this.shards = shards
    this.queues = queues
    this.stored = stored
    this.retention = retention
    this.unsaved = unsaved
  }

  readonly saveExit = Effect.fnUntraced({ self: this }, function*(
    this: Replies,
    reply: Reply.WithExitEncoded
  ): Effect.fn.Return<void, ExitFailure> {
    const { requestId: id } = reply
    if ((yield* openTransaction) !== undefined) yield* this.unsaved.save(id)
    const unsaved = yield* this.unsaved.ends(id)
    if (unsaved !== undefined) {
      return yield* Effect.onError(this.saveWithRequest(unsaved, reply), () => Effect.sync(() => this.unsaved.kept(id)))
    }
    const owned = yield* this.owned(id)
    if (owned === undefined) return
    const { fence, lock, shard, type } = owned
    const waiting = this.queues.find(id)
    const waits = this.keys.part(shard, id, "r")
    const message = this.keys.request(id)
    if ("exit" in owned.row) {
      return owned.row.exit === reply.id ? undefined : yield* new RequestFinished({ id })
    }
    const { envelope, text } = finishedRows(owned.row.text, reply, this.retention.hourFor(type))
    yield* checkSize("reply", id, owned.row.text, [text])
    const stored = yield* carryOut(this.store, {
      if: [Compare.exists(waits), ...fence],
      do: [
        Op.put(message, text),
        Op.delete(waits),
        ...this.partsOf(shard, id).map((part) => Op.delete(this.keys.part(shard, id, part))),
        ...envelope === undefined ? [] : [Op.put(this.keys.envelope(id), envelope)]
      ]
    }, {
      isExpected: waiting !== undefined && lock !== undefined && !waiting.isDoubtful,
      onStored: () => this.chunked.delete(id),
      onConflict: [
        { conditions: fence, call: () => this.loses(shard, lock) },
        { conditions: [Compare.exists(waits)], call: () => this.doubts(id) }
      ],
      proof: this.holds(message, text),
      sharing: this.saves
    })
    if (stored) return yield* messageProcessed
    const [found, waitsStill] = yield* this.read(message, waits)
    if (waitsStill._tag === "Some") {
      yield* this.loses(shard, lock)
      return yield* new ShardLockLost({ shard })
    }
    const row = found._tag === "None" ? undefined : yield* rowOf<MessageRow>(found.value)
    // The request was cleared.
    if (row === undefined || !("reply" in row)) return
    if (row.reply.id !== reply.id) return yield* new RequestFinished({ id })
  })

  /** Stores an exit with its request, as if that had been stored before. */
  private readonly saveWithRequest = Effect.fnUntraced({ self: this }, function*(
    this: Replies,
    { entityKey, entityRow, id, lock, shard, text: request, type }: Unsaved,
    reply: Reply.WithExitEncoded
  ): Effect.fn.Return<void, ExitFailure> {
    const fence = this.shards.fence(this.keys, shard)
    if (fence instanceof ShardLockLost) return yield* fence
    const message = this.keys.request(id)
    const { envelope, text } = finishedRows(request, reply, this.retention.hourFor(type))
    yield* checkSize("reply", id, request, [text])
    const stored = yield* carryOut(this.store, {
      if: [Compare.missing(message), Compare.missing(entityKey), ...fence],
      do: [
        Op.put(message, text),
        Op.put(entityKey, entityRow),
        ...envelope === undefined ? [] : [Op.put(this.keys.envelope(id), envelope)]
      ]
    }, { sharing: this.saves })
    if (stored) {
      this.unsaved.ended(id)
      return yield* messageProcessed
    }
    const found = yield* this.kv.get(message)
    if (found._tag === "None") {
      // Also where another request has its key, which only a runner of an older version does: all of the shard begins
      // again.
      this.unsaved.lose(id)
      yield* this.loses(shard, lock)
      return yield* new ShardLockLost({ shard })
    }
    const row = yield* rowOf<MessageRow>(found.value)
    if ("reply" in row) {
      this.unsaved.ended(id)
      // Otherwise this is its own effect, whose answer was lost.
      return row.reply.id === reply.id ? undefined : yield* new RequestFinished({ id })
    }
    // It was stored by itself, and the answer was lost.
    this.unsaved.saved(id)
    yield* Effect.suspend(() => this.saveExit(reply))
  })

  readonly saveChunk = Effect.fnUntraced({ self: this }, function*(this: Replies, reply: Reply.ChunkEncoded) {
    const { requestId: id } = reply
    yield* this.unsaved.save(id)
    const owned = yield* this.owned(id)
    if (owned === undefined) return
    const { fence, lock, row, shard } = owned
    const waits = this.keys.part(shard, id, "r")
    const key = this.keys.chunk(id, reply.id)
    const text = JSON.stringify(reply)
    if ("text" in row) yield* checkSize("chunk", id, row.text, [text])
    this.remember(id, shard)
    const stored = yield* carryOut(this.store, {
      if: [Compare.exists(waits), Compare.missing(key), ...fence],
      do: [
        Op.put(key, text),
        Op.put(this.keys.hasChunks(id), ""),
        Op.put(this.keys.part(shard, id, "u"), reply.id)
      ]
    }, {
      onConflict: [{ conditions: fence, call: () => this.loses(shard, lock) }],
      sharing: this.saves
    })
    if (stored) return
    const [chunk, waiting] = yield* this.read(key, waits)
    if (chunk._tag === "Some") return
    if (waiting._tag === "None") return yield* new RequestFinished({ id })
    yield* this.loses(shard, lock)
    return yield* new ShardLockLost({ shard })
  })

  /** The exit, or else the last chunk. */
  readonly last = Effect.fnUntraced({ self: this }, function*(this: Replies, id: string) {
    const [message, hasChunks] = yield* this.read(this.keys.request(id), this.keys.hasChunks(id))
    const exit = yield* exitOf(message)
    if (exit !== undefined) return Option.some<Reply.Encoded>(exit.reply)
    if (hasChunks._tag === "None") return Option.none<Reply.Encoded>()
    const { entries: [chunk] } = yield* this.kv.scan(this.keys.chunks(id), { limit: 1, reverse: true })
    return chunk === undefined ? Option.none<Reply.Encoded>() : Option.some(yield* rowOf<Reply.Encoded>(chunk))
  })

  /** One chunk of a request. */
  readonly chunk = Effect.fnUntraced({ self: this }, function*(this: Replies, id: string, reply: string | undefined) {
    if (reply === undefined) return Option.none<Reply.Encoded>()
    const chunk = yield* this.kv.get(this.keys.chunk(id, reply))
    return chunk._tag === "None" ? Option.none() : Option.some(yield* rowOf<Reply.Encoded>(chunk.value))
  })

  /** In the order in which they were stored; without `all` those that are acknowledged are left out. */
  readonly of = (
    ids: NonEmptyArray<string>,
    all: boolean
  ): Effect.Effect<Array<Reply.Encoded>, ReadFailure | UnknownRow> =>
    Effect.map(
      Effect.forEach([...new Set(ids.map(String))], (id) => this.ofOne(id, all), { concurrency: "unbounded" }),
      (found) => found.flat().sort((a, b) => a.revision - b.revision).map(({ reply }) => reply)
    )

  private readonly ofOne = Effect.fnUntraced({ self: this }, function*(this: Replies, id: string, all: boolean) {
    const [message, hasChunks] = yield* this.read(this.keys.request(id), this.keys.hasChunks(id))
    const chunks: Array<KeyValueEntry> = []
    let acknowledged = Option.none<KeyValueEntry>()
    if (hasChunks._tag === "Some") {
      acknowledged = yield* this.kv.get(this.keys.acknowledged(id))
      let cursor: Uint8Array | undefined
      do {
        const page = yield* this.kv.scan(this.keys.chunks(id), { cursor })
        chunks.push(...page.entries)
        cursor = page.cursor
      } while (cursor !== undefined)
    }
    const lastKey = acknowledged._tag === "None" ? "" : this.keys.chunk(id, acknowledged.value.text)
    const through = chunks.find(({ keyText }) => keyText === lastKey)?.createRevision ?? 0
    const replies: Array<{ readonly revision: number; readonly reply: Reply.Encoded }> = []
    for (const chunk of chunks) {
      if (!all && chunk.createRevision <= through) continue
      replies.push({ revision: chunk.createRevision, reply: yield* rowOf<Reply.Encoded>(chunk) })
    }
    const exit = yield* exitOf(message)
    if (exit !== undefined) replies.push(exit)
    return replies
  })

  /** The request, as far as replies concern it; `undefined` when there is none. Fails when its shard is lost. */
  private readonly owned = Effect.fnUntraced({ self: this }, function*(this: Replies, id: string) {
    const waiting = this.queues.find(id)
    const item = waiting?.items.get("r")
    const row = waiting?.parts.get("r")
    let request: Pick<Owned, "shard" | "type" | "row">
    if (waiting !== undefined && item !== undefined && row !== undefined) {
      request = { shard: waiting.shard, type: item.type, row }
    } else {
      const found = yield* this.stored.find(id)
      if (found === undefined) return undefined
      request = { shard: found.shard, type: addressOf(found.request).entityType, row: found.state }
    }
    const { shard } = request
    const fence = this.shards.fence(this.keys, shard)
    if (fence instanceof ShardLockLost) return yield* fence
    return { ...request, lock: this.shards.lockOf(shard), fence } satisfies Owned
  })

  /** The next refresh is to say so at once. */
  private loses(shard: string, lock: number | undefined): Effect.Effect<void> {
    return Effect.sync(() => this.shards.release(shard, lock))
  }

  /** The copy shows a request that does not wait any more: the next reply to it looks at the store. */
  private doubts(id: string): Effect.Effect<void> {
    return Effect.sync(() => {
      const waiting = this.queues.find(id)
      if (waiting !== undefined) waiting.isDoubtful = true
    })
  }

  /**
   * What may be in the queue beside the request. Others interrupt it at any time. What concerns chunks is there only
   * after one was stored, which the owner of the shard did, or found in the queue when it became the owner.
   */
  private partsOf(shard: string, id: string): ReadonlyArray<QueuePart> {
    const waiting = this.queues.find(id)
    const knowsAll = waiting !== undefined && this.shards.lockOf(shard) !== undefined && !this.chunked.has(id)
    return knowsAll && !waiting.parts.has("u") && !waiting.parts.has("k") && !waiting.parts.has("a")
      ? ["i"]
      : ["i", "a", "u", "k"]
  }

  private remember(id: string, shard: string): void {
    if (this.chunked.size >= chunkedAtEase) {
      for (const [other, of] of this.chunked) if (this.shards.lockOf(of) === undefined) this.chunked.delete(other)
    }
    this.chunked.set(id, shard)
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
}

/** The exit of a message, with where it comes among the replies. */
const exitOf = Effect.fnUntraced(function*(
  message: Option.Option<KeyValueEntry>
): Effect.fn.Return<{ readonly revision: number; readonly reply: Reply.Encoded } | undefined, UnknownRow> {
  if (message._tag === "None") return undefined
  const row = yield* rowOf<MessageRow>(message.value)
  return "reply" in row ? { revision: message.value.modRevision, reply: row.reply } : undefined
})
