/** Which time on the wall a node says that most voters have. */
import { assert, it } from "@effect/vitest"
import { majorityWallMs } from "../../src/node/WallClock.ts"
import { NodeId } from "../../src/raft/Types.ts"

const voters = [1, 2, 3].map((id) => NodeId(id))
const hour = 3_600_000
const nowMs = 1_700_000_000_000

/** What node 1 says, with each clock so far ahead of the right time; a node that is left out says nothing. */
const said = (ahead: { readonly 1: number; readonly 2?: number; readonly 3?: number }, among = voters) => {
  const { 1: own, ...peers } = ahead
  const known = Object.entries(peers).map(([id, ms]) => [NodeId(Number(id)), nowMs + ms] as const)
  const wallMs = majorityWallMs(nowMs + own, among, new Map(known))
  return wallMs === undefined ? undefined : wallMs - nowMs
}

it("is that of the clocks that agree, whoever is wrong and in whatever direction", () => {
  assert.strictEqual(said({ 1: 0, 2: 10, 3: hour }), 10)
  assert.strictEqual(said({ 1: 0, 2: 10, 3: -hour }), 0)
  assert.strictEqual(said({ 1: hour, 2: 10, 3: 0 }), 10)
  assert.strictEqual(said({ 1: -hour, 2: 10, 3: 0 }), 0)
})

it("is the earlier one of two, and unknown to a node that knows its own alone", () => {
  assert.strictEqual(said({ 1: 0, 2: hour }), 0)
  assert.strictEqual(said({ 1: 0, 3: -hour }), -hour)
  assert.isUndefined(said({ 1: 0 }))
})

it("is the own one of a single node, whatever others say who do not vote", () => {
  assert.strictEqual(said({ 1: 0 }, [NodeId(1)]), 0)
  assert.strictEqual(said({ 1: 0, 2: hour }, [NodeId(1)]), 0)
})

it("has been reached by a majority, and no later time has", () => {
  const offsets = [-hour, -1, 0, 1, hour]
  for (const two of offsets) {
    for (const three of offsets) {
      const wall = said({ 1: 0, 2: two, 3: three }) ?? Number.NaN
      const reached = (ms: number) => [0, two, three].filter((offset) => offset >= ms).length
      assert.isAtLeast(reached(wall), 2, `${two} and ${three}`)
      assert.isBelow(reached(wall + 1), 2, `${two} and ${three}`)
    }
  }
})
