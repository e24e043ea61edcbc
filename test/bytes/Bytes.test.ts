import { assert, it } from "vitest"
import { byteText, compareBytes } from "../../src/bytes/Bytes.ts"
import { allocate } from "../../src/bytes/Slab.ts"
import { readSafeU64, readU64, writeU64 } from "../../src/bytes/U64.ts"

/** Byte strings that share beginnings, the same ones each time. */
const samples = (): ReadonlyArray<Uint8Array> => {
  let state = 7
  const below = (bound: number) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return Math.floor(state / 65_536) % bound
  }
  return Array.from(
    { length: 200 },
    () => Uint8Array.from({ length: below(6) }, () => [0, 1, 127, 128, 255][below(5)]!)
  )
}

it("orders bytes as RocksDB and Node do", () => {
  for (const a of samples()) {
    for (const b of samples()) assert.strictEqual(Math.sign(compareBytes(a, b)), Buffer.compare(a, b))
  }
})

it("makes texts that are equal and sort as the bytes do", () => {
  for (const a of samples()) {
    assert.strictEqual(byteText(a), Buffer.from(a).toString("latin1"))
    for (const b of samples()) {
      const [first, second] = [byteText(a), byteText(b)]
      assert.strictEqual(first === second ? 0 : first < second ? -1 : 1, Buffer.compare(a, b))
    }
  }
  const long = Uint8Array.from({ length: 70_000 }, (_, i) => i % 256)
  assert.isTrue(byteText(long) === Buffer.from(long).toString("latin1"))
})

it("gives out memory that is empty and that nobody else has", () => {
  const pieces = Array.from({ length: 2_000 }, (_, i) => allocate(i % 1_500))
  for (const [i, piece] of pieces.entries()) {
    assert.strictEqual(piece.byteLength, i % 1_500)
    assert.isTrue(piece.every((byte) => byte === 0))
    piece.fill(1 + i % 255)
  }
  for (const [i, piece] of pieces.entries()) assert.isTrue(piece.every((byte) => byte === 1 + i % 255))
})

it("writes and reads integers of 64 bits as Node does, and says which are not safe", () => {
  const numbers = [0, 1, 255, 256, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 40 + 7, Number.MAX_SAFE_INTEGER]
  for (const number of numbers) {
    const bytes = new Uint8Array(12).fill(9)
    writeU64(bytes, number, 2)
    const view = new DataView(bytes.buffer)
    assert.strictEqual(view.getBigUint64(2), BigInt(number))
    assert.deepStrictEqual([bytes[1], bytes[10]], [9, 9])
    assert.deepStrictEqual([readU64(view, 2), readSafeU64(bytes, 2)], [number, number])
  }
  const unsafeBytes = new Uint8Array(8)
  for (const unsafe of [2n ** 53n, 2n ** 64n - 1n]) {
    new DataView(unsafeBytes.buffer).setBigUint64(0, unsafe)
    assert.strictEqual(readSafeU64(unsafeBytes, 0), -1)
  }
})
