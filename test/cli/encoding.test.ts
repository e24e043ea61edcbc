/** How bytes are written on a command line, and read back: nothing is changed on the way. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { encodings, jsonField, read, written } from "../../src/cli/input/Encoding.ts"
import { LineCutter } from "../../src/cli/input/StandardInput.ts"
import { Random } from "../../src/raft/Random.ts"

const random = new Random(7)
const randomBytes = (length: number) => Uint8Array.from({ length }, () => random.between(0, 256))

describe("bytes", () => {
  it.effect("come back from every encoding, whatever they are", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 2_000; i++) {
        const bytes = randomBytes(random.between(0, 12))
        for (const asked of encodings) {
          const { encoding, text } = written(bytes, asked)
          assert.deepStrictEqual([...yield* read("key", text, encoding)], [...bytes])
          const field = jsonField("key", bytes, asked)
          assert.strictEqual("keyEncoding" in field, encoding !== asked)
        }
      }
    }))

  it.effect("have one base64 text each, with or without padding and in either alphabet", () =>
    Effect.gen(function*() {
      const alphabet = "ABQRfgwz09+/-_="
      const texts = new Map<string, string>()
      for (let i = 0; i < 20_000; i++) {
        const text = Array.from({ length: random.between(0, 7) }, () => alphabet[random.between(0, 15)]).join("")
        const exit = yield* Effect.exit(read("key", text, "base64"))
        if (Exit.isFailure(exit)) continue
        const same = text.replaceAll("-", "+").replaceAll("_", "/").replaceAll("=", "")
        const hex = Buffer.from(exit.value).toString("hex")
        assert.strictEqual(texts.get(hex) ?? same, same, `${text} is ${hex} as well`)
        texts.set(hex, same)
      }
      assert.isAbove(texts.size, 1_000)
    }))
})

describe("lines of standard input", () => {
  const input = Buffer.from("one\n\nz\u00fcrich \u{1f600}\nlast")

  it("are the same wherever the input is cut into pieces", () => {
    const whole = [[1, "one"], [2, ""], [3, "z\u00fcrich \u{1f600}"], [4, "last"]]
    for (let first = 0; first <= input.length; first++) {
      for (let second = first; second <= input.length; second++) {
        const cutter = new LineCutter(100)
        const pieces = [input.subarray(0, first), input.subarray(first, second), input.subarray(second)]
        const taken = [...pieces.map((piece) => cutter.take(piece)), cutter.end()]
        assert.deepStrictEqual(taken.flatMap(({ lines }) => lines.map(({ number, text }) => [number, text])), whole)
        assert.isTrue(taken.every(({ failure }) => failure === undefined))
      }
    }
  })

  it("are refused by number when they are too long or no UTF-8, after those before them", () => {
    const long = new LineCutter(4).take(Buffer.from("fits\nfive!\n"))
    assert.deepStrictEqual(long.lines.map(({ text }) => text), ["fits"])
    assert.match(long.failure?.line ?? "", /^line 2 has more than 4 bytes$/)
    const binary = new LineCutter(4).take(Buffer.from([0x61, 0x0a, 0xff, 0x0a, 0x61, 0x0a]))
    assert.deepStrictEqual(binary.lines.map(({ text }) => text), ["a"])
    assert.match(binary.failure?.line ?? "", /^line 2 is not UTF-8/)
    // A line that never ends is not kept for ever.
    const endless = new LineCutter(10)
    let pieces = 0
    while (endless.take(Buffer.from("12345")).failure === undefined && pieces < 100) pieces += 1
    assert.strictEqual(pieces, 2)
  })
})
