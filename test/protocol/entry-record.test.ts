import { crc32 } from "node:zlib"
import { assert, describe, it } from "vitest"
import { decodeEntries, decodeEntry, encodeEntries, encodeEntry, headerBytes } from "../../src/protocol/EntryRecord.ts"
import { CodecError } from "../../src/bytes/CodecError.ts"
import { entryBytes } from "../../src/raft/Config.ts"
import type { Entry } from "../../src/raft/Types.ts"
import { LogIndex, Term } from "../../src/raft/Types.ts"

const seed = Number(process.env["FUZZ_SEED"] ?? 20_241)

/** A small linear generator, so that a failing seed can be run again. */
const generator = (start: number) => {
  let state = start >>> 0
  return (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

type Random = ReturnType<typeof generator>

const bytes = (random: Random, length: number): Uint8Array => Uint8Array.from({ length }, () => random(256))

/** Small and huge numbers, because the halves of a 64-bit field are written apart. */
const integer = (random: Random, minimum: number): number => {
  const near = [minimum, 1, 255, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 53 - 1]
  return Math.max(minimum, random(2) === 0 ? near[random(near.length)] ?? 1 : random(2 ** 31) * (random(2 ** 20) + 1))
}

const randomEntry = (random: Random): Entry => {
  const noop = random(4) === 0
  return {
    index: LogIndex(integer(random, 1)),
    term: Term(integer(random, 0)),
    kind: noop ? "noop" : "command",
    timestampMs: integer(random, 0),
    payload: noop ? new Uint8Array(0) : bytes(random, random(200))
  }
}

const plain = ({ index, kind, payload, timestampMs, term }: Entry) => ({
  index,
  term,
  kind,
  timestampMs,
  payload: Buffer.from(payload).toString("hex")
})

const decoded = (result: Entry | CodecError): Entry =>
  result instanceof CodecError ? assert.fail(result.message) : result

const decodedAll = (result: ReadonlyArray<Entry> | CodecError): ReadonlyArray<Entry> =>
  result instanceof CodecError ? assert.fail(result.message) : result

/** One of the ways in which bytes go wrong. */
const mutated = (random: Random, original: Uint8Array): Uint8Array => {
  const copy = Uint8Array.from(original)
  const at = random(copy.byteLength)
  switch (random(5)) {
    case 0:
      copy[at] = (copy[at] ?? 0) ^ (1 << random(8))
      return copy
    case 1:
      return copy.subarray(0, at)
    case 2:
      return Buffer.concat([copy, bytes(random, 1 + random(8))])
    case 3:
      return Buffer.concat([copy.subarray(0, at), bytes(random, 1 + random(4)), copy.subarray(at)])
    default:
      return bytes(random, random(100))
  }
}

describe(`entry records (FUZZ_SEED=${seed})`, () => {
  it("come back as they went, and remember their bytes", () => {
    const random = generator(seed)
    for (let round = 0; round < 2_000; round++) {
      const entry = randomEntry(random)
      const record = encodeEntry(entry)
      assert.strictEqual(record.byteLength, headerBytes + entry.payload.byteLength)
      assert.strictEqual(encodeEntry(entry), record)
      const back = decoded(decodeEntry(record))
      assert.deepStrictEqual(plain(back), plain(entry))
      assert.strictEqual(encodeEntry(back), record)
    }
  })

  it("have the bytes they always had", () => {
    const entry: Entry = {
      index: LogIndex(2 ** 32 + 7),
      term: Term(3),
      kind: "command",
      timestampMs: 1_700_000_000_000,
      payload: Uint8Array.of(0xca, 0xfe)
    }
    assert.strictEqual(
      Buffer.from(encodeEntry(entry)).toString("hex"),
      "bf46293001010000000000000000000300000001000000070000018bcfe56800cafe"
    )
  })

  it("are a value or a CodecError whatever the bytes, and never another value", () => {
    const random = generator(seed + 1)
    let refused = 0
    for (let round = 0; round < 10_000; round++) {
      const record = encodeEntry(randomEntry(random))
      const wrong = mutated(random, record)
      const result = decodeEntry(wrong)
      if (result instanceof CodecError) refused += 1
      else assert.strictEqual(Buffer.compare(wrong, record), 0)
    }
    assert.isAbove(refused, 9_900)
  })

  it("with a right checksum over wrong fields are refused by name", () => {
    const record = (change: (view: DataView) => void): Uint8Array => {
      const entry = { ...randomEntry(generator(seed + 2)) }
      const copy = Uint8Array.from(encodeEntry(entry))
      change(new DataView(copy.buffer))
      const sum = crc32(copy.subarray(4))
      new DataView(copy.buffer).setUint32(0, sum)
      return copy
    }
    const cases: ReadonlyArray<readonly [(view: DataView) => void, RegExp]> = [
      [
        (view) => view.setUint8(4, 2),
        /an entry of format 2, and flaredb .* reads format 1: the later release that wrote it/
      ],
      [(view) => view.setUint8(5, 2), /entry kind 2 is unknown/],
      [(view) => view.setUint32(8, 0xffff_ffff), /out of range/],
      [(view) => view.setBigUint64(16, 0n), /out of range/],
      [(view) => view.setBigUint64(24, 2n ** 53n), /out of range/]
    ]
    for (const [change, expected] of cases) {
      const result = decodeEntry(record(change))
      if (!(result instanceof CodecError)) return assert.fail("decoded")
      assert.match(result.message, expected)
    }
  })
})

describe("blobs of entries", () => {
  it("come back as they went", () => {
    const random = generator(seed + 3)
    for (let round = 0; round < 300; round++) {
      const entries = Array.from({ length: random(20) }, () => randomEntry(random))
      const blob = encodeEntries(entries)
      assert.strictEqual(blob.byteLength, entries.reduce((sum, entry) => sum + 4 + entryBytes(entry), 0))
      assert.deepStrictEqual(decodedAll(decodeEntries(blob)).map(plain), entries.map(plain))
    }
  })

  it("are copied, so that the buffer they came in can go", () => {
    const entry = randomEntry(generator(seed + 4))
    const expected = plain(entry)
    const chunk = new Uint8Array(65_536)
    const blob = encodeEntries([entry])
    chunk.set(blob, 1_000)
    const view = chunk.subarray(1_000, 1_000 + blob.byteLength)
    const [back] = decodedAll(decodeEntries(view))
    chunk.fill(0)
    assert.isDefined(back)
    if (back !== undefined) assert.deepStrictEqual(plain(back), expected)
  })

  it("are entries or a CodecError whatever the bytes, and lengths are not believed", () => {
    const random = generator(seed + 5)
    let refused = 0
    for (let round = 0; round < 10_000; round++) {
      const blob = encodeEntries(Array.from({ length: 1 + random(4) }, () => randomEntry(random)))
      if (decodeEntries(mutated(random, blob)) instanceof CodecError) refused += 1
    }
    assert.isAbove(refused, 8_000)
    const huge = Buffer.alloc(8)
    huge.writeUInt32BE(0xffff_ffff)
    assert.instanceOf(decodeEntries(huge), CodecError)
    assert.instanceOf(decodeEntries(Buffer.alloc(4)), CodecError)
    assert.deepStrictEqual(decodeEntries(new Uint8Array(0)), [])
  })
})
