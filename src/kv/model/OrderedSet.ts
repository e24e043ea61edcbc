/**
 * A set that knows which of its elements was added first. A `Set` finds that one by going over all that were deleted
 * before it, which is slow when many are deleted from the front.
 */
export class OrderedSet<A> {
  private readonly elements = new Set<A>()
  private cursor = this.elements.values()
  /** All elements behind the cursor came later. */
  private front: A | undefined

  get size(): number {
    return this.elements.size
  }

  add(element: A): void {
    this.elements.add(element)
  }

  delete(element: A): void {
    this.elements.delete(element)
  }

  /** The element that was added first; `undefined` when there is none. */
  get first(): A | undefined {
    if (this.elements.size === 0) return undefined
    while (this.front === undefined || !this.elements.has(this.front)) {
      const step = this.cursor.next()
      if (step.done === true) this.cursor = this.elements.values()
      else this.front = step.value
    }
    return this.front
  }

  [Symbol.iterator](): Iterator<A> {
    return this.elements.values()
  }
}
