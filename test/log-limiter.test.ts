/** Lines that others can cause are bounded, and none goes without a trace. */
import { assert, it } from "@effect/vitest"
import { kindOfLine, linesPerWindow, LogLimiter, windowMs } from "../src/LogLimiter.ts"

it("lets a few lines of each kind through in a window, and counts the others", () => {
  let nowMs = 0
  const limiter = new LogLimiter(() => nowMs)
  assert.deepStrictEqual(limiter.rotate(), [])
  const written = Array.from({ length: 1_000 }, (_, i) => limiter.allows(kindOfLine(`node ${i} is in term ${i * i}`)))
  assert.strictEqual(written.filter(Boolean).length, linesPerWindow)
  assert.isTrue(limiter.allows("another kind"))
  nowMs = windowMs - 1
  assert.deepStrictEqual(limiter.rotate(), [])
  nowMs = windowMs
  assert.deepStrictEqual(limiter.rotate(), [{ kind: "node # is in term #", count: 1_000 - linesPerWindow }])
  assert.isTrue(limiter.allows(kindOfLine("node 7 is in term 9")))
})

it("keeps no more kinds than it has room for", () => {
  let nowMs = 0
  const limiter = new LogLimiter(() => nowMs)
  limiter.rotate()
  const kinds = Array.from({ length: 5_000 }, (_, i) => `${"kind ".repeat(3)}${i}`)
  const written = kinds.filter((kind) => limiter.allows(kind))
  assert.isAtMost(written.length, 128 + linesPerWindow)
  nowMs = windowMs
  const [rest, ...others] = limiter.rotate()
  assert.deepStrictEqual(others, [])
  assert.strictEqual(rest?.count, kinds.length - written.length)
})
