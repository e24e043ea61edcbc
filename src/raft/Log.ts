/**
 * The log as the core knows it: where each term begins, for all of it, and the newest entries themselves, for as
 * much of it as memory allows.
 *
 * ```
 *   compacted │ on disk only │        window         │
 *  ───────────┼──────────────┼───────────────────────┤
 *             └ firstIndex   └ windowFirst           └ lastIndex
 * ```
 *
 * Log matching needs the terms of old entries and never their contents, so the core answers every question
 * about terms without a disk, and memory stays bounded however long the log is.
 */
import { entryBytes } from "./Config.ts"
import type { Entry, LogIndex, LogPoint, Term, TermRun } from "./Types.ts"
import { addIndex } from "./Types.ts"

export class Log {
  /** The last entry removed by compaction; its term is still known. */
  private base: LogPoint
  private end: LogIndex
  /** Where each term begins, ascending; covers `base.index + 1 .. end`. */
  private runs: Array<TermRun>
  private window: Array<Entry | undefined> = []
  /** How many elements at the front of `window` were evicted. */
  private head = 0
  /** The index of the entry at `head`. */
  private first: LogIndex
  private bytes = 0

  constructor(compacted: LogPoint, lastIndex: LogIndex, termRuns: ReadonlyArray<TermRun>) {
    this.base = compacted
    this.end = lastIndex
    this.runs = [...termRuns]
    this.first = addIndex(lastIndex, 1)
  }

  get compacted(): LogPoint {
    return this.base
  }

  get firstIndex(): LogIndex {
    return addIndex(this.base.index, 1)
  }

  get lastIndex(): LogIndex {
    return this.end
  }

  get last(): LogPoint {
    return { index: this.end, term: this.lastTerm }
  }

  get lastTerm(): Term {
    return this.runs[this.runs.length - 1]?.term ?? this.base.term
  }

  /** The first index whose entry is in memory; `lastIndex + 1` when none is. */
  get windowFirst(): LogIndex {
    return this.first
  }

  /** Bytes of the entries in memory. */
  get windowBytes(): number {
    return this.bytes
  }

  /** The term of the entry at `index`; `undefined` before the compaction point and behind the end. */
  termAt(index: LogIndex): Term | undefined {
    if (index === this.base.index) return this.base.term
    if (index < this.base.index || index > this.end) return undefined
    return this.runs[this.runAt(index)]?.term
  }

  /** Whether the log holds exactly this entry. Points before the compaction point are not known. */
  matches(point: LogPoint): boolean {
    return this.termAt(point.index) === point.term
  }

  /**
   * The last point at or before `index` whose term is at most `term`: everything after it conflicts with a log that
   * has `term` at `index`. Never before the compaction point.
   */
  lastPointAtMost(index: LogIndex, term: Term): LogPoint {
    const from = index < this.end ? index : this.end
    if (from <= this.base.index) return this.base
    for (let at = this.runAt(from); at >= 0; at--) {
      const run = this.runs[at] as TermRun
      if (run.term > term) continue
      const next = this.runs[at + 1]
      const runEnd = next === undefined ? this.end : addIndex(next.firstIndex, -1)
      return { index: runEnd < from ? runEnd : from, term: run.term }
    }
    return this.base
  }

  /** Appends entries that follow the end. */
  append(entries: ReadonlyArray<Entry>): void {
    for (const entry of entries) {
      if (this.end < this.first) this.first = entry.index
      this.window.push(entry)
      this.bytes += entryBytes(entry)
      if (entry.term !== this.runs[this.runs.length - 1]?.term) {
        this.runs.push({ firstIndex: entry.index, term: entry.term })
      }
      this.end = entry.index
    }
  }

  /** Removes everything from `index` on. */
  truncateFrom(index: LogIndex): void {
    while (this.end >= index && this.end >= this.first && this.window.length > this.head) {
      this.bytes -= entryBytes(this.window.pop() as Entry)
      this.end = addIndex(this.end, -1)
    }
    if (this.end >= index) this.end = addIndex(index, -1)
    if (this.window.length === this.head) this.emptyWindow()
    while ((this.runs[this.runs.length - 1]?.firstIndex ?? 0) >= index) this.runs.pop()
  }

  /** Forgets everything up to `point`, which the log holds or which replaces all of it. */
  compact(point: LogPoint): void {
    if (point.index >= this.end) {
      this.base = point
      this.end = point.index
      this.runs = []
      this.emptyWindow()
      return
    }
    const at = this.runAt(addIndex(point.index, 1))
    const kept = this.runs.slice(at)
    const straddling = kept[0] as TermRun
    kept[0] = { firstIndex: addIndex(point.index, 1), term: straddling.term }
    this.runs = kept
    this.base = point
    while (this.first <= point.index) this.evictOne()
  }

  /** Replaces the whole log: a snapshot that contradicts it was installed. */
  reset(point: LogPoint): void {
    this.end = point.index
    this.compact(point)
  }

  /** Lets the oldest entries that are durable leave memory until at most `maxBytes` are left. */
  evict(maxBytes: number, durable: LogIndex): void {
    while (this.bytes > maxBytes && this.first <= durable && this.first <= this.end) this.evictOne()
  }

  /**
   * Entries from `from` to at most `through`: at least one, then as many as the limits allow. `undefined` when the
   * first of them is not in memory.
   */
  slice(from: LogIndex, through: LogIndex, maxBytes: number, maxEntries: number): ReadonlyArray<Entry> | undefined {
    if (from < this.first) return undefined
    const entries: Array<Entry> = []
    let bytes = 0
    for (let index = from; index <= through && entries.length < maxEntries; index++) {
      const entry = this.window[this.head + index - this.first] as Entry
      bytes += entryBytes(entry)
      if (entries.length > 0 && bytes > maxBytes) break
      entries.push(entry)
    }
    return entries
  }

  private evictOne(): void {
    const entry = this.window[this.head] as Entry
    this.window[this.head] = undefined
    this.head += 1
    this.first = addIndex(this.first, 1)
    this.bytes -= entryBytes(entry)
    if (this.head > 1_024 && this.head * 2 > this.window.length) {
      this.window = this.window.slice(this.head)
      this.head = 0
    }
  }

  private emptyWindow(): void {
    this.window = []
    this.head = 0
    this.bytes = 0
    this.first = addIndex(this.end, 1)
  }

  /** The position in `runs` of the run that holds `index`, which is in the log. Recent indices are found at once. */
  private runAt(index: LogIndex): number {
    let high = this.runs.length - 1
    if ((this.runs[high] as TermRun).firstIndex <= index) return high
    let low = 0
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if ((this.runs[middle] as TermRun).firstIndex <= index) low = middle
      else high = middle - 1
    }
    return low
  }
}
