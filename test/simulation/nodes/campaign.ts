/** One thread of a campaign: runs the seeds it is given and answers with what became of them. */
import { parentPort, threadId } from "node:worker_threads"
import type { Probe } from "./Probes.ts"
import { Probes } from "./Probes.ts"
import { simulate } from "./Simulation.ts"

export interface Task {
  readonly seed: number
  readonly count: number
}

export interface Answer {
  readonly thread: number
  readonly seeds: number
  readonly events: number
  readonly failures: ReadonlyArray<string>
  readonly probes: ReadonlyArray<readonly [Probe, number]>
}

/** Runs seeds one after the other. */
export const runSeeds = ({ count, seed }: Task): Omit<Answer, "thread"> => {
  const probes = new Probes()
  const failures: Array<string> = []
  let events = 0
  for (let at = seed; at < seed + count; at++) {
    try {
      events += simulate({ seed: at, probes }).events
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error))
    }
  }
  return { seeds: count, events, failures, probes: [...probes.counts] }
}

parentPort?.on("message", (task: Task) => {
  const answer: Answer = { thread: threadId, ...runSeeds(task) }
  parentPort?.postMessage(answer)
})
