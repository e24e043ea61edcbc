/**
 * The numbers of the batches in which a state is written. RocksDB recovers what its write-ahead logs hold. It says
 * nothing where an older one of them is gone or lacks its end: the batches in it are missing, later ones are there, and
 * so is the applied point that counts all of them. So each batch puts a row with its number; a start looks for gaps.
 *
 * A row stays until its batch is in a table, where no such loss can reach it. What is written last names the first
 * number that has to be there.
 */
import { Effect, Schema } from "effect"
import { CodecError } from "../../bytes/CodecError.ts"
import { readSafeU64, writeU64 } from "../../bytes/U64.ts"
import { encodeRecord, recordDecoder } from "../Codec.ts"
import type { StorageError } from "../StorageError.ts"
import { StorageCorruption } from "../StorageError.ts"
import type { Family, Operation } from "./Operation.ts"
import type { Reader, Row } from "./Reader.ts"

/** After the reserved byte of the store's own keys, and before those of a state machine. */
const prefix = [0x00, 0x02] as const
const rows = { gte: Uint8Array.from(prefix), lt: Uint8Array.of(0x00, 0x03) }

const keyOf = (number: number): Uint8Array => {
  const key = Uint8Array.of(...prefix, 0, 0, 0, 0, 0, 0, 0, 0)
  writeU64(key, number, prefix.length)
  return key
}

const decode = recordDecoder("batch", Schema.Struct({ first: Schema.Natural }))

/** Batches that may be in no table before the family is written into one. */
export const maxBatchesOutside = 256

export class BatchNumbers {
  private last: number
  /** The first number that has a row. */
  private first: number
  /** Through which one batches are in tables. */
  private inTables: number

  /** Behind the numbers `first` to `last`; `1` and `0` where there are none. */
  constructor(first: number, last: number) {
    this.first = first
    this.last = last
    this.inTables = first - 1
  }

  /** What the next batch has to contain. It has to be written before the one after it is asked for. */
  next(): ReadonlyArray<Operation> {
    const operations: Array<Operation> = []
    for (; this.first <= this.inTables; this.first++) operations.push({ _tag: "Delete", key: keyOf(this.first) })
    this.last += 1
    operations.push({ _tag: "Put", key: keyOf(this.last), value: encodeRecord({ first: this.first }) })
    return operations
  }

  /** Whether so many batches are in no table that the family should be written into one. */
  get isDue(): boolean {
    return this.last - this.inTables > maxBatchesOutside
  }

  /** What has to be told to `wereFlushed` once the family was written into a table, if that begins now. */
  get written(): number {
    // The newest may not have been written yet.
    return this.last - 1
  }

  /** Batches up to this one are in tables. */
  wereFlushed(through: number): void {
    this.inTables = Math.max(this.inTables, through)
  }
}

/** The number in a key of these rows, or -1. */
const numberOf = ({ key }: Row): number => key.byteLength === keyOf(0).byteLength ? readSafeU64(key, prefix.length) : -1

/** The numbers of a family, for the batches to come. Fails where one is missing. */
export const recoverBatches = Effect.fnUntraced(function*(
  reader: Reader,
  family: Family,
  path: string
): Effect.fn.Return<BatchNumbers, StorageError> {
  const corrupt = (detail: string) => new StorageCorruption({ path, detail: `${family}: ${detail}`, safe: "the log" })
  const numbers = new Set<number>()
  let newest: Row | undefined
  yield* reader.scan(family, rows, (row) => {
    numbers.add(numberOf(row))
    newest = row
    return true
  })
  if (newest === undefined) return new BatchNumbers(1, 0)
  const record = decode(newest.value)
  if (record instanceof CodecError) return yield* corrupt(record.message)
  const last = numberOf(newest)
  for (let number = record.first; number <= last; number++) {
    if (numbers.has(number)) continue
    return yield* corrupt(
      `batch ${number} of ${record.first} to ${last} is missing: a write-ahead log of RocksDB was removed or cut`
    )
  }
  return new BatchNumbers(record.first, last)
})
