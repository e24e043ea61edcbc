import { assert, describe, it } from "@effect/vitest"
import type { Target } from "../../../src/cli/bench/Target.ts"
import { leaderFirst } from "../../../src/cli/bench/Target.ts"

const target: Target = {
  endpoints: "a:1,b:1,c:1",
  keyPrefix: "bench/",
  identity: {},
  nodes: ["a", "b", "c"].map((host) => ({ http: `${host}:2`, ports: [1, 3] }))
}

describe("the load's way to the leader", () => {
  it("has the leader's endpoint first and keeps the others", () => {
    assert.strictEqual(leaderFirst(target, [false, false, true]).endpoints, "c:1,a:1,b:1")
    assert.strictEqual(leaderFirst(target, [true, false, false]).endpoints, "a:1,b:1,c:1")
  })

  it("leaves the order of the nodes, which figures belong to", () => {
    assert.strictEqual(leaderFirst(target, [false, true, false]).nodes, target.nodes)
  })

  it("changes nothing while no node leads", () => {
    assert.deepStrictEqual(leaderFirst(target, [false, false, false]), target)
  })
})
