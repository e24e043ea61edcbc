/**
 * What one node's data directory holds: the families of its database with the write-ahead log before them, and the floor
 * beside them. It outlives the processes that use it.
 *
 * A batch is seen by reads once it was applied, and survives a crash once a sync covered it. A crash keeps some of the
 * unsynced batches, from the first on; only a *lazy* one may be missing in between, because RocksDB can have put it into
 * another file than those after it.
 */
import type { Family, Operation, RangeOptions } from "../../../src/storage/RocksDb.ts"
import { stateKeys } from "../../../src/storage/Codec.ts"
import { crc32 } from "node:zlib"
import type { Random } from "../Random.ts"

/** One row. `name` is its key as text of one character per byte, which compares in the same order and faster. */
export interface StoredRow {
  readonly name: string
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** All rows of all families, in the order of their keys. Replaced, never changed, so that views can keep one. */
export type Image = Readonly<Record<Family, ReadonlyArray<StoredRow>>> & {
  /** A sum over the rows of a state, the store's own left out: equal for equal states, however they came about. */
  readonly digests: Readonly<Record<StateFamily, number>>
}

type StateFamily = "state_a" | "state_b"

const isState = (family: Family): family is StateFamily => family === "state_a" || family === "state_b"

/** The row that says how far a state was applied; see `RocksStateStore.ts`. */
const appliedName = "\0\u0001"

export interface SimBatch {
  readonly family: Family
  readonly operations: ReadonlyArray<Operation>
  readonly lazy: boolean
}

const emptyImage: Image = {
  raft_log: [],
  raft_state: [],
  state_a: [],
  state_b: [],
  digests: { state_a: 0, state_b: 0 }
}

const digestOf = ({ key, name, value }: StoredRow): number => name.startsWith("\0") ? 0 : crc32(value, crc32(key))

export const nameOf = (key: Uint8Array | string): string =>
  typeof key === "string" ? key : Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString("latin1")

/** Where a key is, or where it would be. */
export const position = (rows: ReadonlyArray<StoredRow>, name: string): number => {
  let low = 0
  let high = rows.length
  // The log and the history mostly grow at their ends.
  if (high > 0 && (rows[high - 1] as StoredRow).name < name) return high
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((rows[middle] as StoredRow).name < name) low = middle + 1
    else high = middle
  }
  return low
}

export const find = (rows: ReadonlyArray<StoredRow>, name: string): StoredRow | undefined => {
  const row = rows[position(rows, name)]
  return row?.name === name ? row : undefined
}

const applied = (
  before: ReadonlyArray<StoredRow>,
  operations: ReadonlyArray<Operation>,
  changes: (row: StoredRow) => void
): ReadonlyArray<StoredRow> => {
  const rows = before.slice()
  for (const operation of operations) {
    if (operation._tag === "DeleteRange") {
      const start = position(rows, nameOf(operation.start))
      for (const row of rows.splice(start, position(rows, nameOf(operation.end)) - start)) changes(row)
      continue
    }
    const name = nameOf(operation.key)
    const at = position(rows, name)
    const existing = rows[at]?.name === name ? rows[at] : undefined
    if (existing !== undefined) changes(existing)
    if (operation._tag === "Delete") {
      if (existing !== undefined) rows.splice(at, 1)
      continue
    }
    const key = typeof operation.key === "string" ? Buffer.from(operation.key) : operation.key
    const row: StoredRow = { name, key, value: operation.value }
    changes(row)
    if (existing !== undefined) rows[at] = row
    else if (at === rows.length) rows.push(row)
    else rows.splice(at, 0, row)
  }
  return rows
}

const ignore = (): void => {}

/** An image with a batch on top. */
export const withBatch = (image: Image, { family, operations }: SimBatch): Image => {
  if (!isState(family)) return { ...image, [family]: applied(image[family], operations, ignore) }
  let digest = image.digests[family]
  const rows = applied(image[family], operations, (row) => {
    digest ^= digestOf(row)
  })
  return { ...image, [family]: rows, digests: { ...image.digests, [family]: digest } }
}

/** What a crash did to a disk. */
export interface CrashLoss {
  readonly lost: number
  readonly kept: number
  /** Whether a lazy batch was lost and one after it kept. */
  readonly hole: boolean
}

export class SimDisk {
  /** What reads see. */
  image: Image = emptyImage
  /** What a crash leaves for certain. */
  durable: Image = emptyImage
  /** Applied, and covered by no sync yet. */
  unsynced: Array<SimBatch> = []
  floor: Uint8Array | undefined
  /** Rows whose bytes cannot be read: `family/name`. */
  readonly damaged = new Set<string>()

  /** Answers with the state that is complete by this batch, when one is. */
  apply(batch: SimBatch): { readonly index: number; readonly digest: number } | undefined {
    this.image = withBatch(this.image, batch)
    this.unsynced.push(batch)
    if (!isState(batch.family)) return undefined
    const mark = batch.operations[batch.operations.length - 1]
    if (mark?._tag !== "Put" || nameOf(mark.key) !== appliedName) return undefined
    const { index } = JSON.parse(Buffer.from(mark.value).toString("utf8", 4)) as { readonly index: number }
    return { index, digest: this.image.digests[batch.family] }
  }

  /** A sync that began when `covered` batches were unsynced has ended. */
  synced(image: Image, covered: number): void {
    this.durable = image
    this.unsynced.splice(0, covered)
  }

  crash(random: Random): CrashLoss {
    const { unsynced } = this
    const through = random.below(unsynced.length + 1)
    let kept = 0
    let hole = false
    let image = this.durable
    for (let at = 0; at < through; at++) {
      const batch = unsynced[at] as SimBatch
      if (batch.lazy && at + 1 < through && random.chance(0.2)) {
        hole = true
        continue
      }
      image = withBatch(image, batch)
      kept += 1
    }
    this.unsynced = []
    this.image = image
    this.durable = image
    return { lost: unsynced.length - kept, kept, hole }
  }

  /** The state family that is in use. */
  get active(): StateFamily {
    const row = find(this.image.raft_state, stateKeys.activeFamily)
    return row !== undefined && Buffer.from(row.value).includes("state_b") ? "state_b" : "state_a"
  }

  /** Rows of the state that is in use. */
  activeRows(): ReadonlyArray<StoredRow> {
    return this.image[this.active]
  }

  /** The last entry in the state that is in use. */
  get applied(): number {
    const row = find(this.activeRows(), appliedName)
    return row === undefined ? 0 : (JSON.parse(Buffer.from(row.value).toString("utf8", 4)) as { index: number }).index
  }

  /** Rows of a range, as the options ask for them. */
  static rows(rows: ReadonlyArray<StoredRow>, { gte, limit, lt, reverse }: RangeOptions): ReadonlyArray<StoredRow> {
    const from = position(rows, nameOf(gte))
    const to = position(rows, nameOf(lt))
    const most = limit ?? Number.MAX_SAFE_INTEGER
    if (reverse !== true) return rows.slice(from, Math.min(to, from + most))
    return rows.slice(Math.max(from, to - most), to).toReversed()
  }

  /** Nothing was ever made durable here: the first start has not got as far as the marker. */
  get isNew(): boolean {
    return this.image.raft_state.length === 0
  }
}
