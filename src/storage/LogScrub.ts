/**
 * Checks in the background what a start took an earlier run's word for: the part of the log below the durable floor.
 * Every read checks the entries that it returns. This finds damage in entries that are not read, and gaps, within
 * minutes of the start. A problem is the same one that a start which reads the whole log would have failed with.
 *
 * The log goes on meanwhile. What is compacted away or truncated while a page is read may be missing from it, and is no
 * problem: the store tells of either before it begins.
 */
import { Effect } from "effect"
import type { LogIndex, LogPoint } from "../raft/Types.ts"
import { addIndex, minIndex } from "../raft/Types.ts"
import { logKey } from "./Codec.ts"
import { LogCheck } from "./LogCheck.ts"
import type { Reader } from "./rocksdb/Reader.ts"
import { StorageCorruption } from "./StorageError.ts"

/** Entries, and bytes of them, that are read at a time: what blocks the event loop for about a millisecond. */
const pageEntries = 256
const pageBytes = 1024 * 1024

/** Time between two pages: ten thousand entries a second take a few hundredths of a processor. */
const pause = "25 millis"

export class LogScrub {
  private readonly reader: Reader
  private readonly path: string
  /** The last entry that is checked, or gone. */
  private last: LogPoint
  private through: LogIndex
  /** Of the entries of the last page. Taken to be large to begin with, when it is not known. */
  private averageBytes = 32 * 1024

  /** Checks the entries after `compacted` up to `through`. */
  constructor(reader: Reader, path: string, compacted: LogPoint, through: LogIndex) {
    this.reader = reader
    this.path = path
    this.last = compacted
    this.through = through
  }

  /** The log is about to lose everything up to `point`, or has restarted there. */
  compactedThrough(point: LogPoint): void {
    if (point.index > this.last.index) this.last = point
  }

  /** The log is about to lose everything from `index` on. */
  truncatedFrom(index: LogIndex): void {
    this.through = minIndex(this.through, addIndex(index, -1))
  }

  /** Checks everything, and ends. Fails with the first problem. */
  readonly run = Effect.suspend(() =>
    Effect.whileLoop({
      while: () => this.last.index < this.through,
      body: () => Effect.andThen(Effect.sleep(pause), this.page),
      step: () => undefined
    })
  )

  private readonly page = Effect.suspend(() => {
    const { last: begin } = this
    // What was left went away during the pause.
    if (begin.index >= this.through) return Effect.void
    const check = new LogCheck(begin)
    const limit = Math.max(1, Math.min(pageEntries, Math.floor(pageBytes / this.averageBytes)))
    const range = { gte: logKey(addIndex(begin.index, 1)), lt: logKey(addIndex(this.through, 1)), limit }
    return Effect.flatMap(this.reader.scan("raft_log", range, (row) => check.takesRow(row)), () => {
      const { last } = check
      // A part of what was read has been compacted away meanwhile, or all of it.
      if (this.last !== begin) return Effect.void
      const missing = last.index === begin.index ? `entry ${begin.index + 1} is missing` : undefined
      const detail = check.problem ?? missing
      if (detail !== undefined && last.index < this.through) {
        return Effect.fail(
          new StorageCorruption({ path: this.path, detail, safe: `log entries up to ${last.index}` })
        )
      }
      this.last = last
      if (last.index > begin.index) this.averageBytes = check.bytes / (last.index - begin.index)
      return Effect.void
    })
  })
}
