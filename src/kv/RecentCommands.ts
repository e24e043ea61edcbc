/**
 * Commands that were decoded to ask whether their caller may send them. The node checks the same bytes right after, in
 * the same order, and need not decode them again.
 */
import type { DecodedCommand } from "./model/Command.ts"
import { decodeCommand } from "./model/Command.ts"
import type { Problem } from "./model/Limits.ts"

/** Most commands that are remembered; a call with more has the first of them decoded twice. */
const maxRemembered = 512

interface Remembered {
  readonly bytes: Uint8Array
  readonly decoded: DecodedCommand
}

export class RecentCommands {
  private remembered: Array<Remembered> = []
  private next = 0

  /** The command in these bytes is asked for next, behind those that were remembered before. */
  remember(bytes: Uint8Array, decoded: DecodedCommand): void {
    if (this.remembered.length >= maxRemembered) this.forget()
    this.remembered.push({ bytes, decoded })
  }

  /** The command in these bytes, or what is wrong with it. Forgets the commands that it was remembered behind. */
  take(bytes: Uint8Array): DecodedCommand | Problem {
    const { remembered } = this
    while (this.next < remembered.length) {
      const one = remembered[this.next++] as Remembered
      if (one.bytes !== bytes) continue
      if (this.next === remembered.length) this.forget()
      return one.decoded
    }
    this.forget()
    return decodeCommand(bytes)
  }

  private forget(): void {
    if (this.remembered.length > 0) this.remembered = []
    this.next = 0
  }
}
