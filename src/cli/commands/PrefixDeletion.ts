/** All keys with a prefix, deleted: in one transaction when that may be as large, and else in several. */
import { Effect } from "effect"
import type { Data, KeyValue, WriteFailure } from "../../client/KeyValue.ts"
import { Op } from "../../client/Txn.ts"
import { maxTransactionOperations } from "../../kv/model/Limits.ts"
import { counted } from "../output/Counted.ts"
import type { Failure } from "../output/Failure.ts"
import { amended } from "../output/Failure.ts"

export interface PrefixDeletion {
  readonly deleted: number
  /** The revision of the last transaction. */
  readonly revision: number
  readonly transactions: number
}

const deleteKeys = (
  kv: KeyValue["Service"],
  keys: ReadonlyArray<Uint8Array>
): Effect.Effect<PrefixDeletion, unknown> =>
  kv.transact({ do: keys.map((key) => Op.delete(key)) }).pipe(
    Effect.map(({ results, revision }) => ({
      deleted: results.filter(({ deleted }) => deleted).length,
      revision,
      transactions: 1
    })),
    // Values that grew since the page was read make it more than a transaction may look at.
    Effect.catchTag("InvalidArgument", (error) => {
      if (keys.length === 1) return Effect.fail(error)
      const half = keys.length >> 1
      return Effect.zipWith(deleteKeys(kv, keys.slice(0, half)), deleteKeys(kv, keys.slice(half)), add)
    })
  )

const add = (first: PrefixDeletion, second: PrefixDeletion): PrefixDeletion => ({
  deleted: first.deleted + second.deleted,
  revision: second.revision,
  transactions: first.transactions + second.transactions
})

/** Goes through the keys in their order, so it ends even when clients put more of them meanwhile. */
const inPieces = Effect.fnUntraced(function*(kv: KeyValue["Service"], prefix: Data) {
  let done: PrefixDeletion = { deleted: 0, revision: 0, transactions: 0 }
  const piece = Effect.fnUntraced(function*(cursor: Uint8Array | undefined) {
    const page = yield* kv.scan(prefix, { cursor, keysOnly: true, limit: maxTransactionOperations })
    if (page.entries.length > 0) done = add(done, yield* deleteKeys(kv, page.entries.map(({ key }) => key)))
    return page.cursor
  })
  const brokenOff = (error: unknown): Failure =>
    amended(error, (line) =>
      done.transactions === 0
        ? line
        : `${line}; ${counted(done.deleted, "key")} deleted before; repeat the command for the others`)
  let cursor: Uint8Array | undefined
  for (;;) {
    cursor = yield* Effect.mapError(piece(cursor), brokenOff)
    if (cursor === undefined) return done
  }
})

export const deletePrefix = (
  kv: KeyValue["Service"],
  prefix: Data
): Effect.Effect<PrefixDeletion, Failure | WriteFailure> =>
  kv.transact({ do: [Op.deletePrefix(prefix)] }).pipe(
    Effect.map(({ results: [deleted = 0], revision }) => ({ deleted, revision, transactions: 1 })),
    // Too many keys or too much in them, or a prefix that is wrong, which the scan then says.
    Effect.catchTag("InvalidArgument", () => inPieces(kv, prefix))
  )
