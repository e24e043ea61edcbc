/** When a runner's copy of its queues has to catch up before it is read. */
import { assert, it } from "@effect/vitest"
import { Freshness } from "../../../src/actors/cluster/Freshness.ts"

const none = () => false
const all = () => true

it("a copy that nobody tells of others' requests catches up before each reading", () => {
  const freshness = new Freshness(false)
  assert.deepStrictEqual([1, 2].map(() => freshness.mustCatchUp(all)), [true, true])
})

it("one that is told catches up at first, for a request that it does not show, and after claims were given back", () => {
  const freshness = new Freshness(true)
  assert.deepStrictEqual([1, 2].map(() => freshness.mustCatchUp(none)), [true, false])
  freshness.announce("1")
  freshness.announce("2")
  assert.isTrue(freshness.mustCatchUp((id) => id === "1"))
  assert.isFalse(freshness.mustCatchUp(none), "once for each request")
  freshness.announce("3")
  assert.isFalse(freshness.mustCatchUp((id) => id === "3"), "the copy shows it")
  freshness.doubt()
  assert.isTrue(freshness.mustCatchUp(all))
})
