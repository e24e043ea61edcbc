/** Why a process ended is read from what it wrote last, however that came in pieces. */
import { assert, it } from "vitest"
import { LastWords } from "../../src/cli/output/LastWords.ts"

const log = (text: string): string => `{"message":"${text}","level":"INFO"}\n`

const heard = (text: string, pieceBytes: number): string => {
  const words = new LastWords()
  const bytes = new TextEncoder().encode(text)
  for (let at = 0; at < bytes.length; at += pieceBytes) words.take(bytes.subarray(at, at + pieceBytes))
  return words.text()
}

for (const pieceBytes of [1, 7, 100_000]) {
  it(`finds an error in pieces of ${pieceBytes} bytes`, () => {
    assert.equal(heard(`${log("a")}${log("b")}flaredb: no roöm left\n`, pieceBytes), "no roöm left")
    // A bug has a stack; all of it is said.
    const bug = "flaredb: this is a bug: Error: x\n    at one\n    at two\n"
    assert.equal(heard(log("a") + bug, pieceBytes), "this is a bug: Error: x\n    at one\n    at two")
    // A log line that is written between does not hide it.
    assert.equal(heard(`flaredb: gone\n${log("late")}`, pieceBytes), "gone")
    // What the runtime says by itself.
    assert.equal(
      heard(`${log("a")}terminate called\n  what(): bad_alloc\n`, pieceBytes),
      "terminate called\n  what(): bad_alloc"
    )
    assert.equal(heard(log("a") + log("b"), pieceBytes), "")
  })
}

it("keeps twenty lines, and a thousand characters of each", () => {
  const text = heard(Array.from({ length: 10_000 }, (_, i) => `${i} ${"x".repeat(5_000)}`).join("\n"), 65_536)
  const lines = text.split("\n")
  assert.isAtMost(lines.length, 21)
  assert.match(lines.at(-1) ?? "", /^9999 /)
  assert.isAtMost(text.length, 21 * 1_001)
})
