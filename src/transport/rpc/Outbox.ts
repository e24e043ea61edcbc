/**
 * What waits to be sent over one connection. Bounded in messages and bytes; when it is full the oldest go, because
 * newer messages of Raft make older ones useless and the leader repeats what matters.
 */
import { entryBytes } from "../../raft/Config.ts"
import type { Message } from "../../raft/Message.ts"

/** Bytes a message counts for. */
export const messageBytes = (message: Message): number => {
  let bytes = 64
  if (message._tag === "AppendRequest") {
    for (const entry of message.entries) bytes += entryBytes(entry)
  }
  return bytes
}

export class Outbox {
  private readonly maxMessages: number
  private readonly maxBytes: number
  private messages: Array<Message> = []
  private bytes = 0
  /** Told of each message. */
  onMessage: () => void = () => undefined
  /** Messages given up since the start. */
  dropped = 0

  constructor(limits: { readonly maxMessages: number; readonly maxBytes: number }) {
    this.maxMessages = limits.maxMessages
    this.maxBytes = limits.maxBytes
  }

  get size(): number {
    return this.messages.length
  }

  push(message: Message): void {
    this.messages.push(message)
    this.bytes += messageBytes(message)
    let drop = 0
    while (
      this.messages.length - drop > this.maxMessages ||
      (this.bytes > this.maxBytes && this.messages.length - drop > 1)
    ) {
      this.bytes -= messageBytes(this.messages[drop] as Message)
      drop += 1
    }
    if (drop > 0) {
      this.messages.splice(0, drop)
      this.dropped += drop
    }
    this.onMessage()
  }

  /** Forgets what waits: after a lost link it is out of date. */
  clear(): void {
    this.dropped += this.messages.length
    this.messages = []
    this.bytes = 0
  }

  /** Takes as many messages, oldest first, as fit into `maxBatchBytes`; one at least, where there is one. */
  take(maxBatchBytes: number): ReadonlyArray<Message> {
    if (this.bytes <= maxBatchBytes) {
      const all = this.messages
      this.messages = []
      this.bytes = 0
      return all
    }
    let count = 0
    let bytes = 0
    for (const message of this.messages) {
      const size = messageBytes(message)
      if (count > 0 && bytes + size > maxBatchBytes) break
      bytes += size
      count += 1
    }
    this.bytes -= bytes
    return this.messages.splice(0, count)
  }
}
