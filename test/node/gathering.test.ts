import { assert, describe, it } from "@effect/vitest"
import { Gathering, longestReturnMs, longestRoundMs, maxHeldBytes, maxHeldCommands } from "../../src/node/Gathering.ts"
import type { Submission } from "../../src/node/Pending.ts"

/** A call with so many commands. */
const call = (commands = 1, bytes = 1): Submission => ({
  commands: Array.from({ length: commands }, () => ({ payload: new Uint8Array(bytes) })),
  results: [],
  open: commands,
  done: () => undefined
})

const calls = (count: number): ReadonlyArray<Submission> => Array.from({ length: count }, () => call())

/** A round of so many calls has just ended at `nowMs`, and nothing waits. */
const answered = (count: number, nowMs: number, gathering = new Gathering()): Gathering => {
  gathering.add(calls(count), nowMs)
  while (gathering.take(false, nowMs).length === 0) nowMs += longestReturnMs
  gathering.roundEnded(nowMs)
  return gathering
}

describe("what a leader appends together", () => {
  it("has a lone caller never wait, also one that asks again at once", () => {
    const gathering = new Gathering()
    for (let nowMs = 0; nowMs < 10; nowMs += 0.5) {
      gathering.add([call()], nowMs)
      assert.strictEqual(gathering.take(false, nowMs).length, 1)
      assert.isUndefined(gathering.dueMs(false, nowMs))
      gathering.roundEnded(nowMs + 0.4)
    }
  })

  it("has what comes while a round is under way wait for its end, and not for longer than the longest round", () => {
    const gathering = new Gathering()
    gathering.add([call()], 100)
    assert.strictEqual(gathering.take(true, 100).length, 0)
    assert.strictEqual(gathering.dueMs(true, 100), longestRoundMs)
    gathering.add([call()], 103)
    assert.strictEqual(gathering.take(true, 103).length, 0)
    assert.strictEqual(gathering.take(false, 103).length, 2)
    gathering.add([call()], 200)
    assert.strictEqual(gathering.take(true, 200 + longestRoundMs - 0.1).length, 0)
    assert.strictEqual(gathering.take(true, 200 + longestRoundMs).length, 1)
  })

  it("is asked again when the round is to have ended, not when callers were expected to return before it", () => {
    const gathering = answered(4, 10)
    // A round that no caller began, such as one for what expires.
    gathering.add([call()], 50)
    assert.strictEqual(gathering.take(true, 50).length, 0)
    assert.strictEqual(gathering.dueMs(true, 50), longestRoundMs)
  })

  it("waits for all that were just answered, and not for longer than they have", () => {
    const gathering = answered(4, 10)
    gathering.add(calls(3), 10.2)
    assert.strictEqual(gathering.take(false, 10.2).length, 0)
    gathering.add(calls(1), 10.3)
    assert.strictEqual(gathering.take(false, 10.3).length, 4)

    gathering.roundEnded(20)
    gathering.add(calls(3), 20.2)
    assert.strictEqual(gathering.take(false, 20.9).length, 0)
    assert.approximately(gathering.dueMs(false, 20.9) as number, 0.1, 1e-9)
    assert.strictEqual(gathering.take(false, 20 + longestReturnMs).length, 3)
  })

  it("takes what waited already into that round", () => {
    const gathering = new Gathering()
    gathering.add(calls(1), 0)
    assert.strictEqual(gathering.take(false, 0).length, 1)
    gathering.add(calls(1), 1)
    assert.strictEqual(gathering.take(true, 1).length, 0)
    gathering.roundEnded(2)
    assert.strictEqual(gathering.take(false, 2).length, 0)
    gathering.add(calls(1), 2.3)
    assert.strictEqual(gathering.take(false, 2.3).length, 2)
  })

  it("waits for as many calls as were answered, whatever they carry", () => {
    const gathering = new Gathering()
    gathering.add([call(20)], 0)
    assert.strictEqual(gathering.take(false, 0).length, 1)
    gathering.roundEnded(1)
    gathering.add([call(2)], 1.1)
    assert.strictEqual(gathering.take(false, 1.1).length, 1)
  })

  it("does not wait for callers that do not return, and tries them again little by little", () => {
    const gathering = answered(8, 0)
    gathering.add(calls(1), 5)
    assert.strictEqual(gathering.take(false, 5).length, 1, "long after the answers")
    let waited = 0
    for (let round = 1; round <= 16; round++) {
      answered(8, 100 * round, gathering)
      gathering.add(calls(1), 100 * round + 0.1)
      if (gathering.take(false, 100 * round + 0.1).length > 0) continue
      waited += 1
      assert.strictEqual(gathering.take(false, 100 * round + longestReturnMs).length, 1)
    }
    assert.isAtLeast(waited, 1)
    assert.isAtMost(waited, 9)
  })

  it("has no more wait than is worth a round", () => {
    const many = new Gathering()
    many.add([call(maxHeldCommands - 1)], 0)
    assert.strictEqual(many.take(true, 0).length, 0)
    many.add([call()], 0)
    assert.strictEqual(many.take(true, 0).length, 2)
    const large = new Gathering()
    large.add([call(1, maxHeldBytes - 1)], 0)
    assert.strictEqual(large.take(true, 0).length, 0)
    large.add([call(1, 1)], 0)
    assert.strictEqual(large.take(true, 0).length, 2)
  })

  it("gives all that waits where nothing is appended, and waits for nobody afterwards", () => {
    const gathering = answered(3, 0)
    gathering.add(calls(2), 0.1)
    assert.isTrue(gathering.waits)
    assert.strictEqual(gathering.takeAll().length, 2)
    assert.isFalse(gathering.waits)
    gathering.roundEnded(0.2)
    gathering.add(calls(1), 0.3)
    assert.strictEqual(gathering.take(false, 0.3).length, 1)
  })

  it("has clients that came one after another share a round", () => {
    const gathering = new Gathering()
    const sizes: Array<number> = []
    // Eight clients, each of which asks again 0.1 to 0.4 ms after its answer; a round takes 1 ms.
    let asking = Array.from({ length: 8 }, (_, i) => ({ client: i, atMs: 0.3 * i }))
    let round: { readonly untilMs: number; readonly clients: Array<number> } | undefined
    let waiting: Array<number> = []
    for (let step = 0; step < 2_000; step++) {
      const nowMs = step / 50
      if (round !== undefined && nowMs >= round.untilMs) {
        gathering.roundEnded(nowMs)
        for (const client of round.clients) asking.push({ client, atMs: nowMs + 0.1 * (1 + client % 4) })
        round = undefined
      }
      const come = asking.filter(({ atMs }) => atMs <= nowMs)
      asking = asking.filter(({ atMs }) => atMs > nowMs)
      gathering.add(calls(come.length), nowMs)
      for (const { client } of come) waiting.push(client)
      if (gathering.take(round !== undefined, nowMs).length === 0) continue
      assert.isUndefined(round)
      sizes.push(waiting.length)
      round = { untilMs: nowMs + 1, clients: waiting }
      waiting = []
    }
    assert.isAbove(sizes.length, 10)
    assert.deepStrictEqual(sizes.slice(-10), Array.from({ length: 10 }, () => 8))
  })
})
