/** One segment as memory knows it: which entries it holds, and where each of them lies. */
import type { LogPoint } from "../../raft/Types.ts"
import { LogIndex, minIndex } from "../../raft/Types.ts"
import type { FileIdentity } from "../FileIdentity.ts"
import { headerBytes } from "./SegmentFormat.ts"

/** Offsets that a new segment has room for. */
const firstOffsets = 256

export class Segment {
  readonly sequence: number
  /** The entry that the first one follows. */
  readonly base: LogPoint
  /** The file that holds it: another one of its name may hold anything. */
  readonly identity: FileIdentity
  /** Where each entry begins, with its length: four bytes of memory for each. */
  private offsets = new Uint32Array(firstOffsets)
  private added = 0
  /** Where the next entry goes. */
  private nextOffset = headerBytes
  /** What is behind it does not count. */
  private limit = LogIndex(Number.MAX_SAFE_INTEGER)

  constructor(sequence: number, base: LogPoint, identity: FileIdentity) {
    this.sequence = sequence
    this.base = base
    this.identity = identity
  }

  /** The last entry that counts; the base when none does. */
  get last(): LogIndex {
    return minIndex(LogIndex(this.base.index + this.added), this.limit)
  }

  /** Bytes of the header and all entries. */
  get size(): number {
    return this.nextOffset
  }

  /** The next entry takes `bytes`, its length included. */
  add(bytes: number): void {
    if (this.added === this.offsets.length) {
      const grown = new Uint32Array(this.added * 2)
      grown.set(this.offsets)
      this.offsets = grown
    }
    this.offsets[this.added] = this.nextOffset
    this.added += 1
    this.nextOffset += bytes
  }

  /** What is behind `index` counts no more. */
  cutBehind(index: LogIndex): void {
    this.limit = minIndex(this.limit, index)
  }

  /** Gives back the memory that only further entries would need. */
  seal(): void {
    this.offsets = this.offsets.slice(0, this.added)
  }

  /** Where an entry begins, with its length. */
  offsetOf(index: LogIndex): number {
    return this.offsets[index - this.base.index - 1] as number
  }

  /** Where an entry ends. */
  endOf(index: LogIndex): number {
    const next = index - this.base.index
    return next < this.added ? this.offsets[next] as number : this.nextOffset
  }
}
