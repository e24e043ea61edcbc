/** All chance of a simulation, drawn from one seed (mulberry32). */
export class Random {
  private state: number

  constructor(seed: number) {
    this.state = seed >>> 0
  }

  /** From 0 up to, not including, 1. */
  next(): number {
    this.state = this.state + 0x6d2b79f5 >>> 0
    let mixed = this.state
    mixed = Math.imul(mixed ^ mixed >>> 15, mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ mixed >>> 7, mixed | 61)
    return ((mixed ^ mixed >>> 14) >>> 0) / 4_294_967_296
  }

  /** An integer from 0 up to, not including, `limit`. */
  below(limit: number): number {
    return Math.floor(this.next() * limit)
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<A>(options: ReadonlyArray<A>): A {
    return options[this.below(options.length)] as A
  }

  /** The key of one of `weights`, each as likely as its weight says. */
  weighted<Key extends string>(weights: ReadonlyArray<readonly [key: Key, weight: number]>): Key {
    let total = 0
    for (const [, weight] of weights) total += weight
    let drawn = this.next() * total
    for (const [key, weight] of weights) {
      drawn -= weight
      if (drawn < 0) return key
    }
    return (weights[weights.length - 1] as readonly [Key, number])[0]
  }
}
