/**
 * Violations of the protocol at a port, in the log: one line for each, with the port, who it came from and what was
 * wrong. `LogLimiter.ts` bounds the lines of each kind.
 */
import { Clock, Effect } from "effect"
import { LogLimiter, windowMs } from "../LogLimiter.ts"
import { monotonicMsOf } from "../Monotonic.ts"
import { oneLine } from "./OneLine.ts"

export type ViolationKind =
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
  /** What TLS shows, or that there is none. */
  | "refused-tls"
  /** Another cluster, node or protocol version. */
  | "refused-hello"
  /** Messages that are none, or calls that are made in a wrong way. */
  | "malformed-messages"
  /** What no correct node could claim. */
  | "peer-violation"
  /** HTTP of a caller that is not known. */
  | "refused-request"
  /** HTTP that is none, or not in the time for it. */
  | "malformed-request"

export { linesPerWindow } from "../LogLimiter.ts"

export class ProtocolViolations {
  /** Where the connections of an RPC server come from, by the number that its handlers know them by. */
  readonly remotes = new Map<number, string>()
  /** How to close them, by the same number. */
  readonly closers = new Map<number, () => void>()
  /** The time that windows are measured with. */
  readonly nowMs: () => number
  private readonly port: string
  private readonly log: (line: Effect.Effect<void>) => void
  private readonly lines: LogLimiter

  private constructor(port: string, nowMs: () => number, log: (line: Effect.Effect<void>) => void) {
    this.port = port
    this.nowMs = nowMs
    this.log = log
    this.lines = new LogLimiter(nowMs)
  }

  /** For the port of that name: "client", "peer" or "http". */
  static readonly make = (port: string): Effect.Effect<ProtocolViolations> =>
    Effect.zipWith(
      Clock.Clock,
      Effect.context<never>(),
      (clock, context) => new ProtocolViolations(port, () => monotonicMsOf(clock), Effect.runForkWith(context))
    )

  /** Logs a violation, unless there were too many of its kind just now. */
  report(violation: ViolationKind, remote: string, problem: string): void {
    this.rotate()
    if (!this.lines.allows(violation)) return
    const { port } = this
    const text = oneLine(problem)
    this.log(
      Effect.annotateLogs(Effect.logWarning(`${port} port: ${text} (from ${remote})`), { port, remote, violation })
    )
  }

  /** Where a caller comes from, by the number that handlers know it by. */
  remoteOf(clientId: number): string {
    return this.remotes.get(clientId) ?? "an address that is gone"
  }

  /** {@link report} for a handler, which knows its caller by a number. */
  reportCaller(violation: ViolationKind, clientId: number, problem: string): void {
    this.report(violation, this.remoteOf(clientId), problem)
  }

  /** {@link reportCaller}, and closes the caller's connection once what it was answered has left. */
  closeCaller(violation: ViolationKind, clientId: number, problem: string): void {
    this.reportCaller(violation, clientId, problem)
    const close = this.closers.get(clientId)
    if (close !== undefined) setImmediate(close)
  }

  /** Another line that others can cause, unless there were too many of its kind just now. */
  limited(kind: string, line: Effect.Effect<void>): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.rotate()
      return this.lines.allows(kind) ? line : Effect.void
    })
  }

  /** Ends the window once its time is over, and tells of what it kept back. To be called now and then. */
  rotate(): void {
    const { port } = this
    for (const { count: suppressed, kind: violation } of this.lines.rotate()) {
      const line = Effect.logWarning(
        `${port} port: ${suppressed} more of ${violation} within ${windowMs / 1_000} seconds`
      )
      this.log(Effect.annotateLogs(line, { port, violation, suppressed }))
    }
  }
}
