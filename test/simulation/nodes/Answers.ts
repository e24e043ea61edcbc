/** The writes of all clients of a simulated cluster, and how far anything was answered. */
import type { Command, CommandId } from "../../../src/kv/model/Command.ts"
import { encodeCommand, noSession } from "../../../src/kv/model/Command.ts"
import { minTtlMs } from "../../../src/kv/model/Limits.ts"
import { demand } from "../engine/Oracle.ts"
import type { Consequence } from "./Ledger.ts"
import { latin } from "./Ledger.ts"

/** A command and what became of it. Its bytes are like no other's, so the log can be searched for it. */
export interface Write {
  readonly name: string
  readonly bytes: Uint8Array
  /** Everything that was answered before it was first sent is at or before this entry. */
  readonly after: number
  /** Times it was sent and not refused. */
  possible: number
  readonly indices: Array<number>
  unknown: boolean
}

/** What is known of everything that was answered, for everything that is asked later. */
export class Answers {
  index = 0
  revision = 0
  /** The highest feature level of a command that was carried out. */
  level = 1
  private readonly writes = new Map<string, Write>()
  private count = 0
  private times = 0
  acknowledged = 0
  served = 0

  /** A number that no other command has. */
  next(): number {
    this.count += 1
    return this.count
  }

  /**
   * A time to live, in milliseconds, that nothing else has. The shortest that there may be come first: what lives for
   * longer than a run never ends by itself.
   */
  nextTtlMs(): number {
    return minTtlMs + this.times++
  }

  intend(name: string, command: Command, commandId: CommandId = noSession): Write {
    const encoded = encodeCommand(command, commandId)
    const payload = latin(encoded)
    const known = this.writes.get(payload)
    if (known !== undefined) return known
    const write: Write = { name, bytes: encoded, after: this.index, possible: 0, indices: [], unknown: false }
    this.writes.set(payload, write)
    return write
  }

  /** An entry was committed and applied: if it is somebody's write, then one that may be there. */
  committed({ index, payload }: Consequence): void {
    const write = this.writes.get(payload)
    if (write === undefined) return
    write.indices.push(index)
    this.plausible(write)
    demand(
      index > write.after,
      "real-time order",
      () => `${write.name} is entry ${index}, but entry ${write.after} was answered before it was sent`
    )
  }

  /** Each time it was sent accounts for one entry at most; a time it was refused for none. */
  plausible(write: Write): void {
    demand(
      write.indices.length <= write.possible,
      write.possible === 0 ? "an error says what is known" : "a write appears once per attempt",
      () => `${write.name} was sent ${write.possible} times without being refused; it is entry ${write.indices}`
    )
  }

  get fates(): { readonly tookPlace: number; readonly didNot: number } {
    let tookPlace = 0
    let didNot = 0
    for (const { indices, unknown } of this.writes.values()) {
      if (unknown && indices.length > 0) tookPlace += 1
      if (unknown && indices.length === 0) didNot += 1
    }
    return { tookPlace, didNot }
  }
}
