import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { createHash } from "node:crypto"
import { crc32 } from "node:zlib"
import { CodecError } from "../../src/bytes/CodecError.ts"
import {
  chunkHeaderBytes,
  chunkLength,
  maxChunkBytes,
  SnapshotDecoder,
  SnapshotEncoder
} from "../../src/protocol/SnapshotChunk.ts"
import type { StateRow } from "../../src/protocol/StateRows.ts"
import { maxStateKeyBytes, maxStateValueBytes } from "../../src/protocol/StateRows.ts"

const row = (key: string, value: string | Uint8Array): StateRow => ({
  key: Buffer.concat([Uint8Array.of(1), Buffer.from(key)]),
  value: typeof value === "string" ? Buffer.from(value) : value
})

const encode = (rows: ReadonlyArray<StateRow>) => {
  const encoder = new SnapshotEncoder()
  const chunks = rows.flatMap((one) => encoder.add(one))
  const end = encoder.end()
  return { chunks: [...chunks, ...end.chunks], totals: end.totals }
}

/** The rows of a whole sequence, or the first error. */
const decode = (chunks: ReadonlyArray<Uint8Array>) => {
  const decoder = new SnapshotDecoder()
  const rows: Array<StateRow> = []
  for (const chunk of chunks) {
    const part = decoder.take(chunk)
    if (part instanceof CodecError) return part
    if (part._tag === "End") return { rows, totals: part.totals }
    rows.push(...part.rows)
  }
  return new CodecError("no end")
}

const text = (rows: ReadonlyArray<StateRow>) =>
  rows.map(({ key, value }) => [Buffer.from(key).toString("hex"), Buffer.from(value).toString("hex")])

/** A chunk with a changed header or payload and a checksum that fits again. */
const forged = (chunk: Uint8Array, change: (bytes: Buffer) => void): Uint8Array => {
  const bytes = Buffer.from(chunk)
  change(bytes)
  bytes.writeUInt32BE(crc32(bytes.subarray(4)), 0)
  return bytes
}

const assertError = (result: unknown, message: RegExp) => {
  assert.instanceOf(result, CodecError)
  assert.match((result as CodecError).message, message)
}

describe("a sequence of chunks", () => {
  it("gives back the rows, the counts and the digest of the stream", () => {
    const rows = [row("a", "1"), row("b", ""), row("c", "x".repeat(1_000))]
    const { chunks, totals } = encode(rows)
    assert.lengthOf(chunks, 2)
    const stream = Buffer.concat(rows.flatMap(({ key, value }) => {
      const header = Buffer.alloc(8)
      header.writeUInt32BE(key.byteLength, 0)
      header.writeUInt32BE(value.byteLength, 4)
      return [header, key, value]
    }))
    assert.deepStrictEqual(totals, {
      rows: 3,
      bytes: stream.byteLength,
      digest: createHash("sha256").update(stream).digest("hex")
    })
    const decoded = decode(chunks)
    if (decoded instanceof CodecError) throw new Error(decoded.message)
    assert.deepStrictEqual(text(decoded.rows), text(rows))
    assert.deepStrictEqual(decoded.totals, totals)
  })

  it("has an end also when there are no rows", () => {
    const { chunks, totals } = encode([])
    assert.lengthOf(chunks, 1)
    assert.strictEqual(totals.rows, 0)
    assert.deepStrictEqual(decode(chunks), { rows: [], totals })
  })

  it("cuts rows of any size into chunks of at most 256 KiB", () => {
    const rows = [3, 5_000, 262_131, 262_132, 262_133, 1_000_000, 0, 4_194_304, 9].map((size, i) =>
      row(String(i), Buffer.alloc(size, i + 1))
    )
    const { chunks } = encode(rows)
    for (const chunk of chunks) {
      assert.isAtMost(chunk.byteLength, maxChunkBytes)
      assert.strictEqual(chunkLength(chunk.subarray(0, chunkHeaderBytes)), chunk.byteLength)
    }
    const decoded = decode(chunks)
    if (decoded instanceof CodecError) throw new Error(decoded.message)
    assert.deepStrictEqual(text(decoded.rows), text(rows))
  })

  it.prop("gives back any rows", [Schema.Array(Schema.Struct({ key: Schema.Int, size: Schema.Int }))], ([sizes]) => {
    const names = [...new Set(sizes.map(({ key }) => Math.abs(key)))].sort((a, b) => a - b)
    const rows = names.map((name, i) => {
      const size = Math.abs(sizes[i]?.size ?? 0) % 70_000
      return row(String(name).padStart(20, "0"), Buffer.alloc(size, i))
    })
    const decoded = decode(encode(rows).chunks)
    if (decoded instanceof CodecError) throw new Error(decoded.message)
    assert.deepStrictEqual(text(decoded.rows), text(rows))
  })
})

describe("a damaged sequence", () => {
  const rows = Array.from({ length: 3 }, (_, i) => row(String(i), Buffer.alloc(200_000, i)))
  const { chunks } = encode(rows)

  it("is refused for any flipped bit", () => {
    const small = encode([row("a", "1"), row("b", "2")]).chunks
    for (let at = 0; at < small.length; at++) {
      for (let byte = 0; byte < (small[at] as Uint8Array).byteLength; byte++) {
        for (const bit of [0, 3, 7]) {
          const damaged = small.map((chunk) => Buffer.from(chunk))
          const target = damaged[at] as Buffer
          target[byte] = (target[byte] as number) ^ (1 << bit)
          assert.instanceOf(decode(damaged), CodecError, `chunk ${at}, byte ${byte}, bit ${bit}`)
        }
      }
    }
  })

  it("is refused when a chunk is missing, comes twice, or follows the end", () => {
    assertError(decode(chunks.slice(1)), /chunk 1 came in the place of chunk 0/)
    assertError(decode([chunks[0] as Uint8Array, ...chunks]), /chunk 0 came in the place of chunk 1/)
    assertError(decode(chunks.slice(0, -1)), /no end/)
    const decoder = new SnapshotDecoder()
    for (const chunk of chunks) assert.notInstanceOf(decoder.take(chunk), CodecError)
    assertError(decoder.take(chunks[0] as Uint8Array), /follows the last one/)
  })

  it("is refused when it is cut short anywhere", () => {
    const first = chunks[0] as Uint8Array
    for (const length of [0, 1, chunkHeaderBytes - 1, chunkHeaderBytes, first.byteLength - 1]) {
      assert.instanceOf(new SnapshotDecoder().take(first.subarray(0, length)), CodecError)
    }
  })

  it("is refused when its totals are wrong although every checksum fits", () => {
    const last = chunks.length - 1
    const withEnd = (change: (bytes: Buffer) => void) => [
      ...chunks.slice(0, -1),
      forged(chunks[last] as Uint8Array, change)
    ]
    assertError(decode(withEnd((bytes) => bytes.writeUInt32BE(4, 20))), /rows of/)
    assertError(decode(withEnd((bytes) => bytes.writeUInt32BE(1, 28))), /rows of/)
    assertError(decode(withEnd((bytes) => bytes.writeUInt8(bytes.readUInt8(40) ^ 1, 40))), /digest/)
  })

  it("is refused before memory is taken for a row that cannot be", () => {
    const one = encode([row("a", "1")]).chunks[0] as Uint8Array
    const sized = (keyBytes: number, valueBytes: number) =>
      new SnapshotDecoder().take(forged(one, (bytes) => {
        bytes.writeUInt32BE(keyBytes, chunkHeaderBytes)
        bytes.writeUInt32BE(valueBytes, chunkHeaderBytes + 4)
      }))
    assertError(sized(0, 1), /a key of 0 bytes/)
    assertError(sized(maxStateKeyBytes + 1, 1), /a key of/)
    assertError(sized(2, maxStateValueBytes + 1), /a value of/)
    assert.notInstanceOf(sized(2, maxStateValueBytes), CodecError)
    assertError(
      chunkLength(forged(one, (bytes) => bytes.writeUInt32BE(maxChunkBytes, 12))),
      /chunks have at most/
    )
  })

  it("is refused when keys do not ascend or are not a state machine's", () => {
    assertError(decode(encode([row("b", ""), row("a", "")]).chunks), /does not come after/)
    assertError(decode(encode([row("a", ""), row("a", "")]).chunks), /does not come after/)
    assertError(
      decode(encode([{ key: Uint8Array.of(0, 1), value: Uint8Array.of() }]).chunks),
      /none of a state machine/
    )
    assertError(
      decode(encode([{ key: Uint8Array.of(0xff), value: Uint8Array.of() }]).chunks),
      /none of a state machine/
    )
  })

  it("is refused when another format wrote it", () => {
    assertError(decode([forged(chunks[0] as Uint8Array, (bytes) => bytes.writeUInt8(2, 4))]), /format 2/)
    assertError(decode([forged(chunks[0] as Uint8Array, (bytes) => bytes.writeUInt8(7, 5))]), /kind 7/)
  })
})
