/**
 * The rows of a state store while a batch of commands is carried out: later commands see what earlier ones changed, and
 * nothing is written before the whole batch is.
 */
import { byteText } from "../bytes/Bytes.ts"
import { Effect } from "effect"
import { successor } from "../bytes/KeyRange.ts"
import type { StateChange, StateRow, StateView } from "../storage/StateStore.ts"
import type { StorageError } from "../storage/StorageError.ts"

/** The first bytes that belong to the store (`00`) and to `RowMachine.ts` (`01`). */
export const firstFreeByte = 0x02

/** Part of the rows, in byte order. Neither end may be empty. */
export interface RowRange {
  /** First key, included. */
  readonly gte: Uint8Array
  /** End, not included. */
  readonly lt: Uint8Array
}

interface KnownRow {
  readonly key: Uint8Array
  value: Uint8Array | undefined
  changed: boolean
}

/** The rows that a command reads and changes. What it changed is written in one batch behind it. */
export class Rows {
  private readonly view: StateView
  private readonly known = new Map<string, KnownRow>()
  /** The changed rows, by key. */
  private readonly changed: Array<KnownRow> = []
  /** By the beginning of a range: how far every stored row behind it was changed, so that a scan skips those. */
  private readonly skipped = new Map<string, Uint8Array>()

  constructor(view: StateView) {
    this.view = view
  }

  /** Reads what `keys` hold in one trip, so that `get` finds them at once. */
  prefetch(keys: ReadonlyArray<Uint8Array>): Effect.Effect<void, StorageError> {
    const missing = keys.filter((key) => !this.known.has(byteText(key)))
    if (missing.length === 0) return Effect.void
    return Effect.map(this.view.getMany(missing), (values) => {
      for (let i = 0; i < missing.length; i++) this.remember(missing[i] as Uint8Array, values[i])
    })
  }

  /** What a key holds now. The bytes must not be changed. */
  get(key: Uint8Array): Effect.Effect<Uint8Array | undefined, StorageError> {
    const row = this.known.get(byteText(key))
    if (row !== undefined) return Effect.succeed(row.value)
    return Effect.map(this.view.getMany([key]), ([value]) => {
      this.remember(key, value)
      return value
    })
  }

  /** The first rows of a range as they are now, at most `limit`. */
  readonly scan: (range: RowRange, limit: number) => Effect.Effect<ReadonlyArray<StateRow>, StorageError> = Effect
    .fnUntraced({ self: this }, function*(this: Rows, { gte, lt }: RowRange, limit: number) {
      const start = byteText(gte)
      const found: Array<StateRow> = []
      let from = this.skipped.get(start) ?? gte
      while (Buffer.compare(from, lt) < 0 && found.length < limit) {
        const wanted = limit - found.length
        const stored = yield* this.view.scan({ gte: from, lt, limit: wanted })
        for (const row of stored) {
          from = successor(row.key)
          if (this.known.get(byteText(row.key))?.changed !== true) found.push(row)
          else if (found.length === 0) this.skipped.set(start, from)
        }
        if (stored.length < wanted) break
      }
      for (let i = this.position(gte); i < this.changed.length; i++) {
        const { key, value } = this.changed[i] as KnownRow
        if (Buffer.compare(key, lt) >= 0) break
        if (value !== undefined) found.push({ key, value })
      }
      return found.sort((a, b) => Buffer.compare(a.key, b.key)).slice(0, limit)
    })

  /** Sets a row. The bytes must not be changed afterwards. */
  put(key: Uint8Array, value: Uint8Array): void {
    this.change(key, value)
  }

  delete(key: Uint8Array): void {
    this.change(key, undefined)
  }

  /** What is to be written: each key once, in byte order. */
  changes(): ReadonlyArray<StateChange> {
    return this.changed.map(({ key, value }): StateChange =>
      value === undefined ? { _tag: "Delete", key } : { _tag: "Put", key, value }
    )
  }

  private remember(key: Uint8Array, value: Uint8Array | undefined): KnownRow {
    const row: KnownRow = { key, value, changed: false }
    this.known.set(byteText(key), row)
    return row
  }

  private change(key: Uint8Array, value: Uint8Array | undefined): void {
    if ((key[0] ?? 0) < firstFreeByte) {
      throw new RangeError(`the key ${JSON.stringify(byteText(key))} begins with a reserved byte, or is empty`)
    }
    const row = this.known.get(byteText(key)) ?? this.remember(key, undefined)
    row.value = value
    if (row.changed) return
    row.changed = true
    this.changed.splice(this.position(key), 0, row)
  }

  /** Where a key is among the changed rows, or would be. */
  private position(key: Uint8Array): number {
    let low = 0
    let high = this.changed.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (Buffer.compare((this.changed[middle] as KnownRow).key, key) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
}
