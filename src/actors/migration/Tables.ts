/** Which of Effect's tables a database has, and whether they have the columns that this version knows. */
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import type { SourceFailed } from "./Failures.ts"
import { TableMissing, UnknownTable } from "./Failures.ts"
import { reading } from "./SqlDatabase.ts"

/** Columns of each kind of table, in the version of Effect that this package is built on. */
const columns = {
  messages: [
    "id",
    "rowid",
    "message_id",
    "shard_id",
    "entity_type",
    "entity_id",
    "kind",
    "tag",
    "payload",
    "headers",
    "trace_id",
    "span_id",
    "sampled",
    "processed",
    "request_id",
    "reply_id",
    "last_reply_id",
    "last_read",
    "deliver_at"
  ],
  replies: ["id", "rowid", "kind", "request_id", "payload", "sequence", "acked"],
  runners: ["machine_id", "address", "runner", "healthy", "last_heartbeat"],
  queue: [
    "sequence",
    "id",
    "queue_name",
    "element",
    "state",
    "attempts",
    "last_failure",
    "visible_at",
    "acquired_at",
    "acquired_by",
    "created_at",
    "updated_at"
  ],
  persistence: ["store_id", "id", "value", "expires"],
  persistenceOfStore: ["id", "value", "expires"],
  keyValues: ["id", "value", "value_type"]
} as const

/** The last step of the cluster tables' own migrations that is known. */
const lastMigration = 3

/** PostgreSQL cuts longer names off. */
const maxNameBytes = 63

const persistenceTable = "effect_persistence"

export class Tables {
  private readonly sql: SqlClient.SqlClient
  private readonly found: ReadonlyMap<string, ReadonlySet<string>>

  private constructor(sql: SqlClient.SqlClient, found: ReadonlyMap<string, ReadonlySet<string>>) {
    this.sql = sql
    this.found = found
  }

  static readonly read = Effect.fnUntraced(function*(client: SqlClient.SqlClient) {
    const sql = client.withoutTransforms()
    const rows = yield* reading("information_schema.columns")(sql<{ readonly table: string; readonly column: string }>`
      SELECT table_name AS "table", column_name AS "column"
      FROM information_schema.columns WHERE table_schema = ANY (current_schemas(false))
    `)
    const found = new Map<string, Set<string>>()
    for (const { column, table } of rows) {
      const known = found.get(table) ?? new Set()
      found.set(table, known.add(column))
    }
    return new Tables(sql, found)
  })

  has(table: string): boolean {
    return this.found.has(table)
  }

  /** Fails unless a table has the columns of its kind, and no others. */
  require(table: string, kind: keyof typeof columns): Effect.Effect<void, TableMissing | UnknownTable> {
    const found = this.found.get(table)
    if (found === undefined) return Effect.fail(new TableMissing({ table }))
    const missing = columns[kind].filter((column) => !found.has(column))
    const more = [...found].filter((column) => !(columns[kind] as ReadonlyArray<string>).includes(column))
    if (missing.length === 0 && more.length === 0) return Effect.void
    const problem = [
      ...missing.length === 0 ? [] : [`it lacks the columns ${missing.join(", ")}`],
      ...more.length === 0 ? [] : [`it has the columns ${more.join(", ")} besides`]
    ].join(", and ")
    return Effect.fail(
      new UnknownTable({
        table,
        problem: `${problem}. An older table is brought up to date by a start of the program with Effect 4.1`
      })
    )
  }

  /** Fails when a later version of Effect has changed the tables of a cluster. */
  requireKnownVersion(tablePrefix: string): Effect.Effect<void, SourceFailed | UnknownTable> {
    const table = `${tablePrefix}_migrations`
    if (!this.has(table)) return Effect.void
    return Effect.flatMap(
      reading(table)(this.sql<{ readonly last: number | null }>`
        SELECT MAX(migration_id)::int AS last FROM ${this.sql(table)}
      `),
      ([row]) =>
        (row?.last ?? 0) > lastMigration
          ? Effect.fail(
            new UnknownTable({
              table,
              problem: `it is at migration ${row?.last}, and this version knows ${lastMigration}`
            })
          )
          : Effect.void
    )
  }

  /** The tables of single stores, with the stores' ids. */
  get storeTables(): Effect.Effect<ReadonlyArray<{ readonly table: string; readonly storeId: string }>, UnknownTable> {
    const named = [...this.found.keys()].filter((table) => table.startsWith(`${persistenceTable}_`)).sort()
    return Effect.forEach(named, (table) =>
      new TextEncoder().encode(table).byteLength >= maxNameBytes
        ? Effect.fail(
          new UnknownTable({
            table,
            problem:
              `its name has the ${maxNameBytes} bytes at which PostgreSQL cuts names off, so the id of the store is ` +
              "not known"
          })
        )
        : Effect.succeed({ table, storeId: table.slice(persistenceTable.length + 1) }))
  }

  /** Runners with a heartbeat of the last minute. */
  liveRunners(table: string): Effect.Effect<ReadonlyArray<string>, SourceFailed> {
    if (!this.has(table)) return Effect.succeed([])
    return Effect.map(
      reading(table)(this.sql<{ readonly address: string }>`
        SELECT address FROM ${this.sql(table)}
        WHERE last_heartbeat > LOCALTIMESTAMP - INTERVAL '1 minute' ORDER BY address LIMIT 10
      `),
      (rows) => rows.map(({ address }) => address)
    )
  }

  /** Elements that a worker claimed, or kept, in the last minute. */
  liveClaims(table: string): Effect.Effect<number, SourceFailed> {
    return Effect.map(
      reading(table)(this.sql<{ readonly rows: number }>`
        SELECT COUNT(*)::int AS rows FROM ${this.sql(table)}
        WHERE state = 'pending' AND acquired_at > LOCALTIMESTAMP - INTERVAL '1 minute'
      `),
      ([row]) => row?.rows ?? 0
    )
  }

  /** What tells this database from others. */
  get source(): Effect.Effect<string, SourceFailed> {
    return Effect.map(
      reading("pg_database")(this.sql<{ readonly source: string }>`
        SELECT datname || '@' || oid::text AS source FROM pg_database WHERE datname = current_database()
      `),
      ([row]) => row?.source ?? ""
    )
  }
}
