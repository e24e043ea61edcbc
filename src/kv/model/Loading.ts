/**
 * How this folder reads what it cannot know beforehand and stays pure: a computation yields what it needs from the
 * store and is resumed with the rows. The runner decides how rows are read.
 */
import type { StoredRange } from "./Keyspace.ts"

export interface StoredRow {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** The rows of some keys; those that do not exist are left out. */
export interface LoadKeys {
  readonly _tag: "LoadKeys"
  readonly keys: ReadonlyArray<Uint8Array>
}

/** The first rows of a range, or the last ones. */
export interface LoadRange {
  readonly _tag: "LoadRange"
  readonly range: StoredRange
  readonly limit: number
  /** Ends with the row that takes their keys and values to this many bytes. */
  readonly maxBytes: number
  readonly reverse: boolean
}

export type Load = LoadKeys | LoadRange

/** A computation of an `A` that reads. */
export type Loading<A> = Generator<Load, A, ReadonlyArray<StoredRow>>

/** A row of the store is not what it must be: the store was damaged, or written by something else. */
export class CorruptRow extends Error {
  override readonly name = "CorruptRow"
}
