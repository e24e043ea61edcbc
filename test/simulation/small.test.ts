/** A few seeds of whole nodes whose work is in small parts, in a thread that has changed sources (`SmallParts.ts`). */
import { assert, it } from "@effect/vitest"
import { once } from "node:events"
import { Worker } from "node:worker_threads"
import type { Task } from "./engine/Seeds.ts"
import type { Answer } from "./engine/worker.ts"
import type { WorldName } from "./worlds.ts"

const outcome = async (task: Task): Promise<Answer> => {
  const worker = new Worker(new URL("./engine/worker.ts", import.meta.url), { workerData: "small" satisfies WorldName })
  try {
    worker.postMessage(task)
    const [answer] = await once(worker, "message") as [Answer]
    return answer
  } finally {
    await worker.terminate()
  }
}

it(
  "nodes whose work is in small parts keep every promise through 4 seeds, which are always the same runs",
  async () => {
    const task: Task = { seed: 1, count: 4 }
    const [first, second] = await Promise.all([outcome(task), outcome(task)])
    assert.deepStrictEqual(first.failures, [])
    assert.strictEqual(second.events, first.events)
  },
  120_000
)
