/**
 * Writing and reading the small binary records of this folder: fixed-width big-endian numbers and byte strings behind
 * their length. Reading never throws: past the end it answers with zeros and empty bytes and remembers it in `failed`.
 */

const two32 = 2 ** 32

/** Fills a buffer of a size known beforehand. */
export class Writer {
  readonly bytes: Uint8Array
  private readonly view: DataView
  private offset = 0

  constructor(size: number) {
    this.bytes = new Uint8Array(size)
    this.view = new DataView(this.bytes.buffer)
  }

  u8(value: number): this {
    this.view.setUint8(this.offset, value)
    this.offset += 1
    return this
  }

  u16(value: number): this {
    this.view.setUint16(this.offset, value)
    this.offset += 2
    return this
  }

  u32(value: number): this {
    this.view.setUint32(this.offset, value)
    this.offset += 4
    return this
  }

  /** A safe integer ≥ 0. */
  u64(value: number): this {
    return this.u32(Math.floor(value / two32)).u32(value % two32)
  }

  raw(bytes: Uint8Array): this {
    this.bytes.set(bytes, this.offset)
    this.offset += bytes.byteLength
    return this
  }
}

export class Reader {
  /** Something was missing or no safe integer: what was read must not be used. */
  failed = false
  private offset = 0
  private readonly bytes: Uint8Array
  private readonly view: DataView

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  u8(): number {
    return this.advance(1) ? this.view.getUint8(this.offset - 1) : 0
  }

  u16(): number {
    return this.advance(2) ? this.view.getUint16(this.offset - 2) : 0
  }

  u32(): number {
    return this.advance(4) ? this.view.getUint32(this.offset - 4) : 0
  }

  u64(): number {
    const value = this.u32() * two32 + this.u32()
    if (!Number.isSafeInteger(value)) this.failed = true
    return this.failed ? 0 : value
  }

  /** A view of the next `length` bytes. */
  raw(length: number): Uint8Array {
    return this.advance(length) ? this.bytes.subarray(this.offset - length, this.offset) : empty
  }

  /** A view of everything left. */
  rest(): Uint8Array {
    return this.raw(this.bytes.byteLength - this.offset)
  }

  /** Whether everything was read and nothing was missing. */
  get complete(): boolean {
    return !this.failed && this.offset === this.bytes.byteLength
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

const empty = new Uint8Array(0)
