/** A network that loses, repeats, delays and reorders, and that can be cut in each direction. */
import type { Message } from "../../../src/raft/Message.ts"
import { Links } from "../engine/Links.ts"
import type { Random } from "../Random.ts"

export interface NetworkFaults {
  readonly drop: number
  readonly duplicate: number
  /** How likely a delivery takes any message instead of the oldest. */
  readonly reorder: number
}

export const noFaults: NetworkFaults = { drop: 0, duplicate: 0, reorder: 0 }

/** More than this is lost, oldest first, like the queues of the real transport. */
const capacity = 80

export class SimNetwork extends Links {
  faults: NetworkFaults
  private inFlight: Array<Message> = []
  private readonly random: Random

  constructor(random: Random, faults: NetworkFaults) {
    super()
    this.random = random
    this.faults = faults
  }

  get size(): number {
    return this.inFlight.length
  }

  send(messages: ReadonlyArray<Message>): void {
    for (const message of messages) {
      if (this.isCut(message.from, message.to) || this.random.chance(this.faults.drop)) continue
      this.inFlight.push(message)
      if (this.random.chance(this.faults.duplicate)) this.inFlight.push(message)
    }
    if (this.inFlight.length > capacity) this.inFlight.splice(0, this.inFlight.length - capacity)
  }

  /** The next message to arrive, if one is in flight and its link holds. */
  take(): Message | undefined {
    if (this.inFlight.length === 0) return undefined
    const at = this.random.chance(this.faults.reorder) ? this.random.below(this.inFlight.length) : 0
    const message = this.inFlight.splice(at, 1)[0]
    return message === undefined || this.isCut(message.from, message.to) ? undefined : message
  }

  /** What a node has sent and was not received is lost with its connections. */
  loseFrom(node: number): void {
    this.inFlight = this.inFlight.filter(({ from }) => from !== node)
  }
}
