/** What processes take, as Linux tells it. On other systems these figures are absent. */
import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"

/** What a process has used of the machine since it started. */
export interface Usage {
  /** Processor time in milliseconds. */
  readonly cpuMs: number
  /** Resident memory now, in MiB. */
  readonly rssMiB: number
}

/** Milliseconds in a tick of /proc: Linux counts a hundred in a second on every machine that runs Node. */
const tickMs = 10

export const usageOf = (pid: number): Usage | undefined => {
  try {
    // The name of the program is in parentheses and may hold anything.
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? []
    const resident = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]
    return { cpuMs: (Number(stat[11]) + Number(stat[12])) * tickMs, rssMiB: Number(resident) / 1024 }
  } catch {
    return undefined
  }
}

/**
 * Bytes that were sent over the connections that one of these local ports takes part in, in both directions, since they
 * were opened. Each connection is counted once, at the side that listens.
 */
export const bytesOnWire = (ports: ReadonlySet<number>): Promise<number | undefined> =>
  new Promise((resolve) => {
    execFile("ss", ["-tinH", "state", "established"], { maxBuffer: 64 * 1024 * 1024 }, (error, out) => {
      resolve(error === null ? sumBytes(out, ports) : undefined)
    })
  })

/** `ss` prints two lines for a connection: its addresses, then its figures. */
export const sumBytes = (out: string, ports: ReadonlySet<number>): number => {
  let bytes = 0
  let counted = false
  for (const line of out.split("\n")) {
    if (!/^\s/.test(line)) {
      const local = /^\S+\s+\S+\s+\S+:(\d+)\s/.exec(line)?.[1]
      counted = local !== undefined && ports.has(Number(local))
    }
    if (!counted) continue
    for (const [, figure] of line.matchAll(/\bbytes_(?:sent|received):(\d+)/g)) bytes += Number(figure)
  }
  return bytes
}
