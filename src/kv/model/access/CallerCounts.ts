/** How many of something each caller has. Those without a caller are not counted. */
export class CallerCounts {
  private readonly counts = new Map<string, number>()

  of(caller: string): number {
    return this.counts.get(caller) ?? 0
  }

  add(caller: string): void {
    if (caller !== "") this.counts.set(caller, this.of(caller) + 1)
  }

  remove(caller: string): void {
    const left = this.of(caller) - 1
    if (left > 0) this.counts.set(caller, left)
    else this.counts.delete(caller)
  }
}
