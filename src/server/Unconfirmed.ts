/**
 * Parts that were sent to watches and are not acknowledged: they may still be in the memory of this process,
 * in a connection that does not move. A part has arrived when its watch asks for the next one, or when another watch of
 * the same connection does that was sent something later.
 */
import { Deferred, Effect, Exit } from "effect"

/** The watches that share a connection. */
export class Recipient {
  /** Parts that are sent and not acknowledged, in the order of sending. */
  readonly parts = new Set<Part>()
  bytes = 0
  lastNumber = 0
}

export class Part {
  readonly recipient: Recipient
  bytes = 0
  /** The place among the parts of the recipient; 0 until it is sent. */
  number = 0

  constructor(recipient: Recipient) {
    this.recipient = recipient
  }
}

/** One recipient may have this share of all bytes, so that a connection that does not move leaves room for others. */
const share = 1 / 4

export class Unconfirmed {
  private readonly maxBytes: number
  private readonly onChange: (bytes: number) => void
  private total = 0
  /** Done when there may be room for another part. */
  private room: Deferred.Deferred<void> | undefined

  /** `onChange` gets the bytes of all parts whenever they change. */
  constructor(maxBytes: number, onChange: (bytes: number) => void) {
    this.maxBytes = maxBytes
    this.onChange = onChange
  }

  get bytes(): number {
    return this.total
  }

  /** Whether a watch waits for room. */
  get isFull(): boolean {
    return this.room !== undefined
  }

  /**
   * Takes room for a part of `bytes`, and hands the part to `keep`; waits until there is some. One part alone always
   * has room.
   */
  reserve(recipient: Recipient, bytes: number, keep: (part: Part) => void): Effect.Effect<void> {
    return Effect.suspend(() => {
      const fits = (this.total === 0 || this.total + bytes <= this.maxBytes) &&
        (recipient.bytes === 0 || recipient.bytes + bytes <= this.maxBytes * share)
      if (!fits) {
        this.room ??= Deferred.makeUnsafe()
        return Effect.flatMap(Deferred.await(this.room), () => this.reserve(recipient, bytes, keep))
      }
      const part = new Part(recipient)
      recipient.parts.add(part)
      this.resize(part, bytes)
      keep(part)
      return Effect.void
    })
  }

  /** The part is sent, and as large as this. */
  sent(part: Part, bytes: number): void {
    const { recipient } = part
    if (!recipient.parts.delete(part)) return
    // To the end: the order is that of sending.
    recipient.parts.add(part)
    recipient.lastNumber += 1
    part.number = recipient.lastNumber
    this.resize(part, bytes)
  }

  /** The part has arrived, and with it all that was sent to the same recipient before. */
  acknowledged(part: Part): void {
    for (const earlier of part.recipient.parts) {
      if (earlier.number > 0 && earlier.number <= part.number) this.drop(earlier)
    }
  }

  /** The part is no more. */
  drop(part: Part): void {
    if (part.recipient.parts.delete(part)) this.resize(part, 0)
  }

  private resize(part: Part, bytes: number): void {
    const growth = bytes - part.bytes
    part.bytes = bytes
    part.recipient.bytes += growth
    this.total += growth
    this.onChange(this.total)
    if (growth >= 0 || this.room === undefined) return
    const { room } = this
    this.room = undefined
    Deferred.doneUnsafe(room, Exit.void)
  }
}
