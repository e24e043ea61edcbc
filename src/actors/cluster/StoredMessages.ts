/**
 * Messages by their ids, wherever their rows are: a request that waits is in the queue of its shard, one that has its
 * exit is beside that. For callers that know nothing but the id; runners know the requests of their shards.
 */
import type { Option } from "effect"
import { Effect } from "effect"
import type { Envelope } from "effect/cluster"
import type { KeyValue, KeyValueEntry, ReadFailure } from "../../client/KeyValue.ts"
import type { ReadOptions } from "../../client/KeyValue.ts"
import type { ClusterKeys } from "./ClusterKeys.ts"
import type { UnknownRow } from "./Failures.ts"
import { Contended } from "./Failures.ts"
import type { EntityRow, FinishedRow, MessageRow, NewRequest, PrimaryKeyRow, RequestRow } from "./MessageRows.ts"
import { addressOf, rowOf, shardOf } from "./MessageRows.ts"

export interface StoredMessage {
  readonly id: string
  readonly shard: string
  readonly request: RequestRow
  /** The row of its id. Its create revision is the place of the message. */
  readonly entry: KeyValueEntry
  /** Absent while it waits. */
  readonly finished: FinishedRow | undefined
  /** The text of the row in the queue, or the id of the reply that is the exit. */
  readonly state: { readonly text: string } | { readonly exit: string }
}

type Failure = ReadFailure | UnknownRow | Contended

/** Times that a message changes while it is read. */
const attempts = 8

/** Types and entities that a primary key may be of which are looked for at once. */
const candidatesAtOnce = 64

export class StoredMessages {
  private readonly keys: ClusterKeys
  private readonly kv: KeyValue["Service"]
  private readonly options: ReadOptions

  constructor(keys: ClusterKeys, kv: KeyValue["Service"], options: ReadOptions = {}) {
    this.keys = keys
    this.kv = kv
    this.options = options
  }

  /** A message; `undefined` when there is none of this id. */
  readonly find = Effect.fnUntraced({ self: this }, function*(
    this: StoredMessages,
    id: string
  ): Effect.fn.Return<StoredMessage | undefined, Failure> {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const found = yield* this.get(this.keys.request(id))
      if (found._tag === "None") return undefined
      const entry = found.value
      const row = yield* rowOf<MessageRow>(entry)
      if ("reply" in row) {
        const { request } = row
        return { id, shard: shardOf(addressOf(request)), request, entry, finished: row, state: { exit: row.reply.id } }
      }
      const waits = yield* this.get(this.keys.part(row.shard, id, "r"))
      if (waits._tag === "Some") {
        const request = yield* rowOf<RequestRow>(waits.value)
        return { id, shard: row.shard, request, entry, finished: undefined, state: waits.value }
      }
      // It got its exit in between, or was removed.
    }
    return yield* new Contended({ id, attempts })
  })

  /** The envelope of a request; `undefined` when it was removed meanwhile. */
  readonly envelopeOf = Effect.fnUntraced({ self: this }, function*(
    this: StoredMessages,
    id: string,
    request: RequestRow
  ): Effect.fn.Return<Envelope.PartialRequestEncoded | undefined, ReadFailure | UnknownRow> {
    if ("envelope" in request) return request.envelope
    const found = yield* this.get(this.keys.envelope(id))
    return found._tag === "None" ? undefined : yield* rowOf<Envelope.PartialRequestEncoded>(found.value)
  })

  /** Whether the message of this id is this one. `undefined` when there is none. */
  readonly isStored = Effect.fnUntraced({ self: this }, function*(
    this: StoredMessages,
    { deliverAt, envelope, primaryKey }: NewRequest
  ): Effect.fn.Return<boolean | undefined, Failure> {
    const found = yield* this.find(envelope.requestId)
    if (found === undefined) return undefined
    const { request } = found
    if ((request.primaryKey ?? null) !== primaryKey || (request.deliverAt ?? null) !== deliverAt) return false
    return JSON.stringify(yield* this.envelopeOf(found.id, request)) === JSON.stringify(envelope)
  })

  /** The request of a primary key of an entity. */
  readonly keyedOf = Effect.fnUntraced({ self: this }, function*(
    this: StoredMessages,
    type: string,
    entity: string,
    primaryKey: string
  ): Effect.fn.Return<string | undefined, ReadFailure | UnknownRow> {
    const key = this.keys.keyed(type, entity, primaryKey) ?? this.keys.primaryKey(primaryKey)
    const found = yield* this.get(key)
    return found._tag === "None" ? undefined : (yield* rowOf<EntityRow | PrimaryKeyRow>(found.value)).id
  })

  /**
   * The request of a primary key of which the entity is not known: types and entities may have slashes, and each
   * beginning of the key may be one. Types that have no requests are left out first.
   */
  readonly keyed = Effect.fnUntraced({ self: this }, function*(
    this: StoredMessages,
    primaryKey: string
  ): Effect.fn.Return<string | undefined, ReadFailure | UnknownRow> {
    const other = yield* this.get(this.keys.primaryKey(primaryKey))
    if (other._tag === "Some") return (yield* rowOf<PrimaryKeyRow>(other.value)).id
    const slashes = [...primaryKey.matchAll(/\//g)].map(({ index }) => index)
    const types = yield* Effect.filter(
      slashes.map((end) => primaryKey.slice(0, end)),
      (type) =>
        Effect.map(
          this.kv.scan(this.keys.entitiesOf(type), { ...this.options, limit: 1, keysOnly: true }),
          ({ entries }) => entries.length > 0
        ),
      { concurrency: candidatesAtOnce }
    )
    for (const type of types) {
      const ids = yield* Effect.forEach(
        slashes.filter((end) => end > type.length),
        (end) => this.keyedOf(type, primaryKey.slice(type.length + 1, end), primaryKey),
        { concurrency: candidatesAtOnce }
      )
      const id = ids.find((one) => one !== undefined)
      if (id !== undefined) return id
    }
    return undefined
  })

  private get(key: string): Effect.Effect<Option.Option<KeyValueEntry>, ReadFailure> {
    return this.kv.get(key, this.options)
  }
}
