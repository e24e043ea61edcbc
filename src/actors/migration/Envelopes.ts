/** Rows of SQL as the envelopes and replies that Effect's storages take. */
import { Effect } from "effect"
import type { Envelope, Reply } from "effect/cluster"
import type { NewRequest } from "../cluster/MessageRows.ts"
import { RowRefused } from "./Failures.ts"
import type { MessageRow, ReplyRow } from "./MessageTable.ts"

const parse = (table: string, id: string, column: string, text: string | null): Effect.Effect<unknown, RowRefused> =>
  Effect.try({
    try: () => JSON.parse(text ?? "null") as unknown,
    catch: () => new RowRefused({ table, id, problem: `its ${column} is no JSON` })
  })

const addressOf = ({ entity, shard, type }: MessageRow): Envelope.Encoded["address"] => {
  const at = shard.lastIndexOf(":")
  return { shardId: { group: shard.slice(0, at), id: Number(shard.slice(at + 1)) }, entityType: type, entityId: entity }
}

/** A request as its storage takes it. */
export const requestOf = Effect.fnUntraced(function*(table: string, row: MessageRow) {
  const envelope = {
    _tag: "Request",
    requestId: row.id,
    address: addressOf(row),
    tag: row.tag ?? "",
    payload: yield* parse(table, row.id, "payload", row.payload),
    headers: (yield* parse(table, row.id, "headers", row.headers)) as Envelope.PartialRequestEncoded["headers"],
    ...(row.traceId === null
      ? {}
      : { traceId: row.traceId, spanId: row.spanId ?? "", sampled: row.sampled === true })
  } as Envelope.PartialRequestEncoded
  return {
    envelope,
    primaryKey: row.messageId,
    deliverAt: row.deliverAt === null ? null : Number(row.deliverAt)
  } satisfies NewRequest
})

export const exitOf = (table: string, row: MessageRow): Effect.Effect<Reply.WithExitEncoded, RowRefused> =>
  Effect.map(parse(table, row.exitId ?? "", "payload", row.exit), (exit) => ({
    _tag: "WithExit",
    id: row.exitId ?? "",
    requestId: row.id,
    exit
  } as Reply.WithExitEncoded))

export const chunkOf = (table: string, chunk: ReplyRow): Effect.Effect<Reply.ChunkEncoded, RowRefused> =>
  Effect.map(parse(table, chunk.id, "payload", chunk.payload), (values) => ({
    _tag: "Chunk",
    id: chunk.id,
    requestId: chunk.requestId,
    sequence: Number(chunk.sequence),
    values
  } as Reply.ChunkEncoded))

/** The acknowledgement of a chunk, if there was one. */
export const acknowledgementOf = (row: MessageRow, chunk: ReplyRow): Envelope.AckChunkEncoded | undefined =>
  chunk.acknowledgementId === null
    ? undefined
    : {
      _tag: "AckChunk",
      id: chunk.acknowledgementId,
      requestId: row.id,
      replyId: chunk.id,
      address: addressOf(row)
    }

/** An acknowledgement or an interrupt. */
export const signalOf = (row: MessageRow): Envelope.AckChunkEncoded | Envelope.InterruptEncoded => {
  const common = { id: row.id, requestId: row.requestId, address: addressOf(row) }
  return row.kind === "acknowledgement"
    ? { _tag: "AckChunk", replyId: row.replyId ?? "", ...common }
    : { _tag: "Interrupt", ...common }
}
