/**
 * Logs what a node waits for: soon, again after some seconds, then now and then for as long as it waits, and when it is
 * over. A start and an election wait briefly, which is not logged.
 */
import { Effect } from "effect"
import { formatDuration } from "../DurationText.ts"
import type { LogLimiter } from "../LogLimiter.ts"
import { kindOfLine } from "../LogLimiter.ts"
import type { Waiting } from "./Waiting.ts"

/** Milliseconds between two looks. */
const lookMs = 500

/** Milliseconds of waiting before the first and the second line, and between all later ones. */
const firstMs = 1_000
const secondMs = 5_000
const againMs = 30_000

export class WaitReport {
  private readonly nowMs: () => number
  private readonly lines: LogLimiter
  private nextLookMs = Number.NEGATIVE_INFINITY
  private last: Waiting | undefined
  private sinceMs = 0
  private nextLineMs = 0
  private told = false

  /** `nowMs` must not go back. */
  constructor(nowMs: () => number, lines: LogLimiter) {
    this.nowMs = nowMs
    this.lines = lines
  }

  /** Whether it is time to look again. */
  isDue(): boolean {
    const nowMs = this.nowMs()
    if (nowMs < this.nextLookMs) return false
    this.nextLookMs = nowMs + lookMs
    return true
  }

  /** Takes what the node waits for now, and logs it when that is due. */
  look(waiting: Waiting | undefined): Effect.Effect<void> {
    return Effect.suspend(() => {
      const nowMs = this.nowMs()
      const { last } = this
      this.last = waiting
      if (waiting === undefined) return this.ended(last, nowMs)
      if (last === undefined) {
        this.sinceMs = nowMs
        this.nextLineMs = nowMs + firstMs
        return Effect.void
      }
      const other = waiting.kind !== last.kind || waiting.nodes.join() !== last.nodes.join()
      if (nowMs < this.nextLineMs && !(other && this.told)) return Effect.void
      const waitedMs = nowMs - this.sinceMs
      const long = waitedMs >= secondMs
      this.nextLineMs = long ? nowMs + againMs : Math.max(this.sinceMs + secondMs, nowMs + firstMs)
      this.told = true
      return this.line(long ? Effect.logWarning : Effect.logInfo, waiting, waiting.text, waitedMs)
    })
  }

  private ended(last: Waiting | undefined, nowMs: number): Effect.Effect<void> {
    const { told } = this
    this.told = false
    if (last === undefined || !told) return Effect.void
    const waitedMs = nowMs - this.sinceMs
    return this.line(Effect.logInfo, last, `waits no longer, after ${formatDuration(waitedMs)}`, waitedMs)
  }

  private line(
    log: (text: string) => Effect.Effect<void>,
    { kind }: Waiting,
    text: string,
    waitedMs: number
  ): Effect.Effect<void> {
    if (!this.lines.allows(kindOfLine(text))) return Effect.void
    return Effect.annotateLogs(log(text), { waitsFor: kind, waitedMs: Math.round(waitedMs) })
  }
}
