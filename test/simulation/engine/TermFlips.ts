/**
 * Bits that flip in the terms of messages in flight: only those whose flip makes a term that no elections explain,
 * because a term that is plausible cannot be told from a right one. Chance of its own, so that other runs stay as they
 * were.
 */
import type { Message } from "../../../src/raft/Message.ts"
import type { Term } from "../../../src/raft/Types.ts"
import { Random } from "../Random.ts"

/** Terms of a simulation stay far below. */
export const mostTerms = 2 ** 20

/** Bits of a term as a message carries it. */
const termBits = 53

export class TermFlips {
  private readonly random: Random
  private readonly rate: number
  private readonly flipped = new WeakSet<Message>()

  /** In one life of four. */
  constructor(seed: number) {
    this.random = new Random(seed ^ 0x5eed_f11b)
    this.rate = seed % 4 === 2 ? 0.02 : 0
  }

  /** The message as it arrives. */
  pass(message: Message): Message {
    if (this.rate === 0 || !this.random.chance(this.rate)) return message
    const bit = 21 + this.random.below(termBits - 21)
    const flipped = { ...message, term: message.term + 2 ** bit as Term }
    this.flipped.add(flipped)
    return flipped
  }

  has(message: Message): boolean {
    return this.flipped.has(message)
  }
}
