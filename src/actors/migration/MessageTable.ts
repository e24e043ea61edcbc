/** What is read of Effect's tables `<prefix>_messages` and `<prefix>_replies`. Numbers of 64 bits come as text. */
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import type { Counts, Head } from "./Part.ts"
import { countsOf, maxPageRows } from "./Part.ts"
import type { SourceFailed } from "./Failures.ts"
import { reading } from "./SqlDatabase.ts"

export interface MessageRow {
  readonly place: string
  readonly id: string
  readonly kind: "request" | "acknowledgement" | "interrupt"
  readonly messageId: string | null
  readonly shard: string
  readonly type: string
  readonly entity: string
  readonly tag: string | null
  readonly payload: string | null
  readonly headers: string | null
  readonly traceId: string | null
  readonly spanId: string | null
  readonly sampled: boolean | null
  readonly processed: boolean
  readonly requestId: string
  readonly replyId: string | null
  readonly lastReplyId: string | null
  readonly deliverAt: string | null
  readonly exitId: string | null
  readonly exit: string | null
  /** Whether there are chunks of replies. */
  readonly chunks: boolean
}

export interface ReplyRow {
  readonly place: string
  readonly id: string
  readonly requestId: string
  readonly payload: string
  readonly sequence: string
  readonly acknowledged: boolean
  /** The last acknowledgement of this chunk. */
  readonly acknowledgementId: string | null
}

/** Chunks of one request that are read at once. A chunk has 1 MiB at most in FlareDB, and far less as a rule. */
const maxChunks = 16

export class MessageTable {
  readonly messages: string
  readonly replies: string
  private readonly sql: SqlClient.SqlClient

  constructor(sql: SqlClient.SqlClient, prefix: string) {
    this.sql = sql.withoutTransforms()
    this.messages = `${prefix}_messages`
    this.replies = `${prefix}_replies`
  }

  get counts(): Effect.Effect<Counts, SourceFailed> {
    const { sql } = this
    return countsOf(
      this.messages,
      sql`
        SELECT CASE
            WHEN m.kind = 1 THEN 'acknowledgements'
            WHEN m.kind = 2 THEN 'interrupts'
            WHEN r.id IS NOT NULL THEN 'processed'
            WHEN m.deliver_at > EXTRACT(EPOCH FROM NOW()) * 1000 THEN 'scheduled'
            ELSE 'pending'
          END AS kind, COUNT(*)::text AS rows
        FROM ${sql(this.messages)} m LEFT JOIN ${sql(this.replies)} r ON r.request_id = m.id AND r.kind = 0
        GROUP BY 1
        UNION ALL
        SELECT 'chunks', COUNT(*)::text FROM ${sql(this.replies)} WHERE kind IS NULL HAVING COUNT(*) > 0
        ORDER BY 1
      `
    )
  }

  get requests(): Effect.Effect<number, SourceFailed> {
    const { sql } = this
    return Effect.map(
      reading(this.messages)(
        sql<{ rows: string }>`SELECT COUNT(*)::text AS rows FROM ${sql(this.messages)} WHERE kind = 0`
      ),
      ([row]) => Number(row?.rows ?? 0)
    )
  }

  get bytes(): Effect.Effect<number, SourceFailed> {
    const { sql } = this
    return Effect.map(
      reading(this.messages)(sql<{ bytes: string | null }>`
        SELECT (
          (SELECT COALESCE(SUM(octet_length(COALESCE(payload, '')) + octet_length(COALESCE(headers, ''))), 0)
            FROM ${sql(this.messages)}) +
          (SELECT COALESCE(SUM(octet_length(payload)), 0) FROM ${sql(this.replies)} WHERE kind = 0)
        )::text AS bytes
      `),
      ([row]) => Number(row?.bytes ?? 0)
    )
  }

  heads(after: string): Effect.Effect<ReadonlyArray<Head>, SourceFailed> {
    const { sql } = this
    return reading(this.messages)(sql<Head>`
      SELECT m.rowid::text AS place, m.id::text AS id,
        GREATEST(
          octet_length(COALESCE(m.payload, '')) + octet_length(COALESCE(m.headers, '')),
          COALESCE(octet_length(r.payload), 0)
        )::text AS bytes
      FROM ${sql(this.messages)} m
      LEFT JOIN ${sql(this.replies)} r ON r.request_id = m.id AND r.kind = 0 AND m.kind = 0
      WHERE m.rowid > ${positionOf(after)}::bigint
      ORDER BY m.rowid
      LIMIT ${sql.literal(String(maxPageRows))}
    `)
  }

  rows(after: string, last: string): Effect.Effect<ReadonlyArray<MessageRow>, SourceFailed> {
    const { sql } = this
    return reading(this.messages)(sql<MessageRow>`
      SELECT m.rowid::text AS "place", m.id::text AS "id",
        CASE m.kind WHEN 0 THEN 'request' WHEN 1 THEN 'acknowledgement' ELSE 'interrupt' END AS "kind",
        m.message_id AS "messageId", m.shard_id AS "shard", m.entity_type AS "type", m.entity_id AS "entity",
        m.tag AS "tag", m.payload AS "payload", m.headers AS "headers", m.trace_id AS "traceId",
        m.span_id AS "spanId", m.sampled AS "sampled", m.processed AS "processed",
        m.request_id::text AS "requestId", m.reply_id::text AS "replyId", m.last_reply_id::text AS "lastReplyId",
        m.deliver_at::text AS "deliverAt", r.id::text AS "exitId", r.payload AS "exit",
        (m.kind = 0 AND EXISTS (
          SELECT 1 FROM ${sql(this.replies)} c WHERE c.request_id = m.id AND c.kind IS NULL
        )) AS "chunks"
      FROM ${sql(this.messages)} m
      LEFT JOIN ${sql(this.replies)} r ON r.request_id = m.id AND r.kind = 0 AND m.kind = 0
      WHERE m.rowid > ${positionOf(after)}::bigint AND m.rowid <= ${last}::bigint
      ORDER BY m.rowid
    `)
  }

  /** Chunks of a request's replies behind the one with a sequence number. */
  chunks(request: string, after: string): Effect.Effect<ReadonlyArray<ReplyRow>, SourceFailed> {
    const { sql } = this
    return reading(this.replies)(sql<ReplyRow>`
      SELECT c.sequence::text AS "place", c.id::text AS "id", c.request_id::text AS "requestId",
        c.payload AS "payload", c.sequence::text AS "sequence", c.acked AS "acknowledged",
        (SELECT MAX(a.id)::text FROM ${sql(this.messages)} a
          WHERE a.request_id = c.request_id AND a.kind = 1 AND a.reply_id = c.id) AS "acknowledgementId"
      FROM ${sql(this.replies)} c
      WHERE c.request_id = ${request}::bigint AND c.kind IS NULL AND c.sequence > ${after}::int
      ORDER BY c.sequence
      LIMIT ${sql.literal(String(maxChunks))}
    `)
  }
}

const positionOf = (after: string): string => after === "" ? "-1" : after
