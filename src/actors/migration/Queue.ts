/**
 * The elements of Effect's table of persisted queues. Each keeps its place: the time from which it may be taken, then
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
import { QueueLayout } from "../persistence/queue/QueueLayout.ts"
import { RowRefused, RowTaken, writing } from "./Failures.ts"
import type { Difference, Part } from "./Part.ts"
import { concurrency, pageOf } from "./Part.ts"
import type { QueueTableRow } from "./QueueTable.ts"
import { QueueTable } from "./QueueTable.ts"

export interface QueueOptions {
  readonly sql: SqlClient.SqlClient
  readonly kv: KeyValue["Service"]
  /** Before the keys in FlareDB. */
  readonly prefix: string
  readonly table: string
}

const encoder = new TextEncoder()

/** Tells the places of copied elements from those that processes give out. */
const by = "sql"

/** Writes the elements of a table to FlareDB, and compares them with what is there. */
class ElementCopy {
  private readonly options: Pick<QueueOptions, "kv" | "prefix" | "table">
  private readonly layout: QueueLayout

  constructor(options: ElementCopy["options"]) {
    this.options = options
    this.layout = new QueueLayout(options.prefix, options.kv)
  }

  readonly write = Effect.fnUntraced({ self: this }, function*(row: QueueTableRow) {
    const { kv, table } = this.options
    const { beside, handed, key, text, value } = yield* this.layout.before(this.rowsOf(row))
    const operations: Ops = [Op.put(key, value), Op.put(beside, text)]
    const { succeeded } = yield* kv.transact({
      if: [Compare.missing(key), Compare.missing(handed)],
      do: operations
    })
    if (succeeded) return
    const known = yield* kv.get(key)
    if (Option.isNone(known) || !sameBytes(known.value.value, value)) return yield* new RowTaken({ table, id: row.id })
  })

  readonly compare = Effect.fnUntraced({ self: this }, function*(row: QueueTableRow) {
    const { kv, table } = this.options
    const { beside, key, text, value } = yield* this.rowsOf(row)
    const [element, place] = yield* Effect.all([kv.get(key), kv.get(beside)])
    const differs = (problem: string): ReadonlyArray<Difference> => [{ table, id: `${row.queue}/${row.id}`, problem }]
    if (Option.isNone(element)) return differs("it is not in FlareDB")
    if (!sameBytes(element.value.value, value)) return differs(`the ${row.state} element differs`)
    if (Option.isNone(place)) return differs("it has another place, or time")
    // Whether it was delayed when it was copied depends on when that was.
    const withoutDelay = (json: string) => json.replace(/"d":1,?/, "")
    return withoutDelay(place.value.text) === withoutDelay(text) ? [] : differs("its attempts differ")
  })

  /** The element's key with its value, and what else there is of it. */
  private readonly rowsOf = Effect.fnUntraced({ self: this }, function*(row: QueueTableRow) {
    const { prefix, table } = this.options
    const { attempts, element, failure, id, queue, state } = row
    if (id.length > maxIdLength) {
      return yield* new RowRefused({ table, id, problem: `its id has more than ${maxIdLength} characters` })
    }
    const keys = new QueueKeys(prefix, queue)
    const key = keys.element(id)
    const handed = keys.handedOver(id)
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
        return { key, handed, value: encodePending(encoder.encode(element)), beside: keys.row(place), text: waiting }
      }
      case "completed": {
        const value = encodeCompleted({ claimer: by, token: `${by}-${row.sequence}` })
        return { key, handed, value, beside: keys.completed(id, Number(row.updatedMs)), text: "" }
      }
      case "failed": {
        const value = encodeFailed(encoder.encode(element), { id, attempts, reason: failure ?? "" })
        return { key, handed, value, beside: keys.failed(id, Number(row.updatedMs)), text: "" }
      }
      default:
        return yield* new RowRefused({ table, id, problem: `its state ${JSON.stringify(state)} is not known` })
    }
  })
}

export const queue = ({ kv, prefix, sql, table }: QueueOptions): Part => {
  const rows = new QueueTable(sql, table)
  const copy = new ElementCopy({ kv, prefix, table })
  return {
    kind: "queue",
    table,
    target: `${prefix}q/`,
    counts: rows.counts,
    bytes: rows.bytes,
    page: Effect.fnUntraced(function*(position) {
      const after = position === "" ? "-1" : position
      const page = yield* pageOf(table, yield* rows.heads(after), maxElementBytes - 1)
      if (page === undefined) return undefined
      const elements = yield* rows.rows(after, page.last)
      return {
        ...page,
        after: page.last,
        write: Effect.forEach(elements, (row) => writing(table, `${row.queue}/${row.id}`)(copy.write(row)), {
          concurrency,
          discard: true
        }),
        compare: Effect.map(Effect.forEach(elements, copy.compare, { concurrency }), (found) => found.flat())
      }
    }),
    extra: Effect.gen(function*() {
      const waiting = yield* rows.waiting
      const counts = yield* Effect.forEach(waiting.queues, (name) => kv.count(new QueueKeys(prefix, name).rows))
      const inFlareDb = counts.reduce((sum, count) => sum + count, 0)
      if (waiting.rows === inFlareDb) return []
      const problem = `SQL has ${waiting.rows} elements that wait, FlareDB has ${inFlareDb}`
      return [{ table, id: "*", problem }]
    })
  }
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.byteLength === b.byteLength && a.every((byte, i) => byte === b[i])
