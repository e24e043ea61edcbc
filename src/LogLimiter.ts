/**
 * How many lines others can put into the log: a peer that sends a message a thousand times must not fill a disk with
 * what is said about it. Of each kind {@link linesPerWindow} are written in {@link windowMs}; those beyond are counted,
 * and the count is logged when the window ends. A flood costs a few lines, and none goes without a trace.
 */

import { Effect } from "effect"

/** Lines of one kind in one window. */
export const linesPerWindow = 5

/** Milliseconds. */
export const windowMs = 10_000

/** Kinds that are counted in one window; those beyond share one count. */
const maxKinds = 128

/** Lines that were kept back in a window that has ended. */
export interface Suppressed {
  readonly kind: string
  readonly count: number
}

/** The sentence without its numbers: the same problem again has other numbers in it. */
export const kindOfLine = (line: string): string => line.replace(/\d+/g, "#")

export class LogLimiter {
  private readonly nowMs: () => number
  private readonly counts = new Map<string, number>()
  private windowEndsMs = 0

  /** `nowMs` must not go back. */
  constructor(nowMs: () => number) {
    this.nowMs = nowMs
  }

  /** Whether a line of this kind may be written now. It is counted if not. */
  allows(kind: string): boolean {
    const counted = this.counts.has(kind) || this.counts.size < maxKinds ? kind : "other lines"
    const count = (this.counts.get(counted) ?? 0) + 1
    this.counts.set(counted, count)
    return count <= linesPerWindow
  }

  /** Writes a line unless there were too many like it just now. */
  tell(write: (line: string) => Effect.Effect<void>, line: string): Effect.Effect<void> {
    return Effect.suspend(() => this.allows(kindOfLine(line)) ? write(line) : Effect.void)
  }

  /** Ends the window once its time is over, and gives what was kept back in it. To be called now and then. */
  rotate(): ReadonlyArray<Suppressed> {
    const nowMs = this.nowMs()
    if (nowMs < this.windowEndsMs) return []
    this.windowEndsMs = nowMs + windowMs
    const suppressed: Array<Suppressed> = []
    for (const [kind, count] of this.counts) {
      if (count > linesPerWindow) suppressed.push({ kind, count: count - linesPerWindow })
    }
    this.counts.clear()
    return suppressed
  }
}
