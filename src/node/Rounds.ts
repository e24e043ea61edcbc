/** Appends commands in rounds, as `Gathering.ts` decides, by the timer of the node. */
import type { Raft } from "../raft/Raft.ts"
import type { LogIndex } from "../raft/Types.ts"
import type { RaftTimer } from "../timer/RaftTimer.ts"
import { Gathering } from "./Gathering.ts"
import type { Submission } from "./Pending.ts"

export interface RoundsOptions {
  readonly raft: Raft
  readonly timer: RaftTimer["Service"]
}

export class Rounds {
  private readonly gathering = new Gathering()
  private readonly options: RoundsOptions

  constructor(options: RoundsOptions) {
    this.options = options
  }

  /** What a turn hands to the core, of what came with it and of what waits. */
  next(came: ReadonlyArray<Submission>, leading: boolean): ReadonlyArray<Submission> {
    const { gathering, options: { raft, timer } } = this
    if (came.length === 0 && !gathering.waits) return came
    const nowMs = timer.monotonicMsUnsafe()
    gathering.add(came, nowMs)
    // The core refuses what comes to a node that does not lead, and where time may stand nothing may wait for it.
    if (!leading || timer.wakeUnsafe === undefined) return gathering.takeAll()
    const underWay = raft.log.lastIndex > raft.applied
    const together = gathering.take(underWay, nowMs)
    const dueMs = gathering.dueMs(underWay, nowMs)
    if (dueMs !== undefined) timer.wakeUnsafe(dueMs)
    return together
  }

  /** Entries up to `index` are applied, and their callers are answered. */
  applied(index: LogIndex): void {
    const { raft, timer } = this.options
    if (index >= raft.log.lastIndex) this.gathering.roundEnded(timer.monotonicMsUnsafe())
  }

  /** What waits and was never handed to the core. */
  close(): ReadonlyArray<Submission> {
    return this.gathering.takeAll()
  }
}
