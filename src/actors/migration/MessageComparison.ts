/** Whether FlareDB holds of a message what SQL holds: the request, its replies, what it waits for, and its order. */
import { Effect, Option } from "effect"
import type { MessageStorage, Reply } from "effect/cluster"
import type { KeyValue, KeyValueEntry, ReadFailure } from "../../client/KeyValue.ts"
import type { ClusterKeys, QueuePart } from "../cluster/ClusterKeys.ts"
import { StoredMessages } from "../cluster/StoredMessages.ts"
import { chunkOf, exitOf, requestOf, signalOf } from "./Envelopes.ts"
import type { MessageRow, MessageTable } from "./MessageTable.ts"
import type { Difference } from "./Part.ts"

/** What waits of a request. */
interface Waiting {
  readonly unacknowledged: string | undefined
  readonly acknowledged: string | undefined
}

export class MessageComparison {
  private readonly table: MessageTable
  private readonly kv: KeyValue["Service"]
  private readonly keys: ClusterKeys
  private readonly storage: MessageStorage.Encoded
  private readonly stored: StoredMessages

  constructor(table: MessageTable, kv: KeyValue["Service"], keys: ClusterKeys, storage: MessageStorage.Encoded) {
    this.table = table
    this.kv = kv
    this.keys = keys
    this.storage = storage
    this.stored = new StoredMessages(keys, kv)
  }

  /** The differences of one entity's rows of a page, in the order of the table. */
  readonly differences = Effect.fnUntraced({ self: this }, function*(
    this: MessageComparison,
    rows: ReadonlyArray<MessageRow>
  ) {
    const found: Array<Difference> = []
    let before = -1
    for (const row of rows) {
      const report = (problem: string) => found.push({ table: this.table.messages, id: row.id, problem })
      if (row.kind !== "request") {
        if (!row.processed && !(yield* this.isQueued(row))) report(`the ${row.kind} is not queued in FlareDB`)
        continue
      }
      const stored = yield* this.stored.find(row.id)
      if (stored === undefined) {
        report("it is not in FlareDB")
        continue
      }
      if ((yield* this.stored.isStored(yield* requestOf(this.table.messages, row))) !== true) {
        report("the request differs")
      }
      if (stored.entry.createRevision <= before) report("it comes in another order")
      before = stored.entry.createRevision
      if (row.messageId !== null) {
        if ((yield* this.stored.keyedOf(row.type, row.entity, row.messageId)) !== row.id) {
          report("its primary key is not known")
        }
      }
      const { replies, waiting } = yield* this.repliesOf(row)
      const known = yield* this.storage.repliesForUnfiltered([BigInt(row.id) as never])
      if (JSON.stringify(known) !== JSON.stringify(replies)) report("its replies differ")
      const state = yield* this.waiting(row)
      if (row.exitId !== null ? state !== undefined : JSON.stringify(state) !== JSON.stringify(waiting)) {
        report(row.exitId !== null ? "it has an exit and waits" : "it does not wait as it does in SQL")
      }
    }
    return found
  })

  /** More requests than SQL has. */
  readonly extra = Effect.suspend(() =>
    Effect.map(
      Effect.all([this.table.requests, this.kv.count(this.keys.requests)]),
      ([inSql, inFlareDb]): ReadonlyArray<Difference> =>
        inSql === inFlareDb
          ? []
          : [{ table: this.table.messages, id: "*", problem: `SQL has ${inSql} requests, FlareDB has ${inFlareDb}` }]
    )
  )

  private part(row: MessageRow, part: QueuePart): Effect.Effect<Option.Option<KeyValueEntry>, ReadFailure> {
    return this.kv.get(this.keys.part(row.shard, row.requestId, part))
  }

  private readonly isQueued = Effect.fnUntraced({ self: this }, function*(this: MessageComparison, row: MessageRow) {
    const [waits, signal] = yield* Effect.all([
      this.part(row, "r"),
      this.part(row, row.kind === "interrupt" ? "i" : "a")
    ])
    // One interrupt of a request is kept: the last.
    return Option.isNone(waits) ||
      (Option.isSome(signal) && (row.kind === "interrupt" || signal.value.text === JSON.stringify(signalOf(row))))
  })

  private readonly repliesOf = Effect.fnUntraced({ self: this }, function*(this: MessageComparison, row: MessageRow) {
    const replies: Array<Reply.Encoded> = []
    let [unacknowledged, acknowledged]: Array<string | undefined> = []
    for (let after = "-1"; row.chunks;) {
      const chunks = yield* this.table.chunks(row.id, after)
      for (const chunk of chunks) {
        replies.push(yield* chunkOf(this.table.replies, chunk))
        if (chunk.acknowledged) acknowledged = chunk.id
        unacknowledged = chunk.acknowledged ? undefined : chunk.id
        after = chunk.place
      }
      if (chunks.length === 0) break
    }
    if (row.lastReplyId === null) acknowledged = undefined
    if (row.exitId !== null) replies.push(yield* exitOf(this.table.replies, row))
    return { replies, waiting: { unacknowledged, acknowledged } satisfies Waiting }
  })

  private readonly waiting = Effect.fnUntraced({ self: this }, function*(this: MessageComparison, row: MessageRow) {
    const [waits, unacknowledged, acknowledged] = yield* Effect.all([
      this.part(row, "r"),
      this.part(row, "u"),
      this.part(row, "k")
    ])
    return Option.isNone(waits) ? undefined : {
      unacknowledged: Option.getOrUndefined(unacknowledged)?.text,
      acknowledged: Option.getOrUndefined(acknowledged)?.text
    } satisfies Waiting
  })
}
