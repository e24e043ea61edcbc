/** Of a seed that fails, the faults that it takes are found. */
import { assert, describe, it } from "@effect/vitest"
import { coresWith } from "./cores/Cores.ts"
import { RunFailed, simulate } from "./engine/Engine.ts"
import { shrink } from "./engine/Shrink.ts"

const world = coresWith("forgets its vote in a crash")

const property = (seed: number, only?: ReadonlyArray<number>): string | undefined => {
  try {
    simulate(world, { seed, only: only === undefined ? undefined : new Set(only) })
    return undefined
  } catch (error) {
    return error instanceof RunFailed ? error.property : String(error)
  }
}

describe("a seed that fails", () => {
  const failing = Array.from({ length: 300 }, (_, at) => at + 1).find((seed) => property(seed) !== undefined)
  const seed = failing ?? assert.fail("no seed fails")
  const shrunk = shrink(world, seed) ?? assert.fail("it does not fail again")

  it("fails in the same way with fewer faults", () => {
    assert.strictEqual(shrunk.property, "one vote per term")
    assert.isAbove(shrunk.needed.length, 0)
    assert.isBelow(shrunk.needed.length, shrunk.faults)
    assert.strictEqual(property(seed, shrunk.needed), shrunk.property)
  })

  it("needs each of them", () => {
    for (const one of shrunk.needed) {
      assert.notStrictEqual(property(seed, shrunk.needed.filter((fault) => fault !== one)), shrunk.property)
    }
  })

  it("is not shrunk when it does not fail", () => {
    assert.isUndefined(shrink(coresWith(undefined), seed))
  })
})
