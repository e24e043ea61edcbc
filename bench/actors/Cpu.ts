/**
 * Processor time of a point, in milliseconds: of this process, which is the runner and its callers, and of what is
 * behind the back end. Unlike calls a second it hardly depends on what else the machine does.
 */
import { readdirSync, readFileSync } from "node:fs"

/** A tick of `/proc/PID/stat`, in milliseconds. */
const tickMs = 10

export interface Cpu {
  readonly runnerMs: number
  /** Not known where there is no `/proc`. */
  readonly storeMs: number | undefined
}

/** Time that processes and their children have had, also of children that have ended. */
const storeMs = (pids: ReadonlySet<number>): number | undefined => {
  try {
    let ticks = 0
    for (const name of readdirSync("/proc")) {
      if (!/^\d+$/.test(name)) continue
      try {
        const fields = readFileSync(`/proc/${name}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? []
        const isRoot = pids.has(Number(name))
        if (!isRoot && !pids.has(Number(fields[1]))) continue
        ticks += Number(fields[11]) + Number(fields[12]) + (isRoot ? Number(fields[13]) + Number(fields[14]) : 0)
      } catch {
        // It has ended meanwhile.
      }
    }
    return ticks * tickMs
  } catch {
    return undefined
  }
}

/** What is used from now on, as of when it is asked. */
export const start = (pids: ReadonlyArray<number>): () => Cpu => {
  const roots = new Set(pids)
  const before = process.cpuUsage()
  const storeBefore = storeMs(roots)
  return () => {
    const { system, user } = process.cpuUsage(before)
    const storeNow = storeMs(roots)
    return {
      runnerMs: (system + user) / 1_000,
      storeMs: storeNow === undefined || storeBefore === undefined ? undefined : storeNow - storeBefore
    }
  }
}
