/**
 * What a leader knows about one follower's log, and how it sends to it.
 *
 * - `probe`: the place where the logs agree is not known; one append at a time, until one is accepted.
 * - `replicate`: it is known; appends are sent optimistically, bounded in messages and bytes.
 * - `snapshot`: the follower needs entries the log no longer has; nothing is sent until a snapshot is installed.
 *
 * Each transition is a method here and nowhere else.
 */
import type { LogIndex } from "./Types.ts"
import { addIndex, LogIndex as toIndex, maxIndex } from "./Types.ts"

export type ProgressState = "probe" | "replicate" | "snapshot"

interface Inflight {
  readonly last: LogIndex
  readonly bytes: number
}

export interface InflightLimits {
  readonly maxInflightMessages: number
  readonly maxInflightBytes: number
}

export class Progress {
  state: ProgressState = "probe"
  /**
   * The highest index known to be durable at the follower and equal to the leader's. It goes back only when the
   * follower has lost its disk. It decides what to send, never what is committed.
   */
  match: LogIndex = toIndex(0)
  /**
   * The highest index that the follower acknowledged as a voter. Only this counts towards a commit. It never goes
   * back: an acknowledgement stays true after the disk behind it was lost, because the follower is no voter then.
   * (`Join.ts`)
   */
  acknowledged: LogIndex = toIndex(0)
  /** Whether the follower was a voter when it last answered. */
  voter = true
  /** The next index to send; always above `match`. */
  next: LogIndex
  /** In `probe`: an append is out and nothing more is sent until an answer or a heartbeat's. */
  probing = false
  /** Entries for it are being read from disk. */
  reading = false
  /** Ticks since it last answered as a voter. */
  silentTicks = 0
  /** {@link held} when it last answered a heartbeat: no progress between two of them means something was lost. */
  heldAtHeartbeat: LogIndex = toIndex(0)
  private inflight: Array<Inflight> = []
  private sentBytes = 0

  constructor(next: LogIndex) {
    this.next = next
  }

  /** Whether another append may be sent now. */
  canSend(limits: InflightLimits): boolean {
    if (this.reading) return false
    if (this.state === "probe") return !this.probing
    if (this.state === "snapshot") return false
    return this.inflight.length < limits.maxInflightMessages && this.sentBytes < limits.maxInflightBytes
  }

  /** How far it has come in what it is: a voter's acknowledgements, a non-voter's log. */
  get held(): LogIndex {
    return this.voter ? this.acknowledged : this.match
  }

  /** Whether it answered as a voter within so many ticks. */
  heardWithin(ticks: number): boolean {
    return this.silentTicks <= ticks
  }

  /** It answered, as a voter or not. */
  answered(voter: boolean): void {
    this.voter = voter
    if (voter) this.silentTicks = 0
  }

  get inflightMessages(): number {
    return this.inflight.length
  }

  get inflightBytes(): number {
    return this.sentBytes
  }

  /** An append that ends at `last` was sent. */
  sent(last: LogIndex, bytes: number): void {
    if (this.state === "probe") {
      this.probing = true
    } else if (bytes > 0) {
      this.next = addIndex(last, 1)
      this.inflight.push({ last, bytes })
      this.sentBytes += bytes
    }
  }

  /** The follower has everything up to `match`. An answer that says less than an earlier one came late. */
  accepted(match: LogIndex): void {
    this.match = maxIndex(this.match, match)
    this.next = maxIndex(this.next, addIndex(match, 1))
    let freed = 0
    while (freed < this.inflight.length && (this.inflight[freed] as Inflight).last <= match) {
      this.sentBytes -= (this.inflight[freed] as Inflight).bytes
      freed += 1
    }
    if (freed > 0) this.inflight.splice(0, freed)
    if (this.state === "probe" && match >= this.match) this.becomeReplicate()
  }

  /**
   * The follower refused an append after `rejected`; the logs may agree up to `agreed`. `false` for an old
   * answer, which is ignored.
   */
  rejected(rejected: LogIndex, agreed: LogIndex): boolean {
    if (rejected <= this.match) return false
    if (this.state === "probe" && rejected !== addIndex(this.next, -1)) return false
    if (this.state === "snapshot") return false
    const next = agreed < rejected ? addIndex(agreed, 1) : rejected
    this.becomeProbe(maxIndex(addIndex(this.match, 1), next))
    return true
  }

  becomeProbe(next: LogIndex = addIndex(this.match, 1)): void {
    this.state = "probe"
    this.next = maxIndex(next, addIndex(this.match, 1))
    this.probing = false
    this.clearInflight()
  }

  /** The follower's disk was lost, and with it everything it had. */
  restart(next: LogIndex): void {
    this.match = toIndex(0)
    this.heldAtHeartbeat = this.match
    this.voter = false
    this.becomeProbe(next)
  }

  becomeSnapshot(): void {
    this.state = "snapshot"
    this.clearInflight()
  }

  private becomeReplicate(): void {
    this.state = "replicate"
    this.next = addIndex(this.match, 1)
    this.probing = false
    this.clearInflight()
  }

  private clearInflight(): void {
    this.inflight = []
    this.sentBytes = 0
  }
}
