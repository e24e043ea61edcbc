/**
 * What one node's data directory holds: the families of its database with the write-ahead log before them, and the
 * floor beside them. It outlives the processes that use it.
 *
 * A batch is seen by reads once it was applied, and survives a crash once a sync covered it. A crash keeps some of the
 * unsynced batches, from the first on: a record of the write-ahead log that is torn counts as lost, with everything
 * behind it, because its checksum is wrong (`test/storage/durability.test.ts`). Only a *lazy* batch may be missing in
 * between, because RocksDB can have put it into another file than those after it. What a process left unsynced is still
 * so for the next one.
 */
import type { Family, Operation } from "../../../src/storage/rocksdb/Operation.ts"
import type { RangeOptions } from "../../../src/storage/rocksdb/Reader.ts"
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

/** The row that says how far a state was applied; see `StateFamilies.ts`. */
const appliedName = "\0\u0001"

export interface SimBatch {
  readonly family: Family
  readonly operations: ReadonlyArray<Operation>
  readonly lazy: boolean
  /** Whether the next batch belongs to the same write. */
  readonly goesOn?: boolean
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

/** How far the log of an image was compacted. */
export const compactedIn = (image: Image): number => {
  const row = find(image.raft_state, stateKeys.compacted)
  return row === undefined ? 0 : (JSON.parse(Buffer.from(row.value).toString("utf8", 4)) as { index: number }).index
}

/** The last entry in the log of an image. */
export const lastIndexIn = (image: Image): number => {
  const row = image.raft_log[image.raft_log.length - 1]
  return row === undefined ? compactedIn(image) : Buffer.from(row.key).readUInt32BE(4)
}

/** Syncs that damage to the write-ahead log can take back. */
const maxEarlier = 12

/** What a crash did to a disk. */
export interface CrashLoss {
  readonly lost: number
  readonly kept: number
  /** Whether a lazy batch was lost and one after it kept. */
  readonly hole: boolean
  /** Whether of one write the first batches were kept and the others lost. */
  readonly torn: boolean
}

export class SimDisk {
  /** What reads see. */
  image: Image = emptyImage
  /** What a crash leaves for certain. */
  durable: Image = emptyImage
  /** What was durable before, since the write-ahead log began. */
  earlier: Array<Image> = []
  /** Applied, and covered by no sync yet. */
  unsynced: Array<SimBatch> = []
  floor: Uint8Array | undefined
  /** The floor as it is after a loss of power, unless the directory had it by chance. */
  private durableFloor: Uint8Array | undefined
  /** Rows whose bytes cannot be read: `family/name`. */
  readonly damaged = new Set<string>()

  /** What is durable now, as a directory of its own. */
  copy(): SimDisk {
    const copy = new SimDisk()
    copy.image = this.durable
    copy.durable = this.durable
    copy.floor = this.durableFloor
    copy.durableFloor = this.durableFloor
    return copy
  }

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

  /** A sync that began when `batches` batches were unsynced has ended. */
  synced(image: Image, batches: number): void {
    this.earlier.push(this.durable)
    // The first one is what a start recovered, which damage to its write-ahead log leaves in any case.
    if (this.earlier.length > maxEarlier) this.earlier.splice(1, 1)
    this.durable = image
    this.unsynced.splice(0, batches)
  }

  /** The write-ahead log was made into tables: nothing of it is needed any more. */
  flushed(image: Image, batches: number): void {
    this.synced(image, batches)
    this.earlier = []
  }

  /** A new floor has its name; it is durable once the directory is. */
  renameFloor(bytes: Uint8Array): void {
    this.floor = bytes
  }

  syncFloor(): void {
    this.durableFloor = this.floor
  }

  crash(random: Random): CrashLoss {
    const { unsynced } = this
    const tear = unsynced.findIndex(({ goesOn }) => goesOn === true)
    // A crash in the middle of a write is rare, and worth having.
    const through = tear >= 0 && random.chance(0.5) ? tear + 1 : random.below(unsynced.length + 1)
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
    this.earlier = []
    this.image = image
    this.durable = image
    if (this.floor !== this.durableFloor && random.chance(0.5)) this.floor = this.durableFloor
    this.durableFloor = this.floor
    const torn = through < unsynced.length && through > 0 && unsynced[through - 1]?.goesOn === true
    return { lost: unsynced.length - kept, kept, hole, torn }
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
