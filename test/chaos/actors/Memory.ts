/**
 * What processes take of memory as a run goes on, and whether that stays as it is.
 *
 * A process is judged when it lived through the second half of the run: what it took at the median over the run's last
 * quarter is compared with the quarter before the middle. The first quarter is for caches and compiled code. A part of it
 * may come on top, and an amount for what collections and caches do.
 */
import { readFileSync } from "node:fs"

const mebi = 1024 * 1024

export interface Sample {
  readonly atMs: number
  /** The process, as it is named, and its id: another process of the same name is another one. */
  readonly name: string
  readonly pid: number
  readonly rssMiB: number
  /** After a collection; absent for a process that does not say. */
  readonly heapMiB: number | undefined
}

/** What may come on top: a share, and MiB. */
const allowed = { rss: { share: 0.15, mib: 48 }, heap: { share: 0.15, mib: 8 } } as const

/** Samples of a quarter without which nothing is said. */
const minSamples = 3

const rssOf = (pid: number): number | undefined => {
  try {
    const found = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))
    return found === null ? undefined : Number(found[1]) / 1024
  } catch {
    return undefined
  }
}

const median = (values: ReadonlyArray<number>): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number

export interface Watched {
  readonly name: string
  readonly pid: () => number | undefined
  readonly heapBytes?: number | undefined
}

export class Memory {
  private readonly samples: Array<Sample> = []

  /** Looks at each process that runs. */
  sample(atMs: number, processes: ReadonlyArray<Watched>): void {
    for (const { heapBytes, name, pid } of processes) {
      const id = pid()
      const rssMiB = id === undefined ? undefined : rssOf(id)
      if (id === undefined || rssMiB === undefined) continue
      const heapMiB = heapBytes === undefined ? undefined : heapBytes / mebi
      this.samples.push({ atMs, name, pid: id, rssMiB, heapMiB })
    }
  }

  /** The last samples, in one line. */
  get now(): string {
    const last = this.samples.at(-1)?.atMs
    return this.samples.filter(({ atMs }) => atMs === last).map(({ heapMiB, name, rssMiB }) =>
      `${name} ${rssMiB.toFixed(0)}${heapMiB === undefined ? "" : ` (heap ${heapMiB.toFixed(0)})`}`
    ).join(", ")
  }

  /** Judges a run of this length. */
  judge(runMs: number): { readonly lines: ReadonlyArray<string>; readonly problems: ReadonlyArray<string> } {
    const lines: Array<string> = []
    const problems: Array<string> = []
    for (const pid of new Set(this.samples.map((sample) => sample.pid))) {
      const own = this.samples.filter((sample) => sample.pid === pid)
      const between = (from: number, to: number) => own.filter(({ atMs }) => atMs >= from * runMs && atMs < to * runMs)
      const [before, after] = [between(0.25, 0.5), between(0.75, 1)]
      if (before.length < minSamples || after.length < minSamples) continue
      const compare = (what: "rss" | "heap", of: (sample: Sample) => number | undefined) => {
        const [from, to] = [before, after].map((samples) => samples.map(of).filter((value) => value !== undefined))
        if (from === undefined || to === undefined || from.length < minSamples || to.length < minSamples) return
        const { mib, share } = allowed[what]
        const line = `${own[0]?.name} (${pid}): ${what} ${median(from).toFixed(0)} MiB, then ${
          median(to).toFixed(0)
        } MiB`
        lines.push(line)
        if (median(to) > median(from) * (1 + share) + mib) problems.push(`memory grows: ${line}`)
      }
      compare("rss", ({ rssMiB }) => rssMiB)
      compare("heap", ({ heapMiB }) => heapMiB)
    }
    return { lines, problems }
  }
}
