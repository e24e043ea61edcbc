/** Frames are cut out of whatever pieces they come in, and a wrong length is found before its frame is kept. */
import { assert, describe, it } from "@effect/vitest"
import { FrameReader } from "../../src/net/FrameReader.ts"
import { writeUvarint } from "../../src/net/Uvarint.ts"

const max = 1_000

const length = (size: number): Array<number> => {
  const bytes = new Uint8Array(8)
  return [...bytes.subarray(0, writeUvarint(bytes, 0, size))]
}

describe("frames are cut", () => {
  const frames = [1, 127, 128, 1_000, 2].map((size, i) =>
    Uint8Array.from([...length(size), ...new Array(size).fill(i)])
  )
  const stream = Buffer.concat(frames)

  it("whatever the pieces they come in", () => {
    for (const piece of [1, 2, 3, 7, 130, 257, 10_000]) {
      const reader = new FrameReader(max)
      const cut: Array<Uint8Array> = []
      for (let at = 0; at < stream.byteLength; at += piece) {
        // A copy that is wiped afterwards, as a reused buffer would be.
        const chunk = Uint8Array.from(stream.subarray(at, at + piece))
        assert.isUndefined(reader.take(chunk))
        assert.isAtMost(reader.unfinishedBytes, max + 2)
        cut.push(...reader.frames().map((frame) => Uint8Array.from(frame)))
        chunk.fill(0xee)
      }
      assert.deepStrictEqual(cut, frames)
      assert.deepStrictEqual([reader.begun, reader.unfinishedBytes], [frames.length, 0])
    }
  })

  it("and stay what they were when more comes", () => {
    const reader = new FrameReader(max)
    const kept: Array<Uint8Array> = []
    for (const byte of stream) {
      reader.take(Uint8Array.of(byte))
      kept.push(...reader.frames())
    }
    assert.deepStrictEqual(kept.map((frame) => Uint8Array.from(frame)), frames)
  })

  it("and a wrong length is one as soon as it can be known", () => {
    assert.match(new FrameReader(max).take(Uint8Array.from(length(1_001))) ?? "", /at least 1001 bytes/)
    assert.match(new FrameReader(max).take(Uint8Array.of(0)) ?? "", /no bytes/)
    assert.match(new FrameReader(max).take(new Uint8Array(10).fill(0x80)) ?? "", /does not end/)
    assert.match(new FrameReader(max).take(new Uint8Array(10).fill(0xff)) ?? "", /at least/)
  })
})
