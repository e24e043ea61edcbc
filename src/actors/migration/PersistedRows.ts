/**
 * What `Persistence` and `PersistedCache` keep: Effect's table `effect_persistence`, or one table for each store. A row
 * keeps the time it has left; one whose time is over is not copied.
 */
import { Clock, Duration, Effect, Option } from "effect"
import type { Persistence } from "effect/persistence"
import type { SqlClient } from "effect/sql"
import type { KeyValue } from "../../client/KeyValue.ts"
import { decodeRow, keyOfRow, keysOfStore } from "../persistence/BackingPersistence.ts"
import type { LogTime } from "../LogTime.ts"
import { RowRefused, writing } from "./Failures.ts"
import type { Difference, Head, Part } from "./Part.ts"
import { concurrency, countsOf, maxPageRows, pageOf, valueBytesOf } from "./Part.ts"
import { reading } from "./SqlDatabase.ts"

export interface PersistedRowsOptions {
  readonly sql: SqlClient.SqlClient
  readonly kv: KeyValue["Service"]
  readonly persistence: Persistence.BackingPersistence["Service"]
  readonly time: LogTime["Service"]
  /** Before the keys in FlareDB. */
  readonly prefix: string
  readonly table: string
  /** The store of a table of its own; absent for the table that names the store of each row. */
  readonly storeId?: string | undefined
}

interface Row {
  readonly store: string
  readonly id: string
  readonly value: string
  readonly expires: string | null
}

/** How far the ends of a row's time may be apart: the copy and the comparison each ask two clocks. */
const toleranceMs = 10_000

/** Writes the rows of a table to FlareDB, and compares them with what is there. */
class RowCopy {
  private readonly options: Pick<PersistedRowsOptions, "kv" | "persistence" | "time" | "prefix" | "table">

  constructor(options: RowCopy["options"]) {
    this.options = options
  }

  readonly write = Effect.fnUntraced({ self: this }, function*(row: Row) {
    const value = yield* this.valueOf(row)
    const leftMs = yield* timeLeft(row)
    if (leftMs !== undefined && leftMs <= 0) return
    const { set } = yield* Effect.scoped(this.options.persistence.make(row.store))
    yield* set(row.id, value, leftMs === undefined ? undefined : Duration.millis(leftMs))
  })

  readonly compare = Effect.fnUntraced({ self: this }, function*(row: Row) {
    const { kv, prefix, table, time } = this.options
    const value = yield* this.valueOf(row)
    const found = yield* kv.get(keyOfRow(prefix, row.store, row.id))
    const leftMs = yield* timeLeft(row)
    const differs = (problem: string): ReadonlyArray<Difference> => [{ table, id: idOf(row), problem }]
    if (leftMs !== undefined && leftMs <= toleranceMs) return []
    if (Option.isNone(found)) return differs("it is not in FlareDB")
    const stored = yield* Effect.try({ try: () => decodeRow(found.value), catch: () => undefined }).pipe(
      Effect.orElseSucceed(() => undefined)
    )
    if (stored === undefined || JSON.stringify(stored.value) !== JSON.stringify(value)) {
      return differs("its value differs")
    }
    if (leftMs === undefined) return stored.endsMs === 0 ? [] : differs("it ends in FlareDB, and not in SQL")
    const leftThere = stored.endsMs - (yield* time.now)
    return stored.endsMs !== 0 && Math.abs(leftThere - leftMs) <= toleranceMs ? [] : differs("its time to live differs")
  })

  private valueOf(row: Row) {
    return Effect.try({
      try: (): object => {
        const value: unknown = JSON.parse(row.value)
        if (typeof value !== "object" || value === null) throw new Error("no object")
        return value
      },
      catch: () => new RowRefused({ table: this.options.table, id: idOf(row), problem: "its value is no JSON object" })
    })
  }
}

/** Milliseconds until a row expires; nothing for a row that stays. */
const timeLeft = ({ expires }: Row) =>
  expires === null
    ? Effect.undefined
    : Effect.map(Clock.currentTimeMillis, (nowMs) => Number(expires) - nowMs)

export const persistedRows = (
  { kv, persistence, prefix, sql: client, storeId, table, time }: PersistedRowsOptions
): Part => {
  const sql = client.withoutTransforms()
  const store = sql.literal(storeId === undefined ? "store_id" : `'${storeId.replaceAll("'", "''")}'::text`)

  const copy = new RowCopy({ kv, persistence, time, prefix, table })

  return {
    kind: "persistence",
    table,
    target: storeId === undefined ? `${prefix}p/` : keysOfStore(prefix, storeId),
    counts: countsOf(
      table,
      sql`
        SELECT ${store} || CASE
            WHEN expires <= EXTRACT(EPOCH FROM NOW()) * 1000 THEN ': expired' ELSE ''
          END AS kind, COUNT(*)::text AS rows
        FROM ${sql(table)} GROUP BY 1 ORDER BY 1
      `
    ),
    bytes: valueBytesOf(sql, table),
    page: Effect.fnUntraced(function*(after) {
      const [afterStore, afterId] = after === "" ? ["", ""] : JSON.parse(after) as readonly [string, string]
      const behind = after === ""
        ? sql.literal("TRUE")
        : storeId === undefined
        ? sql`(store_id, id) > (${afterStore}, ${afterId})`
        : sql`id > ${afterId}`
      const order = sql.literal(storeId === undefined ? "store_id, id" : "id")
      const heads = yield* reading(table)(sql<Head & { readonly store: string }>`
        SELECT ${store} AS store, id AS id, id AS place, octet_length(value)::text AS bytes
        FROM ${sql(table)} WHERE ${behind} ORDER BY ${order} LIMIT ${sql.literal(String(maxPageRows))}
      `)
      const page = yield* pageOf(table, heads)
      if (page === undefined) return undefined
      const rows = yield* reading(table)(sql<Row>`
        SELECT ${store} AS store, id AS id, value AS value, expires::text AS expires
        FROM ${sql(table)} WHERE ${behind} ORDER BY ${order} LIMIT ${sql.literal(String(page.rows))}
      `)
      const last = rows.at(-1)
      return {
        ...page,
        after: JSON.stringify([last?.store ?? "", last?.id ?? ""]),
        write: Effect.forEach(rows, (row) => writing(table, idOf(row))(copy.write(row)), {
          concurrency,
          discard: true
        }),
        compare: Effect.map(Effect.forEach(rows, copy.compare, { concurrency }), (found) => found.flat())
      }
    }),
    // Rows whose time is over are there until they are deleted, on either side: there is no count to compare.
    extra: Effect.succeed([])
  }
}

const idOf = ({ id, store }: Row): string => `${store}/${id}`
