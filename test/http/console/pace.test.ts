/** The page draws less often where drawing takes long, and never shows what is old. */
import { assert, it } from "@effect/vitest"
import { Pace } from "../../../console/Pace.ts"

/** How many of the samples, one a second, are drawn where each drawing takes `tookMs`, and the longest time between two. */
const drawnOf = (tookMs: number, samples = 300): { readonly drawn: number; readonly longestMs: number } => {
  const pace = new Pace()
  let drawn = 0
  let lastMs = 0
  let longestMs = 0
  for (let nowMs = 0; nowMs < samples * 1_000; nowMs += 1_000) {
    if (!pace.isDue(nowMs)) continue
    longestMs = Math.max(longestMs, nowMs - lastMs)
    lastMs = nowMs
    pace.drew(nowMs, tookMs)
    drawn++
  }
  return { drawn, longestMs }
}

it("draws every sample where that is cheap", () => {
  assert.strictEqual(drawnOf(8).drawn, 300)
})

it("draws fewer where drawing takes long: it takes a bounded share of the time", () => {
  const { drawn } = drawnOf(40)
  assert.isBelow(drawn * 40, 300_000 / 40)
  assert.isAbove(drawn, 60)
})

it("shows nothing older than four seconds, however long a drawing takes", () => {
  assert.strictEqual(drawnOf(2_000).longestMs, 4_000)
})

it("is not slowed by the first drawing, nor for long by one that was held up", () => {
  const pace = new Pace()
  assert.isTrue(pace.isDue(0))
  pace.drew(0, 500)
  assert.strictEqual(pace.restMs, 0)
  pace.drew(1_000, 100)
  assert.isFalse(pace.isDue(2_000))
  for (let at = 1; at < 6; at++) pace.drew(at * 4_000, 5)
  assert.isBelow(pace.restMs, 1_000)
})
