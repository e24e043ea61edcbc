/**
 * Whole nodes under simulation: a few seeds of every fault profile, and that a seed gives one run. `npm run simulate`
 * runs campaigns of thousands, and `npm run mutants` shows that they would find the bugs they are there for.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { hunt } from "./mutants/main.ts"
import { mutate } from "./mutants/Mutant.ts"
import { mutants } from "./mutants/Mutants.ts"
import { simulate } from "./engine/Engine.ts"
import { Probes } from "./engine/Probes.ts"
import { runSeeds } from "./engine/Seeds.ts"
import { nodes } from "./nodes/Nodes.ts"
import type { Probe } from "./nodes/Probes.ts"

/** What a handful of seeds cannot but meet. */
const certain: ReadonlyArray<Probe> = [
  "a write was acknowledged",
  "a leader served a read",
  "a follower served a read",
  "a leader crashed",
  "a session's reply was replayed",
  "the log was compacted",
  "a snapshot was installed",
  "a watch was resumed at another node"
]

describe("whole nodes", () => {
  it("keep every promise through 25 seeds", () => {
    const { failures, probes: counts } = runSeeds(nodes, { seed: 1, count: 25 })
    assert.deepEqual(failures, [])
    const probes = new Probes(nodes.probes)
    probes.add(counts)
    assert.deepEqual(certain.filter((probe) => probes.count(probe) === 0), [])
  }, 120_000)

  it("run alike from the same seed", () => {
    const account = (seed: number): string => {
      const lines: Array<string> = []
      simulate(nodes, { seed, trace: (line) => lines.push(line) })
      return lines.join("\n")
    }
    assert.strictEqual(account(1), account(1))
    assert.notStrictEqual(account(1), account(2))
  }, 60_000)
})

describe("mutants", () => {
  it("find their places in the sources", () => {
    for (const mutant of mutants) {
      const { changes } = mutant
      for (const { file } of changes) {
        const path = new URL(`../../src/${file}`, import.meta.url)
        assert.notStrictEqual(mutate(mutant, file, readFileSync(path, "utf8")), undefined, mutant.name)
      }
    }
    assert.strictEqual(new Set(mutants.map(({ name }) => name)).size, mutants.length)
  })

  it("are all in the table of the page, and no others", () => {
    const page = readFileSync(new URL("README.md", import.meta.url), "utf8")
    const [, table = ""] = page.split("| a node that … |")
    const rows = [...table.matchAll(/^\| ([^|]+) \| (?:cores|nodes|none) \|/gm)].map(([, name]) => name)
    assert.deepStrictEqual(rows.toSorted(), mutants.map(({ name }) => name).toSorted())
  })

  // The others take more seeds than a test run has time for.
  for (const mutant of mutants.filter(({ quick }) => quick)) {
    it.live(
      `a node that ${mutant.name} is caught`,
      () => Effect.map(hunt(mutant), ({ complaint }) => assert.isDefined(complaint, "no seed found it")),
      60_000
    )
  }
})
