/**
 * The disk of one node: what survives a crash, and what waits to. One batch follows the other: hard state first, then
 * the truncation together with the entries, as the storage layer writes them.
 */
import type { Persist, RestartLog } from "../../../src/raft/Output.ts"
import type { Recovered } from "../../../src/raft/Raft.ts"
import type { Entry, HardState, LogPoint, MembershipRole, Term, TermRun } from "../../../src/raft/Types.ts"
import { LogIndex, maxIndex, origin, Term as toTerm } from "../../../src/raft/Types.ts"
import type { Random } from "../Random.ts"

export class SimDisk {
  hardState: HardState = { term: toTerm(0), votedFor: undefined, commit: LogIndex(0) }
  compacted: LogPoint = origin
  entries: Array<Entry> = []
  /** The state machine on disk, which may lag behind the one in memory. */
  applied: LogIndex = LogIndex(0)
  /** The last entry of the snapshot the state came from. */
  private installed: LogPoint = origin
  /** Handed over, lost by a crash. */
  unsynced: Array<Persist | RestartLog> = []
  /** A bug to put in: truncations are forgotten. */
  forgetTruncation = false
  /** What this node held before its disk was lost, for the oracle: it had kept its word then. */
  readonly before: SimDisk | undefined
  /** Whether this is an older state of the directory, which was put back. */
  wasPutBack = false

  constructor(membership: MembershipRole, before?: SimDisk) {
    if (membership !== "voter") this.hardState = { ...this.hardState, membership }
    this.before = before
  }

  /** What a copy of the directory holds: everything that is durable now. */
  copy(before?: SimDisk): SimDisk {
    const copy = new SimDisk("voter", before)
    copy.hardState = this.hardState
    copy.compacted = this.compacted
    copy.entries = [...this.entries]
    copy.applied = this.applied
    copy.installed = this.installed
    copy.forgetTruncation = this.forgetTruncation
    return copy
  }

  /** Whether this node votes, as far as its disk knows. */
  get votes(): boolean {
    return this.hardState.membership === undefined
  }

  /** Whether a snapshot was installed whose meaning for the log has not reached the disk: a start would see to it. */
  get restartsLog(): boolean {
    const { index, term } = this.installed
    return index > this.compacted.index && this.at(index)?.term !== term
  }

  /** The entry behind which a start would find the log to begin. */
  get base(): LogPoint {
    return this.restartsLog ? this.installed : this.compacted
  }

  get lastIndex(): LogIndex {
    return this.restartsLog ? this.installed.index : LogIndex(this.compacted.index + this.entries.length)
  }

  at(index: number): Entry | undefined {
    return this.entries[index - this.compacted.index - 1]
  }

  termAt(index: number): Term | undefined {
    if (index === this.base.index) return this.base.term
    return this.restartsLog ? undefined : this.at(index)?.term
  }

  /** Makes one write durable. */
  write(persist: Persist | RestartLog): void {
    if (persist._tag === "RestartLog") return this.restart(persist)
    if (persist.hardState !== undefined) this.hardState = persist.hardState
    if (persist.truncateFrom !== undefined && !this.forgetTruncation) this.truncate(persist.truncateFrom)
    for (const entry of persist.entries) {
      const at = entry.index - this.compacted.index - 1
      if (at < 0) continue
      if (at > this.entries.length) throw new Error(`entry ${entry.index} leaves a gap in the log`)
      this.entries[at] = entry
    }
  }

  private truncate(from: LogIndex): void {
    this.entries.length = Math.max(0, Math.min(this.entries.length, from - this.compacted.index - 1))
  }

  /** Whether a crash now could keep the hard state of the next write and lose its entries: rare, and worth having. */
  get couldTear(): boolean {
    return tearable(this.unsynced[0])
  }

  /**
   * Loses what was not synced, or all but its beginning. Answers what survived by luck: `torn` when a write was cut.
   */
  crash(random: Random, appliedInMemory: LogIndex): { readonly lost: boolean; readonly torn: boolean } {
    const kept = random.below(this.unsynced.length + 1)
    for (const persist of this.unsynced.slice(0, kept)) this.write(persist)
    const next = this.unsynced[kept]
    const torn = tearable(next) && random.chance(0.7)
    if (next?._tag === "Persist" && torn) this.write({ ...next, truncateFrom: undefined, entries: [] })
    this.unsynced = []
    this.applied = LogIndex(this.applied + random.below(appliedInMemory - this.applied + 1))
    return { lost: next !== undefined, torn }
  }

  compact(through: LogIndex): void {
    const term = this.termAt(through)
    if (this.restartsLog || term === undefined || through <= this.compacted.index) return
    this.entries = this.entries.slice(through - this.compacted.index)
    this.compacted = { index: through, term }
    this.applied = maxIndex(this.applied, through)
  }

  /** Makes a snapshot the state; the log is another matter. */
  install(point: LogPoint): void {
    this.installed = point
    this.applied = maxIndex(this.applied, point.index)
  }

  private restart({ keepsTail, point }: Pick<RestartLog, "point" | "keepsTail">): void {
    if (keepsTail && point.index <= this.compacted.index) return
    this.entries = keepsTail ? this.entries.slice(point.index - this.compacted.index) : []
    this.compacted = point
  }

  recover(): Recovered {
    if (this.restartsLog) this.restart({ point: this.installed, keepsTail: false })
    const termRuns: Array<TermRun> = []
    for (const { index, term } of this.entries) {
      if (termRuns[termRuns.length - 1]?.term !== term) termRuns.push({ firstIndex: index, term })
    }
    const { applied, compacted, hardState, lastIndex } = this
    return { hardState, compacted, lastIndex, termRuns, applied }
  }
}

const tearable = (persist: Persist | RestartLog | undefined): boolean =>
  persist?._tag === "Persist" && persist.hardState !== undefined && persist.entries.length > 0
