/** The core's only randomness: a small seeded generator (xorshift32), so that the same seed gives the same run. */
export class Random {
  private state: number

  constructor(seed: number) {
    // Zero is the one state xorshift never leaves.
    this.state = seed >>> 0 || 0x9e3779b9
  }

  /** An integer from `minimum` up to, not including, `maximum`. */
  between(minimum: number, maximum: number): number {
    this.state ^= this.state << 13
    this.state ^= this.state >>> 17
    this.state ^= this.state << 5
    this.state >>>= 0
    return minimum + this.state % Math.max(1, maximum - minimum)
  }
}
