/**
 * One table, or one pair of tables, that is copied page by page. A page may be written twice: a migration that was
 * stopped goes on at its last stored position, which may be behind what it had written.
 */
import { Effect } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import type { SourceFailed } from "./Failures.ts"
import { RowRefused } from "./Failures.ts"
import { reading } from "./SqlDatabase.ts"

/** What a table holds: of each kind of row how many. */
export type Counts = Readonly<Record<string, number>>

/** A row that differs between the two sides. */
export interface Difference {
  readonly table: string
  readonly id: string
  readonly problem: string
}

export interface Page {
  readonly rows: number
  readonly bytes: number
  /** The position behind this page. */
  readonly after: string
  readonly write: Effect.Effect<void, unknown>
  readonly compare: Effect.Effect<ReadonlyArray<Difference>, unknown>
}

export interface Part {
  readonly kind: "messages" | "queue" | "persistence" | "key values"
  readonly table: string
  /** What its keys in FlareDB begin with. */
  readonly target: string
  readonly counts: Effect.Effect<Counts, SourceFailed>
  readonly bytes: Effect.Effect<number, SourceFailed>
  /** The rows behind a position, `""` for the first; `undefined` at the end. */
  readonly page: (after: string) => Effect.Effect<Page | undefined, SourceFailed | RowRefused>
  /** What only FlareDB has, once all pages are compared. */
  readonly extra: Effect.Effect<ReadonlyArray<Difference>, unknown>
}

/** Most rows and bytes that are read and written before the position is stored. One row may be larger. */
export const maxPageRows = 500
export const maxPageBytes = 4 * 1024 * 1024

/** Most bytes of a row in SQL. What FlareDB adds to it fits into the rest of a value of 1 MiB. */
export const maxRowBytes = 1024 * 1024 - 8 * 1024

/** The size of a row, which is known before the row is read. */
export interface Head {
  readonly place: string
  readonly id: string
  readonly bytes: string | number | bigint
}

export interface PageSize {
  readonly last: string
  readonly rows: number
  readonly bytes: number
}

/** The rows at the beginning of `heads` that make a page. A row that no value has room for is refused unread. */
export const pageOf = (
  table: string,
  heads: ReadonlyArray<Head>,
  most = maxRowBytes
): Effect.Effect<PageSize | undefined, RowRefused> => {
  let bytes = 0
  let rows = 0
  let last: string | undefined
  for (const head of heads) {
    const size = Number(head.bytes)
    if (size > most) {
      // What is before it is copied first.
      if (last !== undefined) break
      return Effect.fail(
        new RowRefused({ table, id: head.id, problem: `it has ${size} bytes; at most ${most} fit into a value` })
      )
    }
    if (last !== undefined && bytes + size > maxPageBytes) break
    bytes += size
    rows += 1
    last = head.place
  }
  return Effect.succeed(last === undefined ? undefined : { last, rows, bytes })
}

/** Counts by kind from rows of `kind` and `rows`. */
export const countsOf = (
  table: string,
  query: Effect.Effect<ReadonlyArray<{ readonly kind: string; readonly rows: string | number }>, SqlError.SqlError>
): Effect.Effect<Counts, SourceFailed> =>
  Effect.map(reading(table)(query), (found) => Object.fromEntries(found.map(({ kind, rows }) => [kind, Number(rows)])))

/** Bytes of the values of a table. */
export const valueBytesOf = (sql: SqlClient.SqlClient, table: string): Effect.Effect<number, SourceFailed> =>
  Effect.map(
    reading(table)(sql<{ bytes: string }>`
      SELECT COALESCE(SUM(octet_length(value)), 0)::text AS bytes FROM ${sql(table)}
    `),
    ([row]) => Number(row?.bytes ?? 0)
  )

/** Writes or compares rows of a page that do not depend on each other, so many at a time. */
export const concurrency = 32
