/**
 * Encodings that differ in one field of bytes only, written and read without the interpreter of schemas. Nearly all
 * traffic is such: a batch in, a batch out, and constant bytes around it.
 *
 * A template learns the constant parts from the codec and is compared with it before it is used, so it repeats nothing
 * of the format but the lengths before a frame and before bytes.
 */
import { uvarintBytes, UvarintReader, writeUvarint } from "./Uvarint.ts"

/** Values of one codec that differ in one field of bytes only. */
export interface BytesShape<A> {
  /** The value with these bytes. */
  readonly of: (bytes: Uint8Array) => A
  /** The bytes of a value; `undefined` when it has another shape. */
  readonly bytesOf: (value: A) => Uint8Array | undefined
}

/** A shape of values of whatever codec it is used with. */
export interface AnyBytesShape {
  readonly of: (bytes: Uint8Array) => unknown
  readonly bytesOf: (value: never) => Uint8Array | undefined
}

/** Found in an encoding by this, which nothing else in it can be. */
const mark = Uint8Array.from({ length: 32 }, (_, i) => 0xff - i)

/** Sizes at which the lengths before the bytes get longer, and some between. */
const comparedSizes = [0, 1, 90, 127, 128, 300, 16_383, 16_384, 70_000]

export class BytesTemplate {
  /** What is between the length of the frame and that of the bytes. */
  private readonly head: Uint8Array
  private readonly tail: Uint8Array

  private constructor(head: Uint8Array, tail: Uint8Array) {
    this.head = head
    this.tail = tail
  }

  /** The template of whatever `encode` makes of bytes; `undefined` when that has no such form. */
  static learn(encode: (bytes: Uint8Array) => Uint8Array): BytesTemplate | undefined {
    const sample = Buffer.from(encode(mark))
    const at = sample.indexOf(mark)
    const lengths = new UvarintReader(sample)
    const size = lengths.next()
    if (at < 0 || size !== sample.byteLength - lengths.offset) return undefined
    if (at - 1 < lengths.offset || sample[at - 1] !== mark.byteLength) return undefined
    const template = new BytesTemplate(
      Uint8Array.from(sample.subarray(lengths.offset, at - 1)),
      Uint8Array.from(sample.subarray(at + mark.byteLength))
    )
    for (const length of comparedSizes) {
      const bytes = new Uint8Array(length).fill(length)
      if (Buffer.compare(template.encode(bytes), encode(bytes)) !== 0) return undefined
    }
    return template
  }

  /** The same as the codec makes. */
  encode(bytes: Uint8Array): Uint8Array {
    const { head, tail } = this
    const size = head.byteLength + uvarintBytes(bytes.byteLength) + bytes.byteLength + tail.byteLength
    const encoded = Buffer.allocUnsafe(uvarintBytes(size) + size)
    let at = writeUvarint(encoded, 0, size)
    encoded.set(head, at)
    at = writeUvarint(encoded, at + head.byteLength, bytes.byteLength)
    encoded.set(bytes, at)
    encoded.set(tail, at + bytes.byteLength)
    return encoded
  }

  /** The bytes of such an encoding, as a view of it; `undefined` when it is another. */
  read(encoded: Uint8Array): Uint8Array | undefined {
    const { head, tail } = this
    const lengths = new UvarintReader(encoded)
    const size = lengths.next()
    if (size !== encoded.byteLength - lengths.offset || !hasAt(encoded, lengths.offset, head)) return undefined
    lengths.offset += head.byteLength
    const length = lengths.next()
    const at = lengths.offset
    if (length < 0 || at + length + tail.byteLength !== encoded.byteLength) return undefined
    return hasAt(encoded, at + length, tail) ? encoded.subarray(at, at + length) : undefined
  }
}

/** Whether `part` stands at `offset`. */
export const hasAt = (bytes: Uint8Array, offset: number, part: Uint8Array): boolean => {
  if (offset + part.byteLength > bytes.byteLength) return false
  for (let i = 0; i < part.byteLength; i++) if (bytes[offset + i] !== part[i]) return false
  return true
}
