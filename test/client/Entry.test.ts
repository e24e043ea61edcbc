import { assert, it } from "vitest"
import { briefBytesOf, bytesOf, KeyValueEntry } from "../../src/client/Entry.ts"
import { DeleteEvent } from "../../src/client/WatchNotice.ts"

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

it("gives back all of a text, a mark of byte order before it too", () => {
  const record = { value: bytesOf("\ufeffvalue"), createRevision: 1, modRevision: 1, version: 1, lease: 0 }
  const entry = new KeyValueEntry(bytesOf("\ufeffkey"), record)
  assert.deepStrictEqual([entry.keyText, entry.text], ["\ufeffkey", "\ufeffvalue"])
  assert.strictEqual(new DeleteEvent(entry.key, undefined).keyText, "\ufeffkey")
})
