/**
 * The elements of Effect's table of persisted queues. Each keeps its place: the moment from which it may be taken, then
 * the number in the table. Claims are not copied, because their workers are stopped; the attempt counts.
 */
import { Effect, Option } from "effect"
import type { SqlClient } from "effect/sql"
import type { KeyValue } from "../../client/KeyValue.ts"
import type { Ops } from "../../client/Txn.ts"
import { Compare, Op } from "../../client/Txn.ts"
import {
  copyOf,
  encodeCompleted,
  encodeFailed,
  encodePending,
  encodeQueueRow,
  maxElementBytes,
  maxIdLength,
  placeOf,
  QueueKeys
} from "../persistence/queue/Layout.ts"
import { RowRefused, RowTaken, writing } from "./Failures.ts"
import type { Difference, Head, Part } from "./Part.ts"
import { concurrency, countsOf, maxPageRows, pageOf } from "./Part.ts"
import { reading } from "./SqlDatabase.ts"

export interface QueueOptions {
  readonly sql: SqlClient.SqlClient
  readonly kv: KeyValue["Service"]
  /** Before the keys in FlareDB. */
  readonly prefix: string
  readonly table: string
}

interface Row {
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

const encoder = new TextEncoder()

/** Tells the places of copied elements from those that processes give out. */
const by = "sql"

export const queue = ({ kv, prefix, sql: client, table }: QueueOptions): Part => {
  const sql = client.withoutTransforms()

  /** The element's key with its value, and what else there is of it. */
  const rowsOf = Effect.fnUntraced(function*(row: Row) {
    const { attempts, element, failure, id, queue, state } = row
    if (id.length > maxIdLength) {
      return yield* new RowRefused({ table, id, problem: `its id has more than ${maxIdLength} characters` })
    }
    const keys = new QueueKeys(prefix, queue)
    const key = keys.element(id)
    const place = placeOf(Number(row.visibleMs), Number(row.sequence), by)
    switch (state) {
      case "pending": {
        const waiting = encodeQueueRow({
          id,
          attempts,
          delayed: Number(row.visibleMs) > Number(row.nowMs),
          claim: undefined,
          copy: copyOf(element)
        })
        return { key, value: encodePending(element), beside: keys.row(place), text: waiting }
      }
      case "completed": {
        const value = encodeCompleted({ claimer: by, token: `${by}-${row.sequence}` })
        return { key, value, beside: keys.completed(id, Number(row.updatedMs)), text: "" }
      }
      case "failed": {
        const value = encodeFailed(encoder.encode(element), { id, attempts, reason: failure ?? "" })
        return { key, value, beside: keys.failed(id, Number(row.updatedMs)), text: "" }
      }
      default:
        return yield* new RowRefused({ table, id, problem: `its state ${JSON.stringify(state)} is not known` })
    }
  })

  const write = Effect.fnUntraced(function*(row: Row) {
    const { beside, key, text, value } = yield* rowsOf(row)
    const operations: Ops = [Op.put(key, value), Op.put(beside, text)]
    const { succeeded } = yield* kv.transact({ if: [Compare.missing(key)], do: operations })
    if (succeeded) return
    const known = yield* kv.get(key)
    if (Option.isNone(known) || !sameBytes(known.value.value, value)) return yield* new RowTaken({ table, id: row.id })
  })

  const compare = Effect.fnUntraced(function*(row: Row) {
    const { beside, key, text, value } = yield* rowsOf(row)
    const [element, place] = yield* Effect.all([kv.get(key), kv.get(beside)])
    const tell = (problem: string): ReadonlyArray<Difference> => [{ table, id: `${row.queue}/${row.id}`, problem }]
    if (Option.isNone(element)) return tell("it is not in FlareDB")
    if (!sameBytes(element.value.value, value)) return tell(`the ${row.state} element differs`)
    if (Option.isNone(place)) return tell("it has another place, or time")
    // Whether it was delayed when it was copied depends on when that was.
    const withoutDelay = (json: string) => json.replace(/"d":1,?/, "")
    return withoutDelay(place.value.text) === withoutDelay(text) ? [] : tell("its attempts differ")
  })

  const millis = (column: string) =>
    sql.literal(`FLOOR(EXTRACT(EPOCH FROM (${column} AT TIME ZONE current_setting('TimeZone'))) * 1000)::bigint::text`)

  return {
    kind: "queue",
    table,
    target: `${prefix}q/`,
    counts: countsOf(
      table,
      sql`
        SELECT queue_name || ': ' || CASE
            WHEN state = 'pending' AND visible_at > LOCALTIMESTAMP THEN 'delayed' ELSE state
          END AS kind, COUNT(*)::text AS rows
        FROM ${sql(table)} GROUP BY 1 ORDER BY 1
      `
    ),
    bytes: Effect.map(
      reading(table)(sql<{ bytes: string }>`
        SELECT COALESCE(SUM(octet_length(element)), 0)::text AS bytes FROM ${sql(table)}
      `),
      ([row]) => Number(row?.bytes ?? 0)
    ),
    page: Effect.fnUntraced(function*(after) {
      const from = after === "" ? "-1" : after
      const heads = yield* reading(table)(sql<Head>`
        SELECT sequence::text AS place, queue_name || '/' || id AS id, octet_length(element)::text AS bytes
        FROM ${sql(table)} WHERE sequence > ${from}::bigint
        ORDER BY sequence LIMIT ${sql.literal(String(maxPageRows))}
      `)
      const page = yield* pageOf(table, heads, maxElementBytes - 1)
      if (page === undefined) return undefined
      const rows = yield* reading(table)(sql<Row>`
        SELECT sequence::text AS "sequence", id AS "id", queue_name AS "queue", element AS "element", state AS "state",
          attempts AS "attempts", last_failure AS "failure", ${millis("visible_at")} AS "visibleMs",
          ${millis("updated_at")} AS "updatedMs", ${millis("LOCALTIMESTAMP")} AS "nowMs"
        FROM ${sql(table)} WHERE sequence > ${from}::bigint AND sequence <= ${page.last}::bigint ORDER BY sequence
      `)
      return {
        ...page,
        after: page.last,
        write: Effect.forEach(rows, (row) => writing(table, `${row.queue}/${row.id}`)(write(row)), {
          concurrency,
          discard: true
        }),
        compare: Effect.map(Effect.forEach(rows, compare, { concurrency }), (found) => found.flat())
      }
    }),
    extra: Effect.map(
      Effect.all([
        reading(table)(sql<{ rows: string }>`
          SELECT COUNT(*)::text AS rows FROM ${sql(table)} WHERE state = 'pending'
        `),
        reading(table)(sql<{ name: string }>`SELECT DISTINCT queue_name AS name FROM ${sql(table)}`)
      ]).pipe(Effect.flatMap(([[row], names]) =>
        Effect.map(
          Effect.forEach(names, ({ name }) => kv.count(new QueueKeys(prefix, name).rows)),
          (counts) => ({ inSql: Number(row?.rows ?? 0), inFlareDb: counts.reduce((sum, count) => sum + count, 0) })
        )
      )),
      ({ inFlareDb, inSql }): ReadonlyArray<Difference> =>
        inSql === inFlareDb
          ? []
          : [{ table, id: "*", problem: `SQL has ${inSql} elements that wait, FlareDB has ${inFlareDb}` }]
    )
  }
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.byteLength === b.byteLength && a.every((byte, i) => byte === b[i])
