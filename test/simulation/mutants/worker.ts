/** One thread with one bug: changes the sources as they are loaded, then runs seeds until one of them complains. */
import { readFileSync } from "node:fs"
import { registerHooks } from "node:module"
import { fileURLToPath } from "node:url"
import { parentPort, workerData } from "node:worker_threads"
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

const source = fileURLToPath(new URL("../../../src/", import.meta.url))
const mutant = workerData as Mutant

registerHooks({
  load: (url, context, next) => {
    const path = url.startsWith("file:") ? fileURLToPath(url) : ""
    if (!mutant.changes.some(({ file }) => source + file === path)) return next(url, context)
    return {
      format: "module-typescript",
      shortCircuit: true,
      source: mutate(mutant, path.slice(source.length), readFileSync(path, "utf8"))
    }
  }
})

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
