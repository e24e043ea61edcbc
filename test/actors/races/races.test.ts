/** A few seeds of `Races.ts`; `npm run simulate:actors` runs as many as one likes. */
import { assert, it } from "@effect/vitest"
import { simulate } from "../../simulation/engine/Engine.ts"
import { Probes } from "../../simulation/engine/Probes.ts"
import { probes } from "./History.ts"
import { races } from "./Races.ts"

it("runners over one store neither share a shard, nor lose, double or reorder a message", () => {
  const counts = new Probes(probes)
  // In 174 a runner reads a shard whose lock it loses meanwhile.
  const traces = [1, 2, 3, 174, 1].map((seed) => {
    const lines: Array<string> = []
    simulate(races, { seed, probes: counts, trace: (line) => lines.push(line) })
    return lines
  })
  // What never happens is not tested.
  assert.deepStrictEqual(counts.missed, [])
  assert.deepStrictEqual(traces.at(-1), traces[0], "a seed gives the same run each time")
}, 180_000)
