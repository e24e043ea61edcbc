/** Which time on the wall a node says that most voters have. */
import { assert, it } from "@effect/vitest"
import { majorityWallMs } from "../../src/node/WallClock.ts"
import { NodeId } from "../../src/raft/Types.ts"

const voters = [1, 2, 3].map((id) => NodeId(id))
const peer = (id: number, offsetMs: number, uncertaintyMs = 0) => ({
  peer: NodeId(id),
  clock: { offsetMs, uncertaintyMs, problem: undefined }
})
const silent = (id: number) => ({ peer: NodeId(id) })
const hour = 3_600_000
const nowMs = 1_700_000_000_000

it("is that of the clocks that agree, whoever is wrong and in whatever direction", () => {
  assert.strictEqual(majorityWallMs(nowMs, voters, [peer(2, 10), peer(3, hour)]), nowMs + 10)
  assert.strictEqual(majorityWallMs(nowMs, voters, [peer(2, 10), peer(3, -hour)]), nowMs)
  assert.strictEqual(majorityWallMs(nowMs + hour, voters, [peer(2, 10 - hour), peer(3, -hour)]), nowMs + 10)
  assert.strictEqual(majorityWallMs(nowMs - hour, voters, [peer(2, 10 + hour), peer(3, hour)]), nowMs)
})

it("is the earlier one of two, and unknown to a node that knows its own alone", () => {
  assert.strictEqual(majorityWallMs(nowMs, voters, [peer(2, hour), silent(3)]), nowMs)
  assert.strictEqual(majorityWallMs(nowMs, voters, [peer(2, -hour), silent(3)]), nowMs - hour)
  assert.isUndefined(majorityWallMs(nowMs, voters, [silent(2), silent(3)]))
})

it("is the own one of a single node, and asks nobody who does not vote", () => {
  assert.strictEqual(majorityWallMs(nowMs, [NodeId(1)], []), nowMs)
  assert.strictEqual(majorityWallMs(nowMs, [NodeId(1)], [peer(2, hour)]), nowMs)
})

it("counts what a round trip hides as earlier, in whole milliseconds", () => {
  assert.strictEqual(majorityWallMs(nowMs, voters, [peer(2, 20.75, 30), peer(3, -hour)]), nowMs - 10)
})

it("has been reached by a majority, and no later time has", () => {
  const offsets = [-hour, -1, 0, 1, hour]
  for (const two of offsets) {
    for (const three of offsets) {
      const wallMs = majorityWallMs(nowMs, voters, [peer(2, two), peer(3, three)]) ?? Number.NaN
      const reached = (ms: number) => [0, two, three].filter((offset) => nowMs + offset >= ms).length
      assert.isAtLeast(reached(wallMs), 2, `${two} and ${three}`)
      assert.isBelow(reached(wallMs + 1), 2, `${two} and ${three}`)
    }
  }
})
