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
