/**
 * A seed is a run: its trace is the same whatever ran before it in the process, and in a thread that shares no module
 * with this one.
 */
import { assert, describe, it } from "@effect/vitest"
import { createHash } from "node:crypto"
import { once } from "node:events"
import { join } from "node:path"
import { Worker } from "node:worker_threads"
import { simulate } from "./engine/Engine.ts"
import type { TraceOfSeed, Tree } from "./traces/worker.ts"
import type { WorldName } from "./worlds.ts"
import { worlds } from "./worlds.ts"

const root = join(import.meta.dirname, "../..")

/** The hashes of the traces, in the order of the seeds. */
const hashes = async (name: WorldName, seeds: ReadonlyArray<number>): Promise<ReadonlyArray<string>> => {
  const world = await worlds[name].load()
  return seeds.map((seed) => {
    const hash = createHash("sha256")
    simulate(world, { seed, trace: (line) => hash.update(`${line}\n`) })
    return hash.digest("hex")
  })
}

const hashesOfThread = async (world: WorldName, seeds: ReadonlyArray<number>): Promise<ReadonlyArray<string>> => {
  const tree: Tree = { root, world }
  const worker = new Worker(new URL("./traces/worker.ts", import.meta.url), { workerData: tree })
  try {
    const found: Array<string> = []
    for (const seed of seeds) {
      worker.postMessage({ seed, whole: false })
      const [answer] = await once(worker, "message") as [TraceOfSeed]
      found.push(answer.hash)
    }
    return found
  } finally {
    await worker.terminate()
  }
}

describe("traces of the same seeds", { timeout: 120_000 }, () => {
  // The world of small parts has other sources, and so a thread of its own: `small.test.ts`.
  const some: Readonly<Record<Exclude<WorldName, "small">, ReadonlyArray<number>>> = {
    cores: [1, 2, 3, 4, 5, 6, 7, 8],
    nodes: [1, 2],
    actors: [1, 153]
  }
  for (const [name, seeds] of Object.entries(some) as ReadonlyArray<[WorldName, ReadonlyArray<number>]>) {
    it(`of ${name} are equal in another order, and in another thread`, async () => {
      const forwards = await hashes(name, seeds)
      const backwards = (await hashes(name, seeds.toReversed())).toReversed()
      assert.strictEqual(new Set(forwards).size, seeds.length)
      assert.deepStrictEqual(backwards, forwards)
      assert.deepStrictEqual(await hashesOfThread(name, seeds), forwards)
    })
  }
})
