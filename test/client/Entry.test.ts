import { assert, it } from "vitest"
import { briefBytesOf, bytesOf } from "../../src/client/Entry.ts"

it("makes the same bytes of a text, however long it is and whatever is in it", () => {
  const texts = [
    "",
    "a",
    "entities/17",
    "é",
    "a key with ü at its end: ü",
    "🦊",
    "\ud800 half of a pair",
    "x".repeat(1_023),
    "x".repeat(1_024),
    "x".repeat(1_025),
    `${"x".repeat(1_023)}é`
  ]
  // All of them are there at the end: no piece is part of another one.
  const pieces = texts.map((text) => briefBytesOf(text))
  for (const [i, text] of texts.entries()) assert.deepStrictEqual([...pieces[i]!], [...bytesOf(text)], text)
  const bytes = Uint8Array.of(1, 2)
  assert.strictEqual(briefBytesOf(bytes), bytes)
})
