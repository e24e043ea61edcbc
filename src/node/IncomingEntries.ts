/**
 * Whether this node may take the entries that another one sends. What it takes it acknowledges, and an entry that a
 * majority acknowledged is applied by every node: a command that cannot be applied would stop all of them, and a
 * timestamp far in the future would end every lease and session. So each command is decoded before it is persisted. The
 * decoded command stays with its entry, so that this costs nothing: it is not decoded again where it is applied.
 */
import type { StateMachine } from "../machine/StateMachine.ts"
import type { AppendRequest } from "../raft/Message.ts"
import type { Raft } from "../raft/Raft.ts"
import { maxKeptCommandBytes, maxKeptCommands } from "./KeptCommands.ts"
import type { LogClock } from "./LogClock.ts"

/** Milliseconds that a timestamp may be ahead of both the log and this node's wall clock. */
const maxTimestampAheadMs = 24 * 60 * 60 * 1_000

export interface IncomingEntriesOptions {
  readonly check: StateMachine["Service"]["check"]
  readonly clock: LogClock
  /** This node's wall clock. */
  readonly wallMs: () => number
}

export class IncomingEntries {
  private readonly options: IncomingEntriesOptions

  constructor(options: IncomingEntriesOptions) {
    this.options = options
  }

  /** Why the entries of an append must not be taken, if so. */
  problem({ commit, entries }: AppendRequest, { applied, log }: Pick<Raft, "applied" | "log">): string | undefined {
    const { check, clock, wallMs } = this.options
    let latestMs = -1
    for (const entry of entries) {
      if (log.matches(entry)) continue
      if (entry.kind === "noop") {
        if (entry.payload.byteLength > 0) return `entry ${entry.index} opens a term and carries a command`
        continue
      }
      const invalid = check(entry.payload, "log", entry)
      if (invalid !== undefined) {
        return `entry ${entry.index} holds a command that this node cannot apply (${invalid.message}); ` +
          "if the versions differ, run the same version on every node"
      }
      const isKept = entry.payload.byteLength <= maxKeptCommandBytes && entry.index <= applied + maxKeptCommands
      if (!isKept) entry.decoded = undefined
      // Without any time of its own the node takes that of the cluster, whatever its wall clock says.
      if (!clock.knowsTime) continue
      if (latestMs < 0) latestMs = Math.max(clock.now(), wallMs())
      // What is committed was taken by another node, with another clock: then it is this node's that is wrong.
      if (entry.timestampMs > latestMs + maxTimestampAheadMs && entry.index > commit) {
        return `entry ${entry.index} is timestamped ${
          timeText(entry.timestampMs)
        }, more than a day after the latest time here, ` +
          `${timeText(latestMs)}: look at the clocks of both nodes`
      }
      latestMs = Math.max(latestMs, entry.timestampMs)
    }
    return undefined
  }
}

const timeText = (ms: number): string => {
  const time = new Date(ms)
  return Number.isNaN(time.getTime()) ? `${ms} ms` : time.toISOString()
}
