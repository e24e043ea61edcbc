/**
 * Rows that are only ever appended, without gaps: a row's key is the sequence that it begins with, and the next row
 * begins right behind it. An append depends on the row that was the last one, so of two that come at once one has to
 * look again. There is no counter: the last row is it.
 *
 * An append whose answer was lost is sent again as it is. The first time took the place of the second; whose rows are
 * there says the mark of the transaction.
 */
import { Effect, Option } from "effect"
import { randomBytes } from "node:crypto"
import type { KeyValue, KeyValueEntry, ReadFailure, WriteFailure } from "../../client/KeyValue.ts"
import type { Op } from "../../client/Txn.ts"
import { Compare } from "../../client/Txn.ts"
import { outcomeOf } from "../Outcome.ts"
import type { AppendedKeys } from "./Layout.ts"
import { markBytes, markOf } from "./Rows.ts"

/** Most conditions and operations of a transaction, and its bytes, with room for the keys. */
export const maxOperations = 500
export const maxBytes = 3_000 * 1_024

/** Times that an append is sent again whose answer was lost. */
const maxRepeats = 3

/** The last row. */
export interface Tail {
  /** The last sequence; one less than the first for none. */
  readonly last: number
  /** The row that holds it; absent for none. */
  readonly row: KeyValueEntry | undefined
  /** Its key and revision. */
  readonly key: string | undefined
  readonly revision: number
}

/** The lowest sequence. */
export const firstSequence = 1

const empty: Tail = { last: firstSequence - 1, row: undefined, key: undefined, revision: 0 }

/** Bytes of a mark that say which writer it is of. */
const writerBytes = 8

/** Makes the marks of one writer's transactions; no other one has them. */
export class Marks {
  private readonly writer = randomBytes(writerBytes)

  next(): Uint8Array {
    return new Uint8Array(Buffer.concat([this.writer, randomBytes(markBytes - writerBytes)]))
  }

  isOwn(mark: Uint8Array): boolean {
    return this.writer.equals(mark.subarray(0, writerBytes))
  }
}

/** What is to be appended in one step. */
export interface Append {
  /** Where it begins: behind this row. */
  readonly behind: Tail
  /** The last sequence then, and the key of the last row. */
  readonly last: number
  readonly lastKey: string
  readonly mark: Uint8Array
  readonly if?: ReadonlyArray<Compare> | undefined
  /** Includes the rows, each with the mark. */
  readonly do: ReadonlyArray<Op<unknown>>
}

export class AppendedRows {
  readonly keys: AppendedKeys
  private readonly kv: KeyValue["Service"]
  private readonly lastOf: (row: KeyValueEntry) => number

  /** `lastOf` says which sequence a row ends with. */
  constructor(kv: KeyValue["Service"], keys: AppendedKeys, lastOf: (row: KeyValueEntry) => number) {
    this.kv = kv
    this.keys = keys
    this.lastOf = lastOf
  }

  /** The last row, as the cluster knows it now. */
  readonly tail: Effect.Effect<Tail, ReadFailure> = Effect.suspend(() => this.before())

  /** The last row that begins at `sequence` or before; of all rows when it is absent. */
  before(sequence?: number): Effect.Effect<Tail, ReadFailure> {
    return Effect.map(
      this.kv.scan(this.keys.rows, {
        reverse: true,
        limit: 1,
        consistency: "linearizable",
        ...(sequence === undefined ? {} : { cursor: this.keys.row(sequence + 1) })
      }),
      ({ entries: [row] }) =>
        row === undefined
          ? empty
          : { last: this.lastOf(row), row, key: row.keyText, revision: row.modRevision }
    )
  }

  /** Hold as long as nothing is appended behind a row. */
  isLast({ key, last, revision }: Tail): ReadonlyArray<Compare> {
    return [
      Compare.missing(this.keys.row(last + 1)),
      ...(key === undefined ? [] : [Compare.modRevision(key).equals(revision)])
    ]
  }

  /** Appends if nothing was since; gives the new last row, or nothing. */
  append({ behind, do: operations, if: conditions = [], last, lastKey, mark }: Append): Effect.Effect<
    Option.Option<Tail>,
    WriteFailure
  > {
    const first = this.keys.row(behind.last + 1)
    const after = (revision: number) => Option.some<Tail>({ last, row: undefined, key: lastKey, revision })
    const txn = { if: [...this.isLast(behind), ...conditions], do: operations }
    return Effect.gen({ self: this }, function*() {
      for (let attempt = 0;; attempt++) {
        const sent = yield* Effect.result(this.kv.transact(txn))
        if (sent._tag === "Success") {
          if (sent.success.succeeded) return after(sent.success.revision)
          if (attempt === 0) return Option.none()
          const found = yield* this.kv.get(first, { consistency: "linearizable" })
          return Option.isSome(found) && Buffer.compare(markOf(found.value), mark) === 0
            ? after(found.value.modRevision)
            : Option.none()
        }
        const { failure } = sent
        if (failure._tag === "ResultsNotKept" && failure.succeeded) return after(failure.revision)
        if (outcomeOf(failure) !== "unknown" || attempt >= maxRepeats) return yield* failure
      }
    })
  }
}
