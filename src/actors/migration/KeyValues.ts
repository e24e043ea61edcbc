/** The rows of Effect's `KeyValueStore`: text stays text, and bytes stay bytes. */
import { Effect } from "effect"
import { Base64 } from "effect/encoding"
import type { SqlClient } from "effect/sql"
import type { KeyValue } from "../../client/KeyValue.ts"
import { make as makeStore } from "../persistence/KeyValueStore.ts"
import { encodeName } from "../persistence/Keys.ts"
import { RowRefused, writing } from "./Failures.ts"
import type { Difference, Head, Part } from "./Part.ts"
import { concurrency, countsOf, maxPageRows, pageOf, valueBytesOf } from "./Part.ts"
import { reading } from "./SqlDatabase.ts"
import { utf8Text } from "../../bytes/Utf8.ts"

export interface KeyValuesOptions {
  readonly sql: SqlClient.SqlClient
  readonly kv: KeyValue["Service"]
  /** Before the keys in FlareDB. */
  readonly prefix: string
  readonly table: string
  /** The store in FlareDB. */
  readonly name: string
}

interface Row {
  readonly id: string
  readonly value: Uint8Array
  readonly type: number
}

export const keyValues = ({ kv, name, prefix, sql: client, table }: KeyValuesOptions): Part => {
  const sql = client.withoutTransforms()
  const store = makeStore(kv, { name, prefix })

  const valueOf = (row: Row): Effect.Effect<string | Uint8Array, RowRefused> =>
    row.type === 0
      ? Effect.succeed(utf8Text(row.value))
      : row.type === 1
      ? Effect.succeed(row.value)
      : Effect.fail(new RowRefused({ table, id: row.id, problem: `its value_type ${row.type} is not known` }))

  const compare = Effect.fnUntraced(function*(row: Row) {
    const value = yield* valueOf(row)
    const [text, bytes] = yield* Effect.all([store.get(row.id), store.getUint8Array(row.id)])
    const differs = (problem: string): ReadonlyArray<Difference> => [{ table, id: row.id, problem }]
    if (text === undefined || bytes === undefined) return differs("it is not in FlareDB")
    // Bytes are Base64 when they are read as text, and text is UTF-8 when it is read as bytes.
    const expected = typeof value === "string" ? value : Base64.encode(value)
    return text === expected && Base64.encode(bytes) === Base64.encode(row.value) ? [] : differs("its value differs")
  })

  return {
    kind: "key values",
    table,
    target: `${prefix}kv/${encodeName(name)}/`,
    counts: countsOf(
      table,
      sql`
        SELECT CASE value_type WHEN 0 THEN 'text' WHEN 1 THEN 'bytes' ELSE 'unknown' END AS kind, COUNT(*)::text AS rows
        FROM ${sql(table)} GROUP BY 1 ORDER BY 1
      `
    ),
    bytes: valueBytesOf(sql, table),
    page: Effect.fnUntraced(function*(after) {
      // An id may be empty: the position of a row begins with a mark.
      const behind = after === "" ? sql.literal("TRUE") : sql`id > ${after.slice(1)}`
      const heads = yield* reading(table)(sql<Head>`
        SELECT id AS id, id AS place, octet_length(value)::text AS bytes
        FROM ${sql(table)} WHERE ${behind} ORDER BY id LIMIT ${sql.literal(String(maxPageRows))}
      `)
      const page = yield* pageOf(table, heads)
      if (page === undefined) return undefined
      const rows = yield* reading(table)(sql<Row>`
        SELECT id AS id, value AS value, value_type AS type
        FROM ${sql(table)} WHERE ${behind} ORDER BY id LIMIT ${sql.literal(String(page.rows))}
      `)
      return {
        ...page,
        after: `=${rows.at(-1)?.id ?? ""}`,
        write: Effect.forEach(
          rows,
          (row) => Effect.flatMap(valueOf(row), (value) => writing(table, row.id)(store.set(row.id, value))),
          { concurrency, discard: true }
        ),
        compare: Effect.map(Effect.forEach(rows, compare, { concurrency }), (found) => found.flat())
      }
    }),
    extra: Effect.map(
      Effect.all([reading(table)(sql<{ rows: string }>`SELECT COUNT(*)::text AS rows FROM ${sql(table)}`), store.size]),
      ([[row], inFlareDb]): ReadonlyArray<Difference> =>
        Number(row?.rows ?? 0) === inFlareDb
          ? []
          : [{ table, id: "*", problem: `SQL has ${row?.rows ?? 0} keys, FlareDB has ${inFlareDb}` }]
    )
  }
}
