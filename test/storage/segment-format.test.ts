/** The bytes of segments: their names and headers. */
import { assert, describe, it } from "@effect/vitest"
import { crc32 } from "node:zlib"
import { CodecError } from "../../src/bytes/CodecError.ts"
import { origin } from "../../src/raft/Types.ts"
import {
  decodeHeader,
  encodeHeader,
  headerBytes,
  segmentFile,
  sequenceOf
} from "../../src/storage/segments/SegmentFormat.ts"
import { pointAt } from "./Segments.ts"

describe("the name of a segment", () => {
  it("has its sequence number, and orders as that does", () => {
    for (const sequence of [1, 9, 10, 123_456_789, 999_999_999_999]) {
      assert.strictEqual(sequenceOf(segmentFile(sequence)), sequence)
    }
    const names = [9, 10, 99, 100].map(segmentFile)
    assert.deepStrictEqual(names.toSorted(), names)
    for (const name of ["flaredb-log-1", "flaredb-log-00000000000x", "flaredb-log-0000000000001", "000001.log", ""]) {
      assert.isUndefined(sequenceOf(name), name)
    }
  })
})

describe("the header of a segment", () => {
  const header = encodeHeader(7, pointAt(41, 3))

  /** A header that says other things, with a checksum that fits. */
  const changed = (change: (bytes: Buffer) => void): Uint8Array => {
    const bytes = Buffer.from(header)
    change(bytes)
    bytes.writeUInt32BE(crc32(bytes.subarray(4)), 0)
    return bytes
  }

  it("says what the first entry follows", () => {
    const largest = Number.MAX_SAFE_INTEGER
    for (const [sequence, base] of [[7, pointAt(41, 3)], [1, origin], [largest, pointAt(largest, largest)]] as const) {
      const bytes = encodeHeader(sequence, base)
      assert.strictEqual(bytes.byteLength, headerBytes)
      assert.deepStrictEqual(decodeHeader(bytes, sequence), base)
      // Entries follow it in the file.
      assert.deepStrictEqual(decodeHeader(Buffer.concat([bytes, Buffer.alloc(9, 1)]), sequence), base)
    }
  })

  it("that is cut short, not written, or has a flipped bit is none", () => {
    for (let length = 0; length < headerBytes; length++) {
      assert.isUndefined(decodeHeader(header.subarray(0, length), 7), `${length} bytes`)
      const torn = Buffer.alloc(headerBytes)
      torn.set(header.subarray(0, length))
      // The last bytes of a header are zeros anyway.
      if (length < headerBytes - 8) assert.isUndefined(decodeHeader(torn, 7), `${length} bytes and zeros`)
    }
    for (let bit = 0; bit < headerBytes * 8; bit++) {
      const flipped = Buffer.from(header)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << bit % 8)
      assert.isUndefined(decodeHeader(flipped, 7), `bit ${bit}`)
    }
  })

  it.each([
    ["of another format version", changed((bytes) => bytes.writeUInt32BE(2, 12)), /a segment of format 2, and flaredb/],
    ["of another segment", changed((bytes) => bytes.writeUInt32BE(8, 20)), /the header is that of segment 8/],
    ["of something else", changed((bytes) => bytes.write("NoFlares", 4)), /not that of a segment/],
    ["with an index out of range", changed((bytes) => bytes.fill(255, 24, 32)), /out of range/],
    ["with a term out of range", changed((bytes) => bytes.fill(255, 32, 40)), /out of range/]
  ])("%s is refused", (_, bytes, expected) => {
    const base = decodeHeader(bytes, 7)
    if (!(base instanceof CodecError)) return assert.fail("a point")
    assert.match(base.message, expected)
  })
})
