/**
 * What strangers do to a port, told in the log: one line for each offence, with the port, who it came from and what was
 * wrong. Of each kind no more than {@link linesPerWindow} in {@link windowMs}; those beyond are counted, and the count is told
 * when the window ends. A flood costs a few lines, and none goes without a trace.
 */
import { Clock, Effect } from "effect"
import { monotonicMsOf } from "../Monotonic.ts"

export type OffenceKind =
  /** The port's limit on connections. */
  | "too-many-connections"
  /** No `Hello` that was accepted in the time for it. */
  | "no-handshake"
  /** A frame that began and did not end in the time for it. */
  | "slow-frame"
  /** Unfinished frames of all connections are over their limit, and this one's is the oldest. */
  | "unfinished-frames"
  | "oversized-frame"
  /** Bytes that are no frame of the protocol. */
  | "malformed-frame"
  /** A call that this version does not know. */
  | "unknown-call"
  /** A call before a `Hello` that was accepted. */
  | "no-hello"
  /** Beyond the limits on calls under way. */
  | "too-many-calls"
  /** Answers that its connection does not take. */
  | "unread-answers"
  /** Another cluster, node or protocol version. */
  | "refused-hello"
  /** Messages that are none, or calls that are made in a wrong way. */
  | "malformed-messages"
  /** HTTP that is none, or not in the time for it. */
  | "malformed-request"

/** Lines of one kind in one window. */
export const linesPerWindow = 5

/** Milliseconds. */
export const windowMs = 10_000

export class Offences {
  /** Where the connections of an RPC server come from, by the number that its handlers know them by. */
  readonly remotes = new Map<number, string>()
  /** The time that windows are measured with. */
  readonly nowMs: () => number
  private readonly port: string
  private readonly log: (line: Effect.Effect<void>) => void
  private readonly counts = new Map<OffenceKind, number>()
  private windowEndsMs = 0

  private constructor(port: string, nowMs: () => number, log: (line: Effect.Effect<void>) => void) {
    this.port = port
    this.nowMs = nowMs
    this.log = log
  }

  /** For the port of that name: "client", "peer" or "http". */
  static readonly make = (port: string): Effect.Effect<Offences> =>
    Effect.zipWith(
      Clock.Clock,
      Effect.context<never>(),
      (clock, context) => new Offences(port, () => monotonicMsOf(clock), Effect.runForkWith(context))
    )

  /** Tells of an offence, unless there were too many of its kind just now. */
  report(offence: OffenceKind, remote: string, problem: string): void {
    this.roll()
    const count = (this.counts.get(offence) ?? 0) + 1
    this.counts.set(offence, count)
    if (count > linesPerWindow) return
    const { port } = this
    const text = problem.replace(/\s+/g, " ").slice(0, 300)
    this.log(
      Effect.annotateLogs(Effect.logWarning(`${port} port: ${text} (from ${remote})`), { port, remote, offence })
    )
  }

  /** {@link report} for a handler, which knows its caller by a number. */
  reportCaller(offence: OffenceKind, clientId: number, problem: string): void {
    this.report(offence, this.remotes.get(clientId) ?? "an address that is gone", problem)
  }

  /** Ends the window once its time is over, and tells of what it kept back. To be called now and then. */
  roll(): void {
    const nowMs = this.nowMs()
    if (nowMs < this.windowEndsMs) return
    this.windowEndsMs = nowMs + windowMs
    const { port } = this
    for (const [offence, count] of this.counts) {
      const suppressed = count - linesPerWindow
      if (suppressed <= 0) continue
      const line = Effect.logWarning(
        `${port} port: ${suppressed} more of ${offence} within ${windowMs / 1_000} seconds`
      )
      this.log(Effect.annotateLogs(line, { port, offence, suppressed }))
    }
    this.counts.clear()
  }
}
