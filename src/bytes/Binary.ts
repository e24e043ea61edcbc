/**
 * Writing and reading the small binary records of this folder: fixed-width big-endian numbers and byte strings behind
 * their length. Reading never throws: past the end it answers with zeros and empty bytes and remembers it in `failed`.
 */
import { allocate } from "./Slab.ts"
import { fromHalves, readU32, writeU32, writeU64 } from "./U64.ts"

/** Fills a buffer, which grows when the size given at the start was too small. */
export class Writer {
  private buffer: Uint8Array
  private offset = 0

  constructor(size: number) {
    this.buffer = allocate(size)
  }

  /** What was written. */
  get bytes(): Uint8Array {
    return this.offset === this.buffer.byteLength ? this.buffer : this.buffer.subarray(0, this.offset)
  }

  u8(value: number): this {
    const at = this.advance(1)
    this.buffer[at] = value
    return this
  }

  u16(value: number): this {
    const at = this.advance(2)
    this.buffer[at] = value >>> 8
    this.buffer[at + 1] = value
    return this
  }

  u32(value: number): this {
    const at = this.advance(4)
    writeU32(this.buffer, value, at)
    return this
  }

  /** A safe integer ≥ 0. */
  u64(value: number): this {
    const at = this.advance(8)
    writeU64(this.buffer, value, at)
    return this
  }

  raw(bytes: Uint8Array): this {
    const at = this.advance(bytes.byteLength)
    this.buffer.set(bytes, at)
    return this
  }

  /** A byte string of at most 64 KiB behind its length. */
  short(bytes: Uint8Array): this {
    return this.u16(bytes.byteLength).raw(bytes)
  }

  /** A byte string behind its length. */
  long(bytes: Uint8Array): this {
    return this.u32(bytes.byteLength).raw(bytes)
  }

  private advance(length: number): number {
    const at = this.offset
    this.offset = at + length
    if (this.offset > this.buffer.byteLength) {
      const larger = allocate(Math.max(this.offset, this.buffer.byteLength * 2))
      larger.set(this.buffer)
      this.buffer = larger
    }
    return at
  }
}

/** Reads what a `Writer` wrote. It never throws: `failed` says afterwards that what was read must not be used. */
export class Reader {
  /** Something was missing or no safe integer: what was read must not be used. */
  failed = false
  private offset = 0
  private readonly bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  u8(): number {
    return this.advance(1) ? this.bytes[this.offset - 1] as number : 0
  }

  u16(): number {
    if (!this.advance(2)) return 0
    return (this.bytes[this.offset - 2] as number) << 8 | (this.bytes[this.offset - 1] as number)
  }

  u32(): number {
    return this.advance(4) ? readU32(this.bytes, this.offset - 4) : 0
  }

  u64(): number {
    const value = fromHalves(this.u32(), this.u32())
    if (!Number.isSafeInteger(value)) this.failed = true
    return this.failed ? 0 : value
  }

  /** A view of the next `length` bytes. */
  raw(length: number): Uint8Array {
    return this.advance(length) ? this.bytes.subarray(this.offset - length, this.offset) : noBytes
  }

  /** What {@link Writer.short} wrote; a view. */
  short(): Uint8Array {
    return this.raw(this.u16())
  }

  /** What {@link Writer.long} wrote; a view. */
  long(): Uint8Array {
    return this.raw(this.u32())
  }

  /** A view of everything left. */
  rest(): Uint8Array {
    return this.raw(this.bytes.byteLength - this.offset)
  }

  /** Whether everything was read. */
  get atEnd(): boolean {
    return this.offset === this.bytes.byteLength
  }

  /** Whether everything was read and nothing was missing. */
  get complete(): boolean {
    return !this.failed && this.atEnd
  }

  private advance(length: number): boolean {
    if (this.failed || this.offset + length > this.bytes.byteLength) {
      this.failed = true
      return false
    }
    this.offset += length
    return true
  }
}

/** No bytes. */
export const noBytes = new Uint8Array(0)
