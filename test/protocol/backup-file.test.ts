/** A backup's bytes: what was written is read, in pieces of any size, and what was damaged anywhere is noticed. */
import { assert, describe, it } from "vitest"
import type { BackupHeader } from "../../src/protocol/BackupFile.ts"
import { BackupDecoder, encodeBackupHeader } from "../../src/protocol/BackupFile.ts"
import { CodecError } from "../../src/bytes/CodecError.ts"
import { SnapshotEncoder } from "../../src/protocol/SnapshotChunk.ts"
import type { StateRow } from "../../src/protocol/StateRows.ts"
import { version } from "../../src/Version.ts"
import { someCluster } from "../client/Identities.ts"

const header: BackupHeader = {
  clusterId: "orders",
  identity: someCluster,
  nodeId: 2,
  version: "0.1.0",
  machine: "key-value",
  index: 1_234,
  term: 5,
  revision: 1_000,
  logTimeMs: 1_700_000_000_000,
  createdMs: 1_700_000_000_123,
  estimatedBytes: 4_096
}

const rowsOf = (count: number, valueBytes: number): ReadonlyArray<StateRow> =>
  Array.from({ length: count }, (_, i) => ({
    key: Buffer.from(`\u0010key ${String(i).padStart(6, "0")}`),
    value: Buffer.alloc(valueBytes, i)
  }))

const encode = (rows: ReadonlyArray<StateRow>): Buffer => {
  const encoder = new SnapshotEncoder()
  const chunks = rows.flatMap((row) => [...encoder.add(row)])
  return Buffer.concat([encodeBackupHeader(header), ...chunks, ...encoder.end().chunks])
}

/** Reads a backup in pieces of `size` bytes; what is wrong with it, if anything. */
const read = (bytes: Buffer, size: number) => {
  const decoder = new BackupDecoder()
  const rows: Array<StateRow> = []
  for (let at = 0; at < bytes.byteLength; at += size) {
    const parts = decoder.take(bytes.subarray(at, at + size))
    if (parts instanceof CodecError) return parts
    for (const part of parts) if (part._tag === "Rows") rows.push(...part.rows)
  }
  const totals = decoder.end()
  return totals instanceof CodecError ? totals : { header: decoder.header, rows, totals }
}

describe("a backup", () => {
  for (const size of [1, 7, 1_000, 300_000, 10_000_000]) {
    it(`is read in pieces of ${size} bytes as it was written`, () => {
      const rows = size === 1 ? rowsOf(20, 30) : rowsOf(500, 3_000)
      const found = read(encode(rows), size)
      assert(!(found instanceof CodecError))
      assert.deepEqual(found.header, header)
      assert.equal(found.totals.rows, rows.length)
      assert.deepEqual(
        found.rows.map(({ key, value }) => [Buffer.from(key), Buffer.from(value)]),
        rows.map(({ key, value }) => [Buffer.from(key), Buffer.from(value)])
      )
    })
  }

  it("of an empty state is one too", () => {
    const found = read(encode([]), 100)
    assert(!(found instanceof CodecError))
    assert.equal(found.totals.rows, 0)
  })

  it("that is cut short anywhere is refused", () => {
    const bytes = encode(rowsOf(40, 50))
    for (let length = 0; length < bytes.byteLength; length++) {
      const found = read(bytes.subarray(0, length), 512)
      assert.instanceOf(found, CodecError, `cut at ${length}`)
    }
  })

  it("with one bit changed anywhere is refused", () => {
    const bytes = encode(rowsOf(40, 50))
    for (let at = 0; at < bytes.byteLength; at++) {
      const flipped = Buffer.from(bytes)
      flipped[at] = (flipped[at] as number) ^ (1 << (at % 8))
      assert.instanceOf(read(flipped, 512), CodecError, `flipped at ${at}`)
    }
  })

  it("with bytes behind its end is refused", () => {
    const found = read(Buffer.concat([encode(rowsOf(3, 3)), Buffer.from("x")]), 512)
    assert.match((found as CodecError).message, /follow the end/)
  })

  it("of another kind or format says so", () => {
    assert.match(
      (read(Buffer.from("PK\u0003\u0004 a zip file, or anything"), 512) as CodecError).message,
      /no backup of FlareDB/
    )
    for (const format of [2, 4]) {
      const other = encode([])
      other.writeUInt16BE(format, 12)
      assert.strictEqual(
        (read(other, 512) as CodecError).message,
        `it has format ${format}, and flaredb ${version} reads format 3: run flaredb 0.1.0, which wrote it`
      )
    }
  })

  it("that is noise never makes the reader throw", () => {
    let state = 1
    const below = (limit: number) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      return Math.floor((state / 2 ** 32) * limit)
    }
    const good = encode(rowsOf(10, 100))
    for (let round = 0; round < 500; round++) {
      const bytes = Buffer.from(good)
      for (let i = 0; i < 1 + below(8); i++) bytes[below(bytes.byteLength)] = below(256)
      read(bytes.subarray(0, below(bytes.byteLength + 1)), 1 + below(600))
    }
  })
})
