import { randomUUID } from "node:crypto"
import { placeOf } from "./Layout.ts"

/** The places that this process gives out. No two are equal. */
export class PlaceSequence {
  /** Tells processes apart. */
  private readonly by = randomUUID().slice(0, 8)
  private lastMs = 0
  private count = 0

  /** A place from which its element may be taken at `ms`. */
  readonly at = (ms: number): string => placeOf(ms, ++this.count, this.by)

  /** A place for an element without a delay. It sorts behind the ones before, even if the cluster's time went back. */
  next(nowMs: number): string {
    this.lastMs = Math.max(this.lastMs, nowMs)
    return this.at(this.lastMs)
  }
}

/** Places of rows, in order. */
export class Places implements Iterable<string> {
  private readonly sorted: Array<string> = []

  get size(): number {
    return this.sorted.length
  }

  get last(): string | undefined {
    return this.sorted[this.sorted.length - 1]
  }

  [Symbol.iterator](): Iterator<string> {
    return this.sorted[Symbol.iterator]()
  }

  add(place: string): void {
    const index = this.indexOf(place)
    if (this.sorted[index] !== place) this.sorted.splice(index, 0, place)
  }

  delete(place: string): void {
    const index = this.indexOf(place)
    if (this.sorted[index] === place) this.sorted.splice(index, 1)
  }

  /** Where it is, or would be. */
  private indexOf(place: string): number {
    let low = 0
    let high = this.sorted.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.sorted[middle] as string) < place) low = middle + 1
      else high = middle
    }
    return low
  }
}
