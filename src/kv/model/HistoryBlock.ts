/**
 * The history of several revisions in one row, because a row costs more than the few bytes of a small change. The key
 * says which revision is the first.
 *
 * ```
 * Block     history bytes before it u64 · revisions, without gaps
 *   revision  length u32 · log time u64 · changes (History.ts)
 * ```
 *
 * A revision goes into the last block while that has room, and begins the next one otherwise. Only the revisions decide
 * that, never how commands were grouped, so every node has the same rows. The last block is written again with
 * each commit; bytes that were written once never change, so a row that was given away stays as it was.
 *
 * Compaction deletes the blocks that end before the one with the compacted revision. What that one still has of
 * compacted revisions is not read any more.
 */
import { Reader, Writer } from "../../bytes/Binary.ts"
import type { Revision } from "./History.ts"
import { changesBytes, readChanges, writeChanges } from "./History.ts"
import { firstRevisionOf, historyKey, historyRange } from "./Keyspace.ts"
import type { Loading, StoredRow } from "./Loading.ts"
import { CorruptRow } from "./Loading.ts"

/** Most revisions of a block. Part of the format, like {@link maxBlockBytes}. */
export const maxBlockRevisions = 64

/** Most bytes of a block that has more than one revision. */
export const maxBlockBytes = 16 * 1024

/** Bytes of a block before its revisions. */
const headBytes = 8

/** Bytes of a revision before its changes. */
const revisionHeadBytes = 12

/** The least length of a revision: the log time, and the number of changes. */
const minLength = 12

/** What a new block has room for before it grows. */
const initialBytes = 1024

/** Where in a block a revision is. */
interface Place {
  readonly begin: number
  readonly end: number
  readonly logTimeMs: number
}

/** What a block says of a revision beside its changes. */
export interface RevisionHead {
  readonly logTimeMs: number
  /** Bytes of history up to and including this revision, since the beginning. */
  readonly historyBytes: number
}

/** Bytes that a revision takes in a block, which is what the size of the history counts. */
export const revisionBytes = ({ changes }: Revision): number => revisionHeadBytes + changesBytes(changes)

export class HistoryBlock {
  readonly first: number
  /** Bytes of history before this block, since the beginning. */
  readonly bytesBefore: number
  private writer: Writer | undefined
  private readonly stored: Uint8Array
  private readonly places: Array<Place>

  private constructor(first: number, bytesBefore: number, stored: Uint8Array, places: Array<Place>) {
    this.first = first
    this.bytesBefore = bytesBefore
    this.stored = stored
    this.places = places
  }

  /** A block that the revision `first` begins, of `bytes`. */
  static readonly begin = (first: number, bytesBefore: number, bytes: number): HistoryBlock => {
    const block = new HistoryBlock(first, bytesBefore, new Uint8Array(0), [])
    block.writer = new Writer(Math.max(initialBytes, headBytes + bytes)).u64(bytesBefore)
    return block
  }

  /** The block in a row's value, of which it keeps views; `undefined` when the bytes are none. */
  static readonly decode = (first: number, bytes: Uint8Array): HistoryBlock | undefined => {
    const reader = new Reader(bytes)
    const bytesBefore = reader.u64()
    const places: Array<Place> = []
    for (let begin = headBytes; !reader.failed && !reader.atEnd;) {
      const length = reader.u32()
      const logTimeMs = reader.u64()
      // A count without a bound would make far more objects than there are bytes.
      if (length < minLength || places.length === maxBlockRevisions) return undefined
      reader.raw(length - 8)
      const end = begin + 4 + length
      places.push({ begin, end, logTimeMs })
      begin = end
    }
    return reader.failed || places.length === 0 ? undefined : new HistoryBlock(first, bytesBefore, bytes, places)
  }

  get last(): number {
    return this.first + this.places.length - 1
  }

  get byteLength(): number {
    return this.places[this.places.length - 1]?.end ?? headBytes
  }

  private get bytes(): Uint8Array {
    return this.writer?.bytes ?? this.stored
  }

  /** The row as it is now. */
  get row(): StoredRow {
    return { key: historyKey(this.first), value: this.bytes }
  }

  /** Bytes of history up to its end, since the beginning. */
  get bytesThrough(): number {
    return this.bytesBefore + this.byteLength - headBytes
  }

  /** Whether it has more in it than {@link hasRoom} would have let in. */
  get isOverfull(): boolean {
    return this.places.length > 1 && this.byteLength > maxBlockBytes
  }

  has(revision: number): boolean {
    return revision >= this.first && revision <= this.last
  }

  /** Whether one more revision, of `bytes`, goes into this block. */
  hasRoom(bytes: number): boolean {
    return this.places.length < maxBlockRevisions && this.byteLength + bytes <= maxBlockBytes
  }

  /** Adds the next revision, of `bytes`. */
  append({ changes, logTimeMs, revision }: Revision, bytes: number): void {
    if (revision !== this.last + 1) throw new Error(`revision ${revision} came behind revision ${this.last}`)
    const begin = this.byteLength
    // What was read from the store is not this block's to write into.
    this.writer ??= new Writer(begin + bytes).raw(this.stored)
    writeChanges(this.writer.u32(bytes - 4).u64(logTimeMs), changes)
    this.places.push({ begin, end: begin + bytes, logTimeMs })
  }

  /** Bytes that one of its revisions takes. */
  bytesOf(revision: number): number {
    const { begin, end } = this.placeOf(revision)
    return end - begin
  }

  /** What it says of one of its revisions beside the changes. */
  head(revision: number): RevisionHead {
    const { end, logTimeMs } = this.placeOf(revision)
    return { logTimeMs, historyBytes: this.bytesBefore + end - headBytes }
  }

  /** One of its revisions, whose keys and values are views of the row; `undefined` when that is malformed. */
  revision(revision: number): Revision | undefined {
    const { begin, end, logTimeMs } = this.placeOf(revision)
    const reader = new Reader(this.bytes.subarray(begin + revisionHeadBytes, end))
    const changes = readChanges(reader)
    return changes === undefined || !reader.complete ? undefined : { revision, logTimeMs, changes }
  }

  private placeOf(revision: number): Place {
    const place = this.places[revision - this.first]
    if (place === undefined) throw new Error(`revision ${revision} is not in the block ${this.first}..${this.last}`)
    return place
  }
}

/** The block of history that has a revision of the store. */
export function* loadBlock(revision: number): Loading<HistoryBlock> {
  const range = historyRange(Math.max(0, revision - maxBlockRevisions + 1), revision)
  const [row] = yield { _tag: "LoadRange", range, limit: 1, maxBytes: 1, reverse: true }
  const block = row === undefined ? undefined : HistoryBlock.decode(firstRevisionOf(row.key), row.value)
  if (block?.has(revision) !== true) {
    throw new CorruptRow(`the history of revision ${revision} is missing or cut short`)
  }
  return block
}
