/**
 * When a leader appended what it has not applied yet, to measure how long that takes. A ring of fixed size, because
 * every command passes through here. Where more batches are in flight than it holds, the newest are not measured.
 */

/** Batches that are measured at a time. A batch is what one turn appends. */
const capacity = 1_024

export class CommitTimes {
  private readonly lastIndexes = new Float64Array(capacity)
  private readonly sinceMs = new Float64Array(capacity)
  private head = 0
  private size = 0

  /** A batch that ends at `lastIndex` was appended. */
  appended(lastIndex: number, nowMs: number): void {
    if (this.size === capacity) return
    const at = (this.head + this.size) % capacity
    this.lastIndexes[at] = lastIndex
    this.sinceMs[at] = nowMs
    this.size += 1
  }

  /** Entries up to `index` are applied: `measured` gets the milliseconds of each batch that ends by then. */
  applied(index: number, nowMs: number, measured: (ms: number) => void): void {
    while (this.size > 0 && (this.lastIndexes[this.head] as number) <= index) {
      measured(nowMs - (this.sinceMs[this.head] as number))
      this.head = (this.head + 1) % capacity
      this.size -= 1
    }
  }

  /** Leadership is lost: what was appended may never be committed. */
  clear(): void {
    this.size = 0
  }
}
