/**
 * A thousand seeded lives of a three-node cluster. `SIM_SEED=123 npx vitest run test/simulation` prints the account of
 * one; `SIM_SEEDS=20000` runs more of them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Violation } from "./Oracle.ts"
import type { Probe } from "./Probes.ts"
import { Probes } from "./Probes.ts"
import { simulate, Simulation } from "./Simulation.ts"
import type { Mutant } from "./SimNode.ts"

const replay = process.env["SIM_SEED"]
const seeds = Number(process.env["SIM_SEEDS"] ?? 1_000)

if (replay !== undefined) {
  describe("replay", () => {
    it(`seed ${replay}`, () => {
      simulate({ seed: Number(replay), trace: (line) => process.stdout.write(`${line}\n`) })
    })
  })
} else {
  describe("simulation", () => {
    it(`${seeds} seeds keep every promise, and nothing hard was left out`, () => {
      const probes = new Probes()
      for (let seed = 1; seed <= seeds; seed++) simulate({ seed, probes })
      const missed: ReadonlyArray<Probe> = probes.missed
      assert.deepEqual(missed, [])
    }, 120_000)

    it("the same seed gives the same run", () => {
      const account = (seed: number): string => {
        const lines: Array<string> = []
        simulate({ seed, trace: (line) => lines.push(line) })
        return lines.join("\n")
      }
      for (const seed of [1, 2, 3]) assert.strictEqual(account(seed), account(seed))
      assert.notStrictEqual(account(1), account(2))
    })
  })

  /** A simulation that finds no bug in a broken system proves nothing. Each of these must be caught. */
  describe("mutants", () => {
    const mutants: ReadonlyArray<Mutant> = [
      "answers before the disk has it",
      "reports writes before they are durable",
      "forgets its vote in a crash",
      "forgets to truncate",
      "serves reads without a round",
      "applies what it has not got durable"
    ]
    for (const mutant of mutants) {
      it(`a node that ${mutant} is caught`, () => {
        let caught: unknown
        for (let seed = 1; seed <= 500 && caught === undefined; seed++) {
          try {
            new Simulation({ seed, mutant }).run()
          } catch (error) {
            caught = error
          }
        }
        assert.instanceOf(caught, Error)
        if (caught instanceof Violation) assert.notStrictEqual(caught.property, "convergence")
      })
    }
  })
}
