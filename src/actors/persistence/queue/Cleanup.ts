/** Forgetting finished elements: the oldest first, page by page. */
import { Effect } from "effect"
import type { KeyValue, KeyValueEntry, ReadFailure, WriteFailure } from "../../../client/KeyValue.ts"
import { Compare, Op } from "../../../client/Txn.ts"
import { elementsOf, finishedOf } from "./Layout.ts"

/** Rows that are read at once, of which each may list some elements, and keys that one transaction deletes. */
const pageRows = 100
const maxDeleted = 400

/**
 * Deletes what finished up to `untilMs`, with its id, which may be offered again from then on. The condition is the key
 * that says so: where another process has deleted both, the id may be that of a new element by now.
 */
export const cleanup = Effect.fnUntraced(function*(
  kv: KeyValue["Service"],
  prefix: string,
  kind: string,
  untilMs: number
): Effect.fn.Return<void, ReadFailure | WriteFailure> {
  const elements = ({ keyText, value }: KeyValueEntry) => elementsOf(prefix, kind, keyText, value)
  const forget = (entries: ReadonlyArray<KeyValueEntry>): Effect.Effect<boolean, WriteFailure> =>
    Effect.map(
      kv.transact({
        if: entries.map(({ key, modRevision }) => Compare.modRevision(key).equals(modRevision)),
        do: entries.flatMap((entry) => [Op.delete(entry.key), ...elements(entry).map((key) => Op.delete(key))])
      }),
      ({ succeeded }) => succeeded
    )

  for (;;) {
    const page = yield* kv.scan(kind, { limit: pageRows })
    const due = page.entries.filter(({ keyText }) => (finishedOf(prefix, kind, keyText)?.ms ?? 0) <= untilMs)
    if (due.length === 0) return
    for (const together of portions(due, (entry) => 1 + elements(entry).length)) {
      // Another process cleans up too: what is left is deleted one by one.
      if (!(yield* forget(together))) yield* Effect.forEach(together, (entry) => forget([entry]), { discard: true })
    }
    if (page.cursor === undefined) return
  }
})

/** Entries in order, in portions that delete at most {@link maxDeleted} keys, or have one entry. */
const portions = (
  entries: ReadonlyArray<KeyValueEntry>,
  keysOf: (entry: KeyValueEntry) => number
): ReadonlyArray<ReadonlyArray<KeyValueEntry>> => {
  const all: Array<Array<KeyValueEntry>> = []
  let left = 0
  for (const entry of entries) {
    const keys = keysOf(entry)
    if (keys > left) {
      all.push([])
      left = maxDeleted
    }
    all[all.length - 1]?.push(entry)
    left -= keys
  }
  return all
}
