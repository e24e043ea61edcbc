/**
 * The messages of a cluster: Effect's tables `<prefix>_messages` and `<prefix>_replies`. They are written as runners
 * write them, through the storage itself: request, chunks with their acknowledgements, exit, interrupts. Those of one
 * entity are written one behind the other, in the order of the table, which is the order in which they are handled.
 */
import { Effect } from "effect"
import type { MessageStorage } from "effect/cluster"
import { Snowflake } from "effect/cluster"
import type { SqlClient } from "effect/sql"
import type { KeyValue } from "../../client/KeyValue.ts"
import type { ClusterKeys } from "../cluster/ClusterKeys.ts"
import { repeatable } from "../cluster/Failures.ts"
import { acknowledgementOf, chunkOf, exitOf, requestOf, signalOf } from "./Envelopes.ts"
import { RowTaken, writing } from "./Failures.ts"
import { MessageComparison } from "./MessageComparison.ts"
import type { MessageRow } from "./MessageTable.ts"
import { MessageTable } from "./MessageTable.ts"
import type { Part } from "./Part.ts"
import { concurrency, pageOf } from "./Part.ts"

export interface MessagesOptions {
  readonly sql: SqlClient.SqlClient
  readonly kv: KeyValue["Service"]
  readonly keys: ClusterKeys
  readonly storage: MessageStorage.Encoded
  /** What the tables' names begin with. */
  readonly tablePrefix: string
}

export const messages = ({ keys, kv, sql, storage, tablePrefix }: MessagesOptions): Part => {
  const table = new MessageTable(sql, tablePrefix)
  const comparison = new MessageComparison(table, kv, keys, storage)

  const writeRequest = Effect.fnUntraced(function*(row: MessageRow) {
    const { deliverAt, envelope, primaryKey } = yield* requestOf(table.messages, row)
    const saved = yield* storage.saveEnvelope({ envelope, primaryKey, deliverAt })
    if (saved._tag === "Duplicate") return yield* new RowTaken({ table: table.messages, id: row.id })
    if (row.chunks) yield* writeChunks(row)
    if (row.exitId !== null) yield* storage.saveReply(yield* exitOf(table.replies, row))
  })

  const writeChunks = Effect.fnUntraced(function*(row: MessageRow) {
    let after = "-1"
    for (;;) {
      const chunks = yield* table.chunks(row.id, after)
      const last = chunks.at(-1)
      if (last === undefined) break
      for (const chunk of chunks) {
        yield* storage.saveReply(yield* chunkOf(table.replies, chunk))
        const envelope = acknowledgementOf(row, chunk)
        if (envelope !== undefined) yield* storage.saveEnvelope({ envelope, primaryKey: null, deliverAt: null })
      }
      after = last.place
    }
    // The handler begins from the start instead of going on after its last chunk.
    if (row.exitId === null && row.lastReplyId === null) yield* storage.clearReplies(Snowflake.Snowflake(row.id))
  })

  const write = (row: MessageRow) => {
    if (row.kind === "request") return writeRequest(row)
    if (row.processed) return Effect.void
    const envelope = signalOf(row)
    return Effect.asVoid(storage.saveEnvelope({ envelope, primaryKey: null, deliverAt: null }))
  }

  return {
    kind: "messages",
    table: table.messages,
    target: keys.requests,
    counts: table.counts,
    bytes: table.bytes,
    page: Effect.fnUntraced(function*(after) {
      const heads = yield* table.heads(after)
      const page = yield* pageOf(table.messages, heads)
      if (page === undefined) return undefined
      const rows = yield* table.rows(after, page.last)
      const byEntity = Object.values(
        Object.groupBy(rows, ({ entity, shard, type }) => JSON.stringify([shard, type, entity]))
      )
        .filter((group) => group !== undefined)
      return {
        ...page,
        after: page.last,
        // They have old ids: those that are kept no longer are looked for from the first one again.
        write: Effect.andThen(
          Effect.forEach(
            byEntity,
            (group) => Effect.forEach(group, (row) => writing(table.messages, row.id)(write(row)), { discard: true }),
            { concurrency, discard: true }
          ),
          repeatable(kv.delete(keys.sweep))
        ),
        compare: Effect.map(
          Effect.forEach(byEntity, (group) => comparison.differences(group), { concurrency }),
          (found) => found.flat()
        )
      }
    }),
    extra: comparison.extra
  }
}
