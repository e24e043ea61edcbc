/**
 * One thread of a comparison: runs seeds of the simulator in one tree, and answers with the hash or the lines of each
 * trace.
 */
import { createHash } from "node:crypto"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { parentPort, workerData } from "node:worker_threads"
import type * as EngineModule from "../engine/Engine.ts"
import type { WorldName } from "../worlds.ts"
import type * as WorldsModule from "../worlds.ts"

/** Whose traces. */
export interface Tree {
  readonly root: string
  readonly world: WorldName
}

export interface Question {
  readonly seed: number
  /** All lines are asked for, and not only their hash. */
  readonly whole: boolean
}

export interface TraceOfSeed {
  readonly seed: number
  readonly hash: string
  readonly lines: ReadonlyArray<string>
}

const { root, world: name } = workerData as Tree
const load = <A>(path: string): Promise<A> =>
  import(pathToFileURL(join(root, "test/simulation", path)).href) as Promise<A>
const { simulate } = await load<typeof EngineModule>("engine/Engine.ts")
const { worlds } = await load<typeof WorldsModule>("worlds.ts")
const world = await worlds[name].load()

parentPort?.on("message", ({ seed, whole }: Question) => {
  const hash = createHash("sha256")
  const lines: Array<string> = []
  const take = (line: string): void => {
    hash.update(`${line}\n`)
    if (whole) lines.push(line)
  }
  try {
    simulate(world, { seed, trace: take })
  } catch (error) {
    // A run that fails has a trace as well, which ends with the reason.
    take(error instanceof Error ? error.message : String(error))
  }
  const answer: TraceOfSeed = { seed, hash: hash.digest("hex"), lines }
  parentPort?.postMessage(answer)
})
