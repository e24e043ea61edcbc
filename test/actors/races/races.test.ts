/** A few seeds of `Races.ts`; `npm run simulate:actors` lives as many as one likes. */
import { assert, it } from "@effect/vitest"
import { simulate } from "./Races.ts"

it("runners over one store neither share a shard, nor lose, double or reorder a message", () => {
  const counts = { locks: 0, exits: 0, chunks: 0, cleared: 0, atomic: 0 }
  const traces = [1, 2, 3, 1].map((seed) => {
    const life = simulate(seed)
    assert.deepStrictEqual(life.problems, [], `seed ${seed}`)
    for (const name of Object.keys(counts) as Array<keyof typeof counts>) counts[name] += life.counts[name]
    return life.trace
  })
  // What never happens is not tested.
  for (const [name, times] of Object.entries(counts)) assert.isAbove(times, 0, name)
  assert.deepStrictEqual(traces[3], traces[0], "a seed gives the same life each time")
}, 180_000)
