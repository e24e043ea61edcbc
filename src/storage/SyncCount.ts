/** How much syncing was done, for metrics and benchmarks. */
export interface SyncStats {
  readonly count: number
  readonly totalMs: number
  readonly maxMs: number
}

export class SyncCount {
  private readonly onSync: (elapsedMs: number) => void
  private count = 0
  private totalMs = 0
  private maxMs = 0

  /** `onSync` gets the duration of every sync. */
  constructor(onSync: (elapsedMs: number) => void) {
    this.onSync = onSync
  }

  get stats(): SyncStats {
    return { count: this.count, totalMs: this.totalMs, maxMs: this.maxMs }
  }

  took(elapsedMs: number): void {
    this.count += 1
    this.totalMs += elapsedMs
    if (elapsedMs > this.maxMs) this.maxMs = elapsedMs
    this.onSync(elapsedMs)
  }
}
