import { assert, describe, it } from "@effect/vitest"
import { CommitTimes } from "../../src/node/CommitTimes.ts"

const applied = (times: CommitTimes, index: number, nowMs: number): ReadonlyArray<number> => {
  const measured: Array<number> = []
  times.applied(index, nowMs, (ms) => measured.push(ms))
  return measured
}

describe("the time that commits take", () => {
  it("is that from a batch's append to the apply of its last entry", () => {
    const times = new CommitTimes()
    times.appended(3, 100)
    times.appended(7, 104)
    times.appended(8, 109)
    assert.deepStrictEqual(applied(times, 2, 110), [])
    assert.deepStrictEqual(applied(times, 7, 112), [12, 8])
    assert.deepStrictEqual(applied(times, 9, 113), [4])
    assert.deepStrictEqual(applied(times, 9, 114), [])
  })

  it("leaves out what does not fit, and goes on behind it", () => {
    const times = new CommitTimes()
    for (let index = 1; index <= 3_000; index++) times.appended(index, index)
    assert.strictEqual(applied(times, 3_000, 3_000).length, 1_024)
    for (let index = 3_001; index <= 3_100; index++) times.appended(index, 1)
    assert.deepStrictEqual(applied(times, 3_050, 2), Array.from({ length: 50 }, () => 1))
  })

  it("forgets what a leader appended that leads no more", () => {
    const times = new CommitTimes()
    times.appended(5, 1)
    times.clear()
    times.appended(4, 10)
    assert.deepStrictEqual(applied(times, 9, 11), [1])
  })
})
