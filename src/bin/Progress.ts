/** How far long work has come, on standard error: a bar that is drawn anew on a terminal, a line now and then elsewhere. */
import { Clock, Effect } from "effect"

export interface Progress {
  /** Tells how far it is; `of` is 0 while that is unknown. */
  readonly report: (done: number, of: number) => Effect.Effect<void>
  /** Takes the bar away. */
  readonly end: Effect.Effect<void>
}

/** How often a bar is drawn, and a line is printed, in milliseconds. */
const barMs = 100
const lineMs = 2_000

const barWidth = 30

const units = ["B", "KiB", "MiB", "GiB", "TiB"] as const

/** Bytes as people read them. */
export const formatBytes = (bytes: number): string => {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`
}

/** One line about it. An estimate that was passed is taken for what there is. */
export const progressLine = (what: string, done: number, of: number, elapsedMs: number): string => {
  const rate = elapsedMs < 1 ? "" : `, ${formatBytes(Math.round((done / elapsedMs) * 1000))}/s`
  if (of <= 0) return `${what}: ${formatBytes(done)}${rate}`
  const share = Math.min(1, done / Math.max(done, of))
  const filled = Math.round(share * barWidth)
  return `${what}: [${"#".repeat(filled)}${".".repeat(barWidth - filled)}] ${Math.floor(share * 100)} %, ${
    formatBytes(done)
  }${rate}`
}

interface Output {
  readonly isTTY?: boolean
  readonly write: (text: string) => boolean
}

/** Progress of `what`; `quiet` says nothing at all. */
export const make = (
  what: string,
  options: { readonly quiet: boolean; readonly output?: Output }
): Effect.Effect<Progress> =>
  Effect.map(Clock.Clock, (clock) => {
    const output: Output = options.output ?? process.stderr
    const terminal = output.isTTY === true
    const startMs = clock.currentTimeMillisUnsafe()
    let toldMs = startMs
    let drawn = false
    return {
      report: (done, of) =>
        Effect.sync(() => {
          const nowMs = clock.currentTimeMillisUnsafe()
          if (options.quiet || nowMs - toldMs < (terminal ? barMs : lineMs)) return
          toldMs = nowMs
          const line = progressLine(what, done, of, nowMs - startMs)
          drawn = terminal
          output.write(terminal ? `\r\u001b[K${line}` : `${line}\n`)
        }),
      end: Effect.sync(() => {
        if (drawn) output.write("\r\u001b[K")
      })
    }
  })
