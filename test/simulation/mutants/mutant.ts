/** One thread with one bug: changes the sources as they are loaded, then runs seeds until one of them complains. */
import { readFileSync } from "node:fs"
import { registerHooks } from "node:module"
import { fileURLToPath } from "node:url"
import { parentPort, workerData } from "node:worker_threads"
import type { Mutant } from "./Mutants.ts"

/** What became of a mutant. */
export interface Verdict {
  /** Seeds that were run; the last of them caught it, if it was caught. */
  readonly seeds: number
  /** What the one that caught it said. */
  readonly complaint: string | undefined
}

const source = fileURLToPath(new URL("../../../src/", import.meta.url))
const mutant = workerData as Mutant

const changed = (path: string, text: string): string => {
  let result = text
  for (const { file, find, replace } of mutant.changes) {
    if (source + file !== path) continue
    if (result.split(find).length !== 2) {
      throw new Error(`the mutant "${mutant.name}" does not find its place in src/${file}: change it with the code`)
    }
    result = result.replace(find, () => replace)
  }
  return result
}

registerHooks({
  load: (url, context, next) => {
    const path = url.startsWith("file:") ? fileURLToPath(url) : ""
    if (!mutant.changes.some(({ file }) => source + file === path)) return next(url, context)
    return { format: "module-typescript", shortCircuit: true, source: changed(path, readFileSync(path, "utf8")) }
  }
})

// Only now, so that the sources are loaded with the change.
const { simulate } = await import("../nodes/Simulation.ts")

const verdict = (): Verdict => {
  for (let seed = 1; seed <= mutant.within; seed++) {
    try {
      simulate({ seed })
    } catch (error) {
      return { seeds: seed, complaint: error instanceof Error ? error.message : String(error) }
    }
  }
  return { seeds: mutant.within, complaint: undefined }
}

parentPort?.postMessage(verdict())
