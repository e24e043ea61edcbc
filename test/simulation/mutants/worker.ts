/** One thread with one bug: changes the sources as they are loaded, then runs seeds until one of them complains. */
import { parentPort, workerData } from "node:worker_threads"
import { changeSources } from "../ChangedSources.ts"
import { worlds } from "../worlds.ts"
import type { Mutant } from "./Mutant.ts"
import { mutate } from "./Mutant.ts"

/** What became of a mutant. */
export interface Verdict {
  readonly simulator: "cores" | "nodes" | "test"
  /** Seeds that were run; the last of them caught it, if it was caught. None for a test. */
  readonly seeds: number
  /** What the one that caught it said. */
  readonly complaint: string | undefined
}

const mutant = workerData as Mutant

changeSources(new Set(mutant.changes.map(({ file }) => file)), (file, text) => mutate(mutant, file, text))

const { within } = mutant
if ("test" in within) throw new Error(`no seed finds a node that ${mutant.name}; ${within.test} does`)
const [simulator, most] = "cores" in within ? ["cores", within.cores] as const : ["nodes", within.nodes] as const

// Only now, so that the sources are loaded with the change.
const { simulate } = await import("../engine/Engine.ts")
const world = await worlds[simulator].load()

const verdict = (): Verdict => {
  for (let seed = 1; seed <= most; seed++) {
    try {
      simulate(world, { seed })
    } catch (error) {
      return { simulator, seeds: seed, complaint: error instanceof Error ? error.message : String(error) }
    }
  }
  return { simulator, seeds: most, complaint: undefined }
}

parentPort?.postMessage(verdict())
