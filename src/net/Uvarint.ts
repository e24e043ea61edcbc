/** Lengths as the binary serialization writes them: seven bits in each byte, the lowest first. */

/** Bytes that `value` takes. */
export const uvarintBytes = (value: number): number => {
  let bytes = 1
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 128)) bytes++
  return bytes
}

/** Writes `value` at `offset`, and returns the offset behind it. */
export const writeUvarint = (target: Uint8Array, offset: number, value: number): number => {
  let at = offset
  let rest = value
  while (rest > 0x7f) {
    target[at++] = (rest & 0x7f) | 0x80
    rest = Math.floor(rest / 128)
  }
  target[at++] = rest
  return at
}

/** Most bytes of a value that is read: more than a length here can have. */
const maxBytes = 5

/** Reads values one after the other. What is no shortest form of a value up to 2^35 ends it. */
export class UvarintReader {
  /** Where the next value begins. */
  offset = 0
  private readonly bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  /** The next value; -1 when there is none. */
  next(): number {
    let value = 0
    let scale = 1
    for (let count = 1; count <= maxBytes; count++) {
      const byte = this.bytes[this.offset++]
      if (byte === undefined) return -1
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return byte === 0 && count > 1 ? -1 : value
      scale *= 128
    }
    return -1
  }
}
