/** Forgetting finished elements: the oldest first, page by page. */
import { Effect } from "effect"
import type { KeyValue, KeyValueEntry, ReadFailure, WriteFailure } from "../../../client/KeyValue.ts"
import { Compare, Op } from "../../../client/Txn.ts"
import { finishedOf } from "./Layout.ts"

/** Elements that one transaction forgets. Their keys fit into it. */
const pageElements = 200

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
  const forget = (entries: ReadonlyArray<KeyValueEntry>): Effect.Effect<boolean, WriteFailure> =>
    Effect.map(
      kv.transact({
        if: entries.map(({ key, modRevision }) => Compare.modRevision(key).equals(modRevision)),
        do: entries.flatMap(({ key, keyText }) => {
          const element = finishedOf(prefix, kind, keyText)?.element
          return element === undefined ? [Op.delete(key)] : [Op.delete(key), Op.delete(element)]
        })
      }),
      ({ succeeded }) => succeeded
    )

  for (;;) {
    const page = yield* kv.scan(kind, { keysOnly: true, limit: pageElements })
    const due = page.entries.filter(({ keyText }) => (finishedOf(prefix, kind, keyText)?.ms ?? 0) <= untilMs)
    if (due.length === 0) return
    // Another process cleans up too: what is left of the page is deleted one by one.
    if (!(yield* forget(due))) yield* Effect.forEach(due, (entry) => forget([entry]), { discard: true })
    if (page.cursor === undefined) return
  }
})
