/**
 * The cluster's clock: the timestamps that a leader gives its entries, and so the only time a state machine knows.
 *
 * It starts where the log ends and goes on with this process's monotonic clock, so it never goes back, does not jump
 * with any wall clock, and a new leader continues where the old one was: every node sets its clock by the timestamps
 * that come to it, applied yet or not, and counts on between them. No two clocks run alike, so a follower that only
 * ever went on counting would be ahead of its leaders by more every day, and would make leases end early once it
 * leads. Time in which the process was stopped is left out, because a node that was not there cannot say that others
 * had their chance: a lease may end late by that, and never early.
 */
export class LogClock {
  private readonly monotonicMs: () => number
  private readonly maxStepMs: number
  private lastMs: number
  private estimateMs: number
  /** Whether the log or the state had a time; where neither did, the clock runs on from this node's wall clock. */
  knowsTime: boolean

  /** `maxStepMs` is the longest time without a look at the clock that still counts as time. */
  constructor(options: {
    readonly startMs: number
    readonly knowsTime: boolean
    readonly monotonicMs: () => number
    readonly maxStepMs: number
  }) {
    this.monotonicMs = options.monotonicMs
    this.maxStepMs = options.maxStepMs
    this.lastMs = options.monotonicMs()
    this.estimateMs = options.startMs
    this.knowsTime = options.knowsTime
  }

  /**
   * The cluster's time as far as this node knows it, in whole milliseconds. To be called more often than every
   * `maxStepMs`: what passes beyond that between two calls is left out.
   */
  now(): number {
    const monotonicMs = this.monotonicMs()
    this.estimateMs += Math.min(Math.max(0, monotonicMs - this.lastMs), this.maxStepMs)
    this.lastMs = monotonicMs
    return Math.floor(this.estimateMs)
  }

  /**
   * An entry came, or was applied, that a leader found. A follower sets its clock by it, which leaves it behind by
   * the time that the entry took to arrive; a leader, who gives the timestamps, only makes sure that it is not behind.
   * 0 is no timestamp.
   */
  observe(timestampMs: number, leads: boolean): void {
    if (timestampMs === 0) return
    this.knowsTime = true
    if (leads && timestampMs <= this.now()) return
    this.now()
    this.estimateMs = timestampMs
  }
}
