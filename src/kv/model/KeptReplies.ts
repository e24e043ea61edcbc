/**
 * The kept replies of all sessions: what they take together, and which of the large ones is the oldest.
 *
 * Each session has an equal part of one half of the room for itself. What sessions keep beyond their parts shares the
 * other half, so a session that fills it does not stop the others. A large reply gives way to newer ones: the one that
 * was kept first is the least likely to be asked for again, and no session can hold the room for long.
 *
 * Everything here follows from the rows of the store, so a node that has just started decides as the others do.
 */
import { OrderedSet } from "./OrderedSet.ts"

/** A reply with a row of its own. */
export interface LargeReply<Owner> {
  readonly session: Owner
  readonly sequence: number
  readonly bytes: Uint8Array
  /** The place of its command in the log. */
  readonly index: number
}

export class KeptReplies<Owner> {
  readonly maximum: number
  /** The part of each session. */
  private readonly part: number
  private readonly maxShared: number
  private total = 0
  /** What sessions keep beyond their parts. */
  private shared = 0
  /** The large replies; by their places in the log, when `sorted`. */
  private large = new OrderedSet<LargeReply<Owner>>()
  private sorted = true

  constructor(maximum: number, maxSessions: number) {
    this.maximum = maximum
    this.part = Math.floor(maximum / 2 / maxSessions)
    this.maxShared = maximum - this.part * maxSessions
  }

  /** Bytes of all kept replies, and of what they take beside that. */
  get bytes(): number {
    return this.total
  }

  /** The replies of one session took `before` bytes and take `now`. */
  resize(before: number, now: number): void {
    this.total += now - before
    this.shared += this.beyondPart(now) - this.beyondPart(before)
  }

  /** Whether there is room for `more` bytes in a session that has `bytes`. */
  fits(bytes: number, more: number): boolean {
    return this.shared + this.beyondPart(bytes + more) - this.beyondPart(bytes) <= this.maxShared
  }

  add(reply: LargeReply<Owner>): void {
    this.large.add(reply)
  }

  /** Adds a reply that was read from the store, where they lie in another order. */
  load(reply: LargeReply<Owner>): void {
    this.large.add(reply)
    this.sorted = false
  }

  remove(reply: LargeReply<Owner>): void {
    this.large.delete(reply)
  }

  /** The large reply that was kept first. */
  get oldest(): LargeReply<Owner> | undefined {
    if (!this.sorted) {
      const large = [...this.large].sort((a, b) => a.index - b.index)
      this.large = new OrderedSet()
      for (const reply of large) this.large.add(reply)
      this.sorted = true
    }
    return this.large.first
  }

  private beyondPart(bytes: number): number {
    return Math.max(0, bytes - this.part)
  }
}
