/** What a process and its data directory take, as the system tells it (Linux). */
import { Effect } from "effect"
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"

export interface Resources {
  /** Resident memory in MiB. */
  readonly rssMiB: number
  /** Bytes allocated on disk under the directory, in MiB. */
  readonly diskMiB: number
}

const mebi = 1024 * 1024

const statusMiB = (pid: number, field: string): number => {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))
  return match === null ? Number.NaN : Number(match[1]) / 1024
}

/** The most resident memory since the process started, or since {@link forgetPeak}, in MiB. */
export const peakMiB = (pid: number): Effect.Effect<number> => Effect.sync(() => statusMiB(pid, "VmHWM"))

/** Lets the peak of a process begin anew with what it takes now. */
export const forgetPeak = (pid: number): Effect.Effect<void> =>
  Effect.sync(() => writeFileSync(`/proc/${pid}/clear_refs`, "5"))

/** Files come and go while they are counted: one that is gone counts nothing. */
const allocatedBytes = (directory: string): number => {
  let bytes = 0
  for (const name of readdirSync(directory)) {
    try {
      const stat = statSync(join(directory, name))
      bytes += stat.isDirectory() ? allocatedBytes(join(directory, name)) : stat.blocks * 512
    } catch {
      continue
    }
  }
  return bytes
}

export const resourcesOf = (pid: number, directory: string): Effect.Effect<Resources> =>
  Effect.sync(() => ({ rssMiB: statusMiB(pid, "VmRSS"), diskMiB: allocatedBytes(directory) / mebi }))

/** Bytes that a process has had written to disks since it started: what went through the page cache counts once. */
export const writtenBytes = (pid: number): Effect.Effect<number> =>
  Effect.sync(() => {
    const match = /^write_bytes: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, "utf8"))
    return match === null ? Number.NaN : Number(match[1])
  })

/** Seconds of processor time. */
export interface ProcessorTime {
  readonly all: number
  /** Of the thread that runs JavaScript alone. Nothing can take less time than that, whatever else the machine does. */
  readonly mainThread: number
}

/** Processor time that a process has taken since it started; the system counts that of all threads in hundredths. */
export const processorTime = (pid: number): Effect.Effect<ProcessorTime> =>
  Effect.sync(() => {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
    const [, , , , , , , , , , , , user, system] = stat.slice(stat.lastIndexOf(")") + 1).split(" ")
    const [onProcessor] = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, "utf8").split(" ")
    return { all: (Number(user) + Number(system)) / 100, mainThread: Number(onProcessor) / 1e9 }
  })
