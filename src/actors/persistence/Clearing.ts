/** Deleting all keys of a prefix, however many there are, without reading their values. */
import { Effect } from "effect"
import type { KeyValue, ReadFailure, WriteFailure } from "../../client/KeyValue.ts"
import { Op } from "../../client/Txn.ts"

/** Keys that one transaction deletes. A key has at most 4 KiB, so that they fit into a transaction. */
const pageKeys = 500

/** Deletes page by page. It is not one step: a key that is written meanwhile may stay. */
export const clearPrefix = Effect.fnUntraced(function*(
  kv: KeyValue["Service"],
  prefix: Uint8Array
): Effect.fn.Return<void, ReadFailure | WriteFailure> {
  for (;;) {
    const page = yield* kv.scan(prefix, { keysOnly: true, limit: pageKeys })
    if (page.entries.length > 0) yield* kv.transact({ do: page.entries.map((entry) => Op.delete(entry.key)) })
    if (page.cursor === undefined) return
  }
})
