/**
 * The time of a simulation: what is to happen, in order. Nothing happens in between, so time jumps from one to the
 * next.
 */
interface Due {
  readonly atMs: number
  /** Breaks ties in the order of planning. */
  readonly sequence: number
  readonly happen: () => void
}

export class Timeline {
  nowMs = 0
  private sequence = 0
  /** A binary heap, the next one first. */
  private readonly heap: Array<Due> = []

  /** Plans something `delayMs` from now. */
  after(delayMs: number, happen: () => void): void {
    const due: Due = { atMs: this.nowMs + delayMs, sequence: this.sequence++, happen }
    const { heap } = this
    let at = heap.length
    heap.push(due)
    while (at > 0) {
      const parent = (at - 1) >>> 1
      if (!before(due, heap[parent] as Due)) break
      heap[at] = heap[parent] as Due
      at = parent
    }
    heap[at] = due
  }

  /** Moves time to what comes next and answers with it. */
  next(): (() => void) | undefined {
    const { heap } = this
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined) return undefined
    this.nowMs = first.atMs
    if (first === last) return first.happen
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1] as Due, heap[child] as Due)) child += 1
      if (!before(heap[child] as Due, last)) break
      heap[at] = heap[child] as Due
      at = child
    }
    heap[at] = last
    return first.happen
  }
}

const before = (a: Due, b: Due): boolean => a.atMs < b.atMs || a.atMs === b.atMs && a.sequence < b.sequence
