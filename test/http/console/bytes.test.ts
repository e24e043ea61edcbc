/** Keys and values of the console: what is shown is what is there, and what is typed is what was shown. */
import { assert, it } from "@effect/vitest"
import { fromText, jsonOf, readable, shownKey, typedKey } from "../../../console/Bytes.ts"

const shownJson = (text: string) => jsonOf(fromText(text))

it("a key is shown in one line, and is itself again when that is typed", () => {
  const odd = [
    "\ufeffa",
    "a\nb",
    "a\tb",
    "a\u202eb",
    "a\u200bb",
    "a\u0085b",
    "\\x41",
    "a\u0000",
    "<b>&amp;</b>",
    "ä/🦊",
    ""
  ]
  const keys = [...odd.map(fromText), Uint8Array.of(0xff, 0, 0x41)]
  const shown = keys.map(shownKey)
  for (const [i, text] of shown.entries()) {
    assert.deepStrictEqual(typedKey(text), keys[i])
    // As a field for typing has it.
    assert.deepStrictEqual(typedKey(text.replace(/[\r\n]/g, "")), keys[i], text)
  }
  assert.strictEqual(new Set(shown).size, keys.length)
  assert.deepStrictEqual(shown.slice(-4), ["<b>&amp;</b>", "ä/🦊", "", "\\xff\\x00A"])
})

it("a value keeps a mark of byte order", () => assert.strictEqual(readable(fromText("\ufeffa")), "\ufeffa"))

it("JSON is shown with a line for each field, as JSON.stringify does it", () => {
  const values: ReadonlyArray<unknown> = [
    {},
    [],
    "text",
    [[], {}, [1, -2.5e30, true, false, null]],
    { a: { b: ["c, d", "{\"e\": [1]}", "\\", "\n"] }, "f:": "" }
  ]
  for (const value of values) {
    assert.strictEqual(shownJson(JSON.stringify(value)), JSON.stringify(value, null, 2))
    assert.strictEqual(shownJson(JSON.stringify(value, null, 7)), JSON.stringify(value, null, 2))
  }
})

it("JSON is shown with the numbers and fields that it has", () => {
  assert.strictEqual(shownJson(`{"id":9007199254740993}`), `{\n  "id": 9007199254740993\n}`)
  assert.strictEqual(shownJson(`[1.0,1e2,"\\u0061"]`), `[\n  1.0,\n  1e2,\n  "\\u0061"\n]`)
  assert.strictEqual(shownJson(`{"a":1,"a":2}`), `{\n  "a": 1,\n  "a": 2\n}`)
})

it("what is no JSON, or nested without end, is shown as text", () => {
  for (const text of ["{", "1", "[1,]", "{\"a\":1}}", "[".repeat(1_000) + "]".repeat(1_000)]) {
    assert.isUndefined(shownJson(text))
  }
})
