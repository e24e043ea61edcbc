/** What the owner checks as time passes, beside the core: stalls, what the node waits for, the length of the log. */
import { Effect } from "effect"
import * as Raft from "../raft/Raft.ts"
import type { PeerTransport } from "../transport/PeerTransport.ts"
import type { LogClock } from "./LogClock.ts"
import type { NodeMetrics } from "./NodeMetrics.ts"
import type { OwnerStatus } from "./NodeStatus.ts"
import type { OwnerLog } from "./OwnerLog.ts"
import type { Snapshotter } from "./snapshot/Snapshotter.ts"
import type { WaitReport } from "./WaitReport.ts"
import { waitingOf } from "./Waiting.ts"

export interface UpkeepOptions {
  readonly raft: Raft.Raft
  readonly clock: LogClock
  readonly snapshotter: Snapshotter
  readonly transport: PeerTransport["Service"]
  /** Logs what the node waits for. */
  readonly waits: WaitReport
  readonly lines: OwnerLog
  readonly metrics: NodeMetrics
  /** Milliseconds by which a turn has to be late to be logged as a stall. */
  readonly stallMs: number
  /** Takes what is to be done after the turn. */
  readonly afterwards: (work: Effect.Effect<void>) => void
  readonly describe: () => OwnerStatus
}

export class Upkeep {
  private readonly options: UpkeepOptions

  constructor(options: UpkeepOptions) {
    this.options = options
  }

  /** Ticks have passed, and the turn that takes them came so much later than it was due. */
  passed(lateMs: number): void {
    const { clock, lines, metrics, stallMs } = this.options
    clock.now()
    if (lateMs < stallMs) return
    metrics.stalled()
    const line = `stalled for ${Math.round(lateMs)} ms; stalls near the election timeout depose leaders`
    lines.tell(Effect.logWarning, line)
  }

  /** Logs what is due, and compacts the log: a follower may not need any more what was kept for it. */
  look(): void {
    const { afterwards, lines, waits } = this.options
    lines.suppressed()
    if (waits.isDue()) afterwards(this.tellWaiting())
    this.compactIfDue()
  }

  /** Has what is applied and not needed any more removed from the log, beside the owner. */
  compactIfDue(): void {
    const { afterwards, raft, snapshotter } = this.options
    if (!snapshotter.isDue) return
    const index = snapshotter.compactable(Raft.status(raft))
    const term = index === undefined ? undefined : raft.log.termAt(index)
    if (index !== undefined && term !== undefined) afterwards(snapshotter.compact({ index, term }))
  }

  private tellWaiting(): Effect.Effect<void> {
    const { describe, metrics, transport, waits } = this.options
    const now = describe()
    return Effect.flatMap(transport.health, (peers) => {
      const waiting = waitingOf({ ...now, peers })
      metrics.waiting(waiting?.kind)
      return waits.look(waiting)
    })
  }
}
