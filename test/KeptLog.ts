/** The last lines that a process wrote, and how many there were before: a place in them stays right when old ones go. */
export class KeptLog {
  /** The last ones. */
  readonly lines: Array<string> = []
  private readonly most: number
  private dropped = 0

  constructor(most: number) {
    this.most = most
  }

  /** The place behind the newest line, for {@link since}. */
  get end(): number {
    return this.dropped + this.lines.length
  }

  add(line: string): void {
    this.lines.push(line)
    if (this.lines.length <= this.most) return
    this.lines.shift()
    this.dropped += 1
  }

  /** The lines behind a place, as far as they are kept. */
  since(place: number): ReadonlyArray<string> {
    return this.lines.slice(Math.max(0, place - this.dropped))
  }

  /** Forgets what is kept. */
  clear(): void {
    this.dropped += this.lines.length
    this.lines.length = 0
  }
}
