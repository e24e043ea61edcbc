/** A thousand seeds of the cores, and that a seed gives one run. `npm run simulate:cores` runs more of them. */
import { assert, describe, it } from "@effect/vitest"
import { cores, coresWith } from "./cores/Cores.ts"
import type { Mutant } from "./cores/MutantDriver.ts"
import { simulate } from "./engine/Engine.ts"
import { Probes } from "./engine/Probes.ts"

const seeds = 1_000

describe("simulation", () => {
  it(`${seeds} seeds keep every promise, and nothing hard was left out`, () => {
    const probes = new Probes(cores.probes)
    for (let seed = 1; seed <= seeds; seed++) simulate(cores, { seed, probes })
    assert.deepEqual(probes.missed, [])
  }, 120_000)

  it("the same seed gives the same run", () => {
    const account = (seed: number): string => {
      const lines: Array<string> = []
      simulate(cores, { seed, trace: (line) => lines.push(line) })
      return lines.join("\n")
    }
    for (const seed of [1, 2, 3]) assert.strictEqual(account(seed), account(seed))
    assert.notStrictEqual(account(1), account(2))
  })
})

/** A simulation that finds no bug in a broken system proves nothing. Each of these must be caught. */
describe("mutants", () => {
  const mutants: ReadonlyArray<readonly [mutant: Mutant, says: RegExp]> = [
    ["answers before the disk has it", /durable term and vote/],
    ["reports writes before they are durable", /acknowledged only when durable/],
    ["reports writes before they are durable", /committed on a durable quorum/],
    ["forgets its vote in a crash", /one vote per term/],
    // The next start finds terms out of order.
    ["forgets to truncate", /term \d+ cannot begin at \d+/],
    ["serves reads without a round", /linearizable reads/],
    ["applies what it has not got durable", /state machine safety/]
  ]
  for (const [mutant, says] of mutants) {
    it(`a node that ${mutant} is caught: ${says.source}`, () => {
      const complaints: Array<string> = []
      for (let seed = 1; seed <= 300 && !complaints.some((complaint) => says.test(complaint)); seed++) {
        try {
          simulate(coresWith(mutant), { seed })
        } catch (error) {
          complaints.push(String(error))
        }
      }
      assert.match(complaints[complaints.length - 1] ?? "no seed failed", says)
    })
  }
})
