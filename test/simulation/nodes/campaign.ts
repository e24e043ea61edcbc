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
  /** How often each thing happened, and in how many of the seeds. */
  readonly probes: ReadonlyArray<readonly [probe: Probe, count: number, seeds: number]>
}

/** Runs seeds one after the other. */
export const runSeeds = ({ count, seed }: Task): Omit<Answer, "thread"> => {
  const probes = new Probes()
  const failures: Array<string> = []
  let events = 0
  for (let at = seed; at < seed + count; at++) {
    const own = new Probes()
    try {
      events += simulate({ seed: at, probes: own }).events
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error))
    }
    probes.add([...own.counts].map(([probe, hits]) => [probe, hits, 1]))
  }
  return { seeds: count, events, failures, probes: probes.all }
}

parentPort?.on("message", (task: Task) => {
  const answer: Answer = { thread: threadId, ...runSeeds(task) }
  parentPort?.postMessage(answer)
})
