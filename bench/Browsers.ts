/** Browsers of a benchmark, and what one of them, which is many processes, takes of the processors (Linux). */
import { Effect } from "effect"
import type { Scope } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import { chromium } from "playwright-core"
import type { Browser } from "playwright-core"

/** Debian's, unless another one is named. */
export const browserProgram = process.env["CHROMIUM"] ?? "/usr/bin/chromium"

export interface LaunchedBrowser {
  readonly browser: Browser
  /** Milliseconds of processor time that its processes took since they began, by what Chromium calls them. */
  readonly processorTime: () => Readonly<Record<string, number>>
}

/** A browser for as long as the scope is open. It paints on the processor. */
export const launchBrowser = (executablePath: string): Effect.Effect<LaunchedBrowser, never, Scope.Scope> =>
  Effect.gen(function*() {
    const server = yield* Effect.acquireRelease(
      Effect.promise(() => chromium.launchServer({ executablePath, args: ["--no-sandbox", "--disable-gpu"] })),
      (launched) => Effect.promise(() => launched.close())
    )
    const browser = yield* Effect.promise(() => chromium.connect(server.wsEndpoint()))
    const pid = server.process().pid ?? Number.NaN
    return { browser, processorTime: () => processorTimeByKind(pid) }
  })

/** Ticks in a second of `/proc/PID/stat`: Linux has had this value on all machines since 2.6. */
const ticksPerSecond = 100

interface ProcessFound {
  readonly parent: number
  readonly ms: number
  readonly kind: string
}

/** A process that ends while it is read is none. */
const processOf = (pid: number): ProcessFound | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
    // The name, in brackets, may hold anything.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    const [type] = /--type=([a-z-]+)/.exec(readFileSync(`/proc/${pid}/cmdline`, "latin1"))?.slice(1) ?? []
    return {
      parent: Number(fields[1]),
      ms: (Number(fields[11]) + Number(fields[12])) * 1_000 / ticksPerSecond,
      kind: type ?? "browser"
    }
  } catch {
    return undefined
  }
}

const processorTimeByKind = (root: number): Readonly<Record<string, number>> => {
  const processes = new Map<number, ProcessFound>()
  for (const name of readdirSync("/proc")) {
    const found = /^\d+$/.test(name) ? processOf(Number(name)) : undefined
    if (found !== undefined) processes.set(Number(name), found)
  }
  const isBelow = (pid: number): boolean => {
    for (let at: number | undefined = pid; at !== undefined && at > 1; at = processes.get(at)?.parent) {
      if (at === root) return true
    }
    return false
  }
  const times: Record<string, number> = {}
  for (const [pid, { kind, ms }] of processes) if (isBelow(pid)) times[kind] = (times[kind] ?? 0) + ms
  return times
}
