/**
 * The log lines of the owner. A turn is synchronous, so it leaves its lines for after it; and because peers and clients
 * cause most of them, only some of each kind are written.
 */
import { Effect } from "effect"
import type { LogLimiter } from "../LogLimiter.ts"
import { kindOfLine, windowMs } from "../LogLimiter.ts"
import type { DirectoryRolledBack, Trace } from "../raft/Output.ts"

export class OwnerLog {
  private readonly lines: LogLimiter
  private readonly handOver: (line: Effect.Effect<void>) => void

  /** `handOver` takes what is to be done after the turn, in order. */
  constructor(lines: LogLimiter, handOver: (line: Effect.Effect<void>) => void) {
    this.lines = lines
    this.handOver = handOver
  }

  /** Leaves a line for after the turn, unless there were too many like it just now. */
  tell(
    log: (line: string) => Effect.Effect<void>,
    line: string,
    annotations: Record<string, unknown> = {}
  ): void {
    if (!this.lines.allows(kindOfLine(line))) return
    this.handOver(Effect.annotateLogs(log(line), annotations))
  }

  /** Says how many lines were kept back in a window that has ended. To be called now and then. */
  suppressed(): void {
    for (const { count, kind } of this.lines.rotate()) {
      const line = Effect.logWarning(`${count} more lines like "${kind}" within ${windowMs / 1_000} seconds`)
      this.handOver(Effect.annotateLogs(line, { suppressed: count }))
    }
  }

  /** The directory is older than what the node acknowledged: an operator has to know. */
  rolledBack({ acknowledged, last, leader }: DirectoryRolledBack): void {
    const line =
      `the data directory is older than what this node acknowledged: node ${leader}, which leads, holds its ` +
      `acknowledgement of entry ${acknowledged.index} of term ${acknowledged.term}, and its log ends at ` +
      `${last.index} of term ${last.term}. The node is no voter until it has caught up. If the directory was ` +
      "restored from a copy, see deploy/runbooks/lost-node.md."
    this.tell(Effect.logError, line, {
      event: "DirectoryRolledBack",
      leader,
      acknowledgedIndex: acknowledged.index,
      acknowledgedTerm: acknowledged.term,
      lastIndex: last.index,
      lastTerm: last.term
    })
  }

  /** What the core says about itself. */
  trace({ level, message }: Trace): void {
    switch (level) {
      case "debug":
        // The log level is `debug` only where all of these are wanted, so none is suppressed.
        return void this.handOver(Effect.logDebug(message))
      case "info":
        return this.tell(Effect.logInfo, message)
      case "warning":
        return this.tell(Effect.logWarning, message)
    }
  }
}
