/** Reads a state family from the first row of the state machine to the last, a page at a time. */
import { Effect } from "effect"
import type { StateRow } from "../../protocol/StateRows.ts"
import { firstStateKey, stateEnd } from "../../protocol/StateRows.ts"
import type { StateExport } from "../StateStore.ts"
import type { Family } from "./Operation.ts"
import type { Reader } from "./Reader.ts"

/** Rows that an export reads at once, at most. Each may be as large as a transaction's history. */
const exportRows = 64

/** The rows of a snapshot of a family, from the first to the last. */
export const exportOf = (reader: Reader, family: Family): StateExport["next"] => {
  let from: Uint8Array = firstStateKey
  let ended = false
  /** Read already, and not asked for yet. */
  let ahead: ReadonlyArray<StateRow> = []
  /** Rows to read at once: few to begin with, because it is not known how large they are. */
  let page = 4
  return Effect.fnUntraced(function*(maxBytes: number) {
    const rows: Array<StateRow> = []
    let bytes = 0
    while (rows.length === 0 || bytes < maxBytes) {
      if (ahead.length === 0) {
        if (ended) break
        const read: Array<StateRow> = []
        yield* reader.scan(family, { gte: from, lt: stateEnd, limit: page }, (row) => {
          read.push(row)
          return true
        })
        ended = read.length < page
        let largest = 1
        for (const row of read) largest = Math.max(largest, row.key.byteLength + row.value.byteLength)
        page = Math.max(1, Math.min(exportRows, page * 2, Math.floor(maxBytes / largest)))
        const last = read[read.length - 1]
        if (last !== undefined) from = Buffer.concat([last.key, Uint8Array.of(0)])
        ahead = read
        continue
      }
      let taken = 0
      while (taken < ahead.length && (rows.length === 0 || bytes < maxBytes)) {
        const row = ahead[taken] as StateRow
        rows.push(row)
        bytes += row.key.byteLength + row.value.byteLength
        taken += 1
      }
      ahead = ahead.slice(taken)
    }
    return rows
  })
}

/** Rows that are counted at once. */
const countedRows = 2_000

/** How many rows a family has, up to `limit`. */
export const countRows = Effect.fnUntraced(function*(reader: Reader, family: Family, limit: number) {
  let rows = 0
  let gte = firstStateKey
  while (rows < limit) {
    const page = Math.min(countedRows, limit - rows)
    let counted = 0
    let last = gte
    yield* reader.scan(family, { gte, lt: stateEnd, limit: page, keysOnly: true }, ({ key }) => {
      counted += 1
      last = key
      return true
    })
    rows += counted
    if (counted < page) break
    gte = Buffer.concat([last, Uint8Array.of(0)])
  }
  return rows
})
