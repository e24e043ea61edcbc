/** One thread of a campaign: runs the seeds it is given and answers with what became of them. */
import { parentPort, threadId, workerData } from "node:worker_threads"
import type { WorldName } from "../worlds.ts"
import { worlds } from "../worlds.ts"
import type { Outcome, Task } from "./Seeds.ts"
import { runSeeds } from "./Seeds.ts"

export interface Answer extends Outcome<string> {
  readonly thread: number
}

const world = await worlds[workerData as WorldName].load()

parentPort?.on("message", (task: Task) => {
  const answer: Answer = { thread: threadId, ...runSeeds(world, task) }
  parentPort?.postMessage(answer)
})
