/**
 * How far long work has come, on standard error: a bar that is redrawn on a terminal. Elsewhere it is a line now and
 * then, with `--progress`: what a timer starts reports only what came of it.
 */
import { Clock, Effect, Option } from "effect"
import { Flag } from "effect/cli"
import { printableJson } from "../../Printable.ts"
import { makeSwitch } from "../input/Switch.ts"

export const progressFlag = makeSwitch("progress").pipe(
  Flag.withDescription(
    "say on standard error how far it is; default: on a terminal and without --json; --no-progress: never"
  ),
  Flag.optional
)

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

export interface ProgressOptions {
  /** Whether it was asked for, either way. */
  readonly progress: Option.Option<boolean>
  readonly json: boolean
  readonly output?: Output
}

/** Whether progress is shown. */
export const isShown = ({ json, output, progress }: ProgressOptions): boolean =>
  Option.getOrElse(progress, () => (output ?? process.stderr).isTTY === true && !json)

/** Progress of `what`. */
export const make = (what: string, options: ProgressOptions): Effect.Effect<Progress> =>
  Effect.map(Clock.Clock, (clock) => {
    const output: Output = options.output ?? process.stderr
    const shown = isShown(options)
    const bar = output.isTTY === true && !options.json
    const startMs = clock.currentTimeMillisUnsafe()
    let toldMs = startMs
    let drawn = false
    return {
      report: (done, of) =>
        Effect.sync(() => {
          const nowMs = clock.currentTimeMillisUnsafe()
          if (!shown || nowMs - toldMs < (bar ? barMs : lineMs)) return
          toldMs = nowMs
          drawn = bar
          if (options.json) {
            output.write(`${printableJson({ progress: { what, bytes: done, ofBytes: of } })}\n`)
            return
          }
          const line = progressLine(what, done, of, nowMs - startMs)
          output.write(bar ? `\r\u001b[K${line}` : `${line}\n`)
        }),
      end: Effect.sync(() => {
        if (drawn) output.write("\r\u001b[K")
      })
    }
  })
