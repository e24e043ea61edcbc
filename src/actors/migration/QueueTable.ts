/**
 * Effect's SQL table of persisted queues, as a migration reads it: the counts, and pages of rows in the table's order.
 */
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import type { Head } from "./Part.ts"
import { countsOf, maxPageRows } from "./Part.ts"
import { reading } from "./SqlDatabase.ts"

export interface QueueTableRow {
  readonly sequence: string
  readonly id: string
  readonly queue: string
  readonly element: string
  readonly state: string
  readonly attempts: number
  readonly failure: string | null
  readonly visibleMs: string
  readonly updatedMs: string
  readonly nowMs: string
}

export class QueueTable {
  private readonly sql: SqlClient.SqlClient
  private readonly table: string

  constructor(client: SqlClient.SqlClient, table: string) {
    this.sql = client.withoutTransforms()
    this.table = table
  }

  /** Elements by queue and state. */
  get counts() {
    const { sql, table } = this
    return countsOf(
      table,
      sql`
        SELECT queue_name || ': ' || CASE
            WHEN state = 'pending' AND visible_at > LOCALTIMESTAMP THEN 'delayed' ELSE state
          END AS kind, COUNT(*)::text AS rows
        FROM ${sql(table)} GROUP BY 1 ORDER BY 1
      `
    )
  }

  /** Bytes of all elements. */
  get bytes() {
    const { sql, table } = this
    return Effect.map(
      reading(table)(sql<{ bytes: string }>`
        SELECT COALESCE(SUM(octet_length(element)), 0)::text AS bytes FROM ${sql(table)}
      `),
      ([row]) => Number(row?.bytes ?? 0)
    )
  }

  /** Elements that wait to be taken, and the names of all queues. */
  get waiting() {
    const { sql, table } = this
    return Effect.all([
      reading(table)(sql<{ rows: string }>`
        SELECT COUNT(*)::text AS rows FROM ${sql(table)} WHERE state = 'pending'
      `),
      reading(table)(sql<{ name: string }>`SELECT DISTINCT queue_name AS name FROM ${sql(table)}`)
    ]).pipe(Effect.map(([[row], names]) => ({ rows: Number(row?.rows ?? 0), queues: names.map(({ name }) => name) })))
  }

  /** Places and sizes of the rows after a place, a page at most. */
  heads(after: string) {
    const { sql, table } = this
    return reading(table)(sql<Head>`
      SELECT sequence::text AS place, queue_name || '/' || id AS id, octet_length(element)::text AS bytes
      FROM ${sql(table)} WHERE sequence > ${after}::bigint
      ORDER BY sequence LIMIT ${sql.literal(String(maxPageRows))}
    `)
  }

  /** The rows after a place, up to the place `last`. */
  rows(after: string, last: string) {
    const { sql, table } = this
    return reading(table)(sql<QueueTableRow>`
      SELECT sequence::text AS "sequence", id AS "id", queue_name AS "queue", element AS "element", state AS "state",
        attempts AS "attempts", last_failure AS "failure", ${this.millis("visible_at")} AS "visibleMs",
        ${this.millis("updated_at")} AS "updatedMs", ${this.millis("LOCALTIMESTAMP")} AS "nowMs"
      FROM ${sql(table)} WHERE sequence > ${after}::bigint AND sequence <= ${last}::bigint ORDER BY sequence
    `)
  }

  /** A column without a time zone as milliseconds since 1970. */
  private millis(column: string) {
    return this.sql.literal(
      `FLOOR(EXTRACT(EPOCH FROM (${column} AT TIME ZONE current_setting('TimeZone'))) * 1000)::bigint::text`
    )
  }
}
