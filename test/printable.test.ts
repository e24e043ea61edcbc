/** What strangers wrote is shown without any control character, and a program can take it back. */
import { assert, describe, it } from "@effect/vitest"
import { cell, printable, printableJson, printableLines } from "../src/Printable.ts"
import { Random } from "./simulation/Random.ts"

// oxlint-disable-next-line no-control-regex
const dangerous = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/u

/** What the README says of a cell, read backwards. */
const taken = (text: string): string =>
  text.replace(/\\(?:u([0-9a-f]{4})|(.))/g, (_, code: string | undefined, name: string) =>
    code === undefined
      ? ({ t: "\t", n: "\n", r: "\r", "\\": "\\" })[name] as string
      : String.fromCharCode(Number.parseInt(code, 16)))

describe("text of strangers", () => {
  const random = new Random(4)
  const texts = Array.from(
    { length: 2_000 },
    () =>
      Array.from(
        { length: random.below(20) },
        () => String.fromCharCode(random.below(random.pick([0x20, 0x100, 0x2100, 0x10000])))
      ).join("")
  )

  it("holds no control character afterwards", () => {
    for (const said of texts) {
      for (const shown of [printable(said), cell(said), printableJson({ said })]) assert.notMatch(shown, dangerous)
      assert.notMatch(printableLines(said).replace(/[\n\t]/g, ""), dangerous)
    }
  })

  it("is the same again when a cell or JSON is read back", () => {
    for (const said of texts) {
      assert.strictEqual(taken(cell(said)), said)
      assert.deepStrictEqual(JSON.parse(printableJson({ said })), { said })
    }
  })

  it("escapes what moves a cursor, what turns text around, and what forges a row", () => {
    assert.strictEqual(printable("a\u001b[2Jb\u202ec"), "a\\u001b[2Jb\\u202ec")
    assert.strictEqual(cell("a\tb\nc\\d"), "a\\tb\\nc\\\\d")
    assert.strictEqual(printableLines("a\n\tb\r"), "a\n\tb\\r")
    assert.strictEqual(printableJson("\u009b2J"), "\"\\u009b2J\"")
  })
})
