/** Where each term of a log begins, found without reading all of it: terms never go back. */
import { Effect } from "effect"
import { CodecError } from "../bytes/CodecError.ts"
import type { LogPoint, TermRun } from "../raft/Types.ts"
import { LogIndex } from "../raft/Types.ts"
import { entryAt } from "./LogCheck.ts"
import type { Reader } from "./rocksdb/Reader.ts"
import type { StorageError } from "./StorageError.ts"

/** Reads after which the search is given up. From about there on, reading the whole log is faster. */
const maxReads = 4_096

/**
 * The terms of the entries after `compacted` up to `last`, which is in the log. A few reads for each term. `undefined`
 * when an entry is not as it should be, or when there are so many terms that reading all entries is less work.
 */
export const termRunsOf = Effect.fnUntraced(function*(
  reader: Reader,
  compacted: LogPoint,
  last: LogPoint
): Effect.fn.Return<ReadonlyArray<TermRun> | undefined, StorageError> {
  const runs: Array<TermRun> = []
  let reads = 0
  /** The term of an entry when it can be what it says. */
  const termAt = Effect.fnUntraced(function*(index: number, least: number) {
    reads += 1
    if (reads > maxReads) return undefined
    const entry = yield* entryAt(reader, LogIndex(index))
    return entry instanceof CodecError || entry.term < least || entry.term > last.term ? undefined : entry.term
  })
  let term = compacted.term
  for (let first = compacted.index + 1; first <= last.index;) {
    const found = yield* termAt(first, term)
    if (found === undefined) return undefined
    term = found
    runs.push({ firstIndex: LogIndex(first), term })
    if (term === last.term) break
    // Strides double until one lands in a later term; then halves find where that begins.
    let inside = first
    let beyond: number = last.index
    let stride = 1
    let gallops = true
    while (beyond - inside > 1) {
      const at = gallops ? Math.min(inside + stride, beyond - 1) : inside + Math.floor((beyond - inside) / 2)
      const probed = yield* termAt(at, term)
      if (probed === undefined) return undefined
      if (probed === term) inside = at
      else {
        beyond = at
        gallops = false
      }
      stride *= 2
    }
    first = beyond
  }
  return runs
})
