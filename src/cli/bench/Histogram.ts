/**
 * Latencies, counted in buckets that are 2 % wide: as much as a percentile needs, in a few kilobytes however many there
 * are.
 */
const growth = Math.log(1.02)

/** The shortest that is told apart, in milliseconds. */
const leastMs = 0.001

export class Histogram {
  private readonly counts = new Map<number, number>()
  count = 0
  maxMs = 0

  /** Counts one of `ms` milliseconds. */
  add(ms: number): void {
    const bucket = Math.ceil(Math.log(Math.max(ms, leastMs) / leastMs) / growth)
    this.counts.set(bucket, (this.counts.get(bucket) ?? 0) + 1)
    this.count += 1
    if (ms > this.maxMs) this.maxMs = ms
  }

  /** The latency that `share` of all are not above, in milliseconds; NaN when there are none. */
  quantile(share: number): number {
    const rank = Math.max(1, Math.ceil(share * this.count))
    let seen = 0
    for (const [bucket, count] of [...this.counts].sort(([a], [b]) => a - b)) {
      seen += count
      if (seen >= rank) return Math.min(this.maxMs, leastMs * Math.exp(bucket * growth))
    }
    return Number.NaN
  }

  /** What `merge` takes at the other side of a pipe. */
  toJSON(): HistogramJson {
    return { buckets: [...this.counts], maxMs: this.maxMs }
  }

  merge({ buckets, maxMs }: HistogramJson): void {
    for (const [bucket, count] of buckets) {
      this.counts.set(bucket, (this.counts.get(bucket) ?? 0) + count)
      this.count += count
    }
    this.maxMs = Math.max(this.maxMs, maxMs)
  }
}

export interface HistogramJson {
  readonly buckets: ReadonlyArray<readonly [bucket: number, count: number]>
  readonly maxMs: number
}
