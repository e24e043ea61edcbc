/**
 * Scans the keys of one kind for its filter (`KeyFilters.ts`), in the background: a page at a time, each with its own
 * snapshot, and a pause after it. What was committed before the scan is flushed, so that the store alone has it all. A
 * million keys took 31 s, and a fifth of a thread meanwhile.
 */
import type { Scope } from "effect"
import { Effect, Queue } from "effect"
import type { FirstFailure } from "../FirstFailure.ts"
import type { StorageError } from "../StorageError.ts"
import type { Family } from "./Operation.ts"
import type { RangeOptions, Row } from "./Reader.ts"
import type { KeyFilters } from "./KeyFilters.ts"
import { textOf } from "./RowText.ts"

/** Keys that are read at once, and the pause behind them. */
const pageKeys = 1_000
const pause = "25 millis"

/** Kinds that wait for their scan; one that finds no room has no filter. */
const maxWaiting = 16

export interface Scanned {
  readonly family: Family
  readonly firstByte: number
}

/** The rows of a family in the store. */
export interface StoredRows {
  /** Has everything written to the store that was committed before. */
  readonly flushed: Effect.Effect<void, StorageError>
  readonly scan: (range: RangeOptions, take: (row: Row) => boolean) => Effect.Effect<void, StorageError>
}

export type Scans = Queue.Queue<Scanned>

export const makeQueue: Effect.Effect<Scans> = Queue.dropping<Scanned>(maxWaiting)

/** Carries scans out, one after the other, until the scope closes; a failure is one of the database. */
export const run = (
  scans: Scans,
  filtersOf: (family: Family) => KeyFilters,
  stored: (family: Family) => StoredRows,
  failure: FirstFailure
): Effect.Effect<void, never, Scope.Scope> =>
  Queue.take(scans).pipe(
    Effect.flatMap(({ family, firstByte }) => scan(filtersOf(family), stored(family), firstByte)),
    Effect.forever,
    (scanning) => failure.inBackground("scan", scanning)
  )

/** Fills the filter of one kind. */
export const scan = Effect.fnUntraced(function*(
  filters: KeyFilters,
  stored: StoredRows,
  firstByte: number
) {
  const kind = filters.begin(firstByte)
  yield* stored.flushed
  const lt = Uint8Array.of(firstByte + 1)
  let gte = Uint8Array.of(firstByte)
  for (;;) {
    let keys = 0
    let last = gte
    let useful = true
    yield* stored.scan({ gte, lt, limit: pageKeys, keysOnly: true }, ({ key }) => {
      keys += 1
      last = key as Uint8Array<ArrayBuffer>
      useful = filters.add(kind, textOf(key))
      return useful
    })
    if (!useful) return
    if (keys < pageKeys) break
    gte = Buffer.concat([last, Uint8Array.of(0)])
    yield* Effect.sleep(pause)
  }
  kind.complete = true
})
