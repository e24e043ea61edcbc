/**
 * What waits for the owner of the Raft state, and when the owner takes its turn.
 *
 * A report of the node's own parts or its peers takes a turn at once, on the stack of its sender: for a single command
 * every detour through the event loop is latency. The calls of clients gather until the event loop's next round, and so
 * does everything that comes meanwhile. What comes during a turn is the next turn. So many inputs share a turn.
 */
import type { Scheduler } from "effect"
import type { Received } from "../transport/PeerTransport.ts"
import type { Input } from "./Input.ts"
import type { Stopwatch } from "./Stopwatch.ts"

/** Turns in one stretch; then sockets and timers have theirs. */
const maxTurnsAtOnce = 16

/** Takes one turn. */
type Turn = (inputs: ReadonlyArray<Input>) => void

export class Inbox {
  private readonly limit: number
  private readonly dispatcher: Scheduler.SchedulerDispatcher
  private waiting: Array<Input> = []
  private owner: { readonly turn: Turn; readonly broken: (defect: unknown) => void } | undefined
  private closed = false
  private busy = false
  private scheduled = false
  private readonly stopwatch: Stopwatch | undefined
  /** When the oldest call that waits came; `undefined` while none does. */
  private calledMs: number | undefined

  /**
   * `limit` bounds what callers and peers may have waiting; the node's own parts report one thing each at a time.
   * `stopwatch` gets how long the oldest call of a turn has waited.
   */
  constructor(limit: number, dispatcher: Scheduler.SchedulerDispatcher, stopwatch?: Stopwatch) {
    this.stopwatch = stopwatch
    this.limit = limit
    this.dispatcher = dispatcher
  }

  get size(): number {
    return this.waiting.length
  }

  /** From now on inputs take turns. A turn that throws is the last one, and `broken` gets what it threw. */
  open(turn: Turn, broken: (defect: unknown) => void): void {
    if (this.closed) return
    this.owner = { turn, broken }
    this.takeTurns()
  }

  /** Nothing takes a turn any more. Returns what waited for one. */
  close(): ReadonlyArray<Input> {
    this.closed = true
    this.owner = undefined
    const left = this.waiting
    this.waiting = []
    return left
  }

  /** Takes what a caller asks for; `false` when too much waits already. */
  offer(input: Input): boolean {
    if (this.closed || this.waiting.length >= this.limit) return false
    this.waiting.push(input)
    this.calledMs ??= this.stopwatch?.nowMs()
    this.schedule()
    return true
  }

  /** Takes what a part of the node reports. */
  post(input: Input): void {
    if (this.closed) return
    this.waiting.push(input)
    this.takeTurnsUnlessScheduled()
  }

  /** Takes messages of a peer as one turn. When too much waits they are dropped, and Raft repeats them. */
  deliver({ connection, messages }: Received): void {
    if (this.closed || this.waiting.length >= this.limit) return
    for (const message of messages) this.waiting.push({ _tag: "Receive", message, connection })
    this.takeTurnsUnlessScheduled()
  }

  /** Drops what peers sent and no turn has taken. */
  dropReceived(): void {
    this.waiting = this.waiting.filter(({ _tag }) => _tag !== "Receive")
  }

  private schedule(): void {
    if (this.scheduled || this.busy) return
    this.scheduled = true
    this.dispatcher.scheduleTask(this.cameRound, 0)
  }

  private readonly cameRound = (): void => {
    this.scheduled = false
    this.takeTurns()
  }

  /** What comes before a turn that is due shares it: the messages of both then share a packet. */
  private takeTurnsUnlessScheduled(): void {
    if (!this.scheduled) this.takeTurns()
  }

  private measure(calledMs: number): void {
    this.calledMs = undefined
    this.stopwatch?.took(this.stopwatch.nowMs() - calledMs)
  }

  private takeTurns(): void {
    if (this.busy) return
    this.busy = true
    for (let turns = 0; this.owner !== undefined && this.waiting.length > 0 && turns < maxTurnsAtOnce; turns++) {
      const inputs = this.waiting
      this.waiting = []
      const { broken, turn } = this.owner
      if (this.calledMs !== undefined) this.measure(this.calledMs)
      try {
        turn(inputs)
      } catch (defect) {
        this.owner = undefined
        broken(defect)
      }
    }
    this.busy = false
    if (this.owner !== undefined && this.waiting.length > 0) this.schedule()
  }
}
