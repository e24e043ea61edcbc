/**
 * How much of the log is applied and still there, and how much of it may go. Plain data of the owner: it counts
 * entries as they are applied, in a few dozen segments, so that "the oldest so many bytes" has an answer without a
 * disk.
 */
import { entryBytes } from "../raft/Config.ts"
import type { Entry } from "../raft/Types.ts"
import { LogIndex } from "../raft/Types.ts"

export interface LogMeterLimits {
  /** Applied entries, and bytes of them, past which the log is compacted. */
  readonly maxLogEntries: number
  readonly maxLogBytes: number
  /** Applied entries that stay, as long as they take up no more than half of the bytes. */
  readonly logSlackEntries: number
}

/** Segments the limits are divided into: compaction is exact to one of them. */
const segments = 32

interface Segment {
  through: LogIndex
  bytes: number
}

export class LogMeter {
  private readonly limits: LogMeterLimits
  /** The last entry that is gone. */
  private base: LogIndex
  /** The last entry that was counted. */
  private end: LogIndex
  private bytes = 0
  private parts: Array<Segment> = []

  /** `recovered` is what the start found: its bytes are taken to be spread evenly. */
  constructor(
    limits: LogMeterLimits,
    recovered: { readonly compacted: LogIndex; readonly lastIndex: LogIndex; readonly bytes: number },
    applied: LogIndex
  ) {
    const { bytes, compacted, lastIndex } = recovered
    this.limits = limits
    this.base = compacted
    this.end = compacted
    const share = Math.ceil((applied - compacted) / segments)
    while (this.end < applied) {
      const through = LogIndex(Math.min(this.end + share, applied))
      const part = { through, bytes: Math.ceil(bytes * (through - this.end) / (lastIndex - compacted)) }
      this.parts.push(part)
      this.bytes += part.bytes
      this.end = through
    }
  }

  get entries(): number {
    return this.end - this.base
  }

  /** Counts entries that were applied. */
  applied(entries: ReadonlyArray<Entry>): void {
    const { maxLogBytes, maxLogEntries } = this.limits
    for (const entry of entries) {
      if (entry.index <= this.end) continue
      const last = this.parts[this.parts.length - 1]
      const before = this.parts[this.parts.length - 2]?.through ?? this.base
      const bytes = entryBytes(entry)
      this.end = entry.index
      this.bytes += bytes
      if (
        last !== undefined && last.bytes < maxLogBytes / segments && entry.index - before <= maxLogEntries / segments
      ) {
        last.through = entry.index
        last.bytes += bytes
      } else this.parts.push({ through: entry.index, bytes })
    }
  }

  /** Whether the log is past `factor` times its limits. */
  isOver(factor = 1): boolean {
    const { maxLogBytes, maxLogEntries } = this.limits
    return this.entries > maxLogEntries * factor || this.bytes > maxLogBytes * factor
  }

  /** Whether the applied log has more bytes than that. */
  exceeds(bytes: number): boolean {
    return this.bytes > bytes
  }

  /** Through where the log may go so that only the slack stays. */
  excess(): LogIndex {
    const { logSlackEntries, maxLogBytes } = this.limits
    let through = this.base
    let { bytes } = this
    for (const part of this.parts) {
      const spare = this.end - part.through >= logSlackEntries || bytes > maxLogBytes / 2
      if (!spare || part.through === this.end) break
      through = part.through
      bytes -= part.bytes
    }
    return through
  }

  /** The log is gone up to `through`. */
  compacted(through: LogIndex): void {
    if (through <= this.base) return
    this.base = through
    let gone = 0
    while (gone < this.parts.length && (this.parts[gone] as Segment).through <= through) {
      this.bytes -= (this.parts[gone] as Segment).bytes
      gone += 1
    }
    if (gone > 0) this.parts.splice(0, gone)
    if (this.end < through) this.end = through
  }
}
