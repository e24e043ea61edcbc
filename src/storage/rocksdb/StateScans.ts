/** Scans of a state whose pages are bounded in rows and in bytes. */
import { Effect } from "effect"
import type { StateRow } from "../../protocol/StateRows.ts"
import type { ScanOptions, StateView } from "../StateStore.ts"
import type { StorageError } from "../StorageError.ts"
import type { View } from "./Reader.ts"

/** Rows of the first page of a scan that is bounded in bytes, and most rows of a later one. */
const firstPageRows = 8
const maxPageRows = 256

/** The reads of a state store on those of a family. */
export const stateView = ({ getMany, scan }: Pick<View, "getMany" | "scan">): StateView => ({
  getMany,
  scan: (options) =>
    options.maxBytes === undefined || options.keysOnly === true
      ? scanAll(scan, options)
      : scanInPages(scan, options, options.maxBytes)
})

const scanAll = (
  scan: View["scan"],
  options: ScanOptions
): Effect.Effect<ReadonlyArray<StateRow>, StorageError> =>
  Effect.suspend(() => {
    const rows: Array<StateRow> = []
    return Effect.map(
      scan(options, (row) => {
        rows.push(row)
        return true
      }),
      () => rows
    )
  })

/**
 * The engine reads as many rows ahead as it is asked for, whatever their size. So it is asked for few to begin with,
 * and for more when those were small.
 */
const scanInPages = Effect.fnUntraced(function*(
  scan: View["scan"],
  options: ScanOptions,
  maxBytes: number
) {
  const { limit, reverse } = options
  const rows: Array<StateRow> = []
  let { gte, lt } = options
  let bytes = 0
  let page = firstPageRows
  while (rows.length < limit && bytes < maxBytes && Buffer.compare(gte, lt) < 0) {
    const wanted = Math.min(page, limit - rows.length)
    const read = yield* scanAll(scan, {
      gte,
      lt,
      limit: wanted,
      ...(reverse === undefined ? {} : { reverse })
    })
    let largest = 1
    for (const row of read) {
      const size = row.key.byteLength + row.value.byteLength
      largest = Math.max(largest, size)
      if (bytes >= maxBytes) break
      rows.push(row)
      bytes += size
    }
    const last = read[read.length - 1]
    if (read.length < wanted || last === undefined) break
    if (reverse === true) lt = last.key
    else gte = Buffer.concat([last.key, Uint8Array.of(0)])
    page = Math.max(1, Math.min(maxPageRows, page * 4, Math.ceil((maxBytes - bytes) / largest)))
  }
  return rows
})
