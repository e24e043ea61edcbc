/**
 * Operations that wait for a call, and the calls in flight with them. A lone operation leaves at once; what is asked
 * for in one go of the program leaves as one call; and once as many calls are in flight as may be, others gather until
 * one ends. So clients that wait for their answers form large calls by themselves.
 */
import type { CallSizes } from "./CallSizes.ts"
import type { Operation } from "./Operation.ts"

export interface LaneOptions<Failure> {
  /** Operations that may wait. */
  readonly maxWaiting: number
  /** Calls that may be in flight. */
  readonly maxCalls: number
  readonly sizes: CallSizes
  /** Whether another call may be sent now. After a no, the lane has to be woken later. */
  readonly hasRoom: () => boolean
  /** Runs a task when this go of the program ends. */
  readonly microtask: (task: () => void) => void
  /** Sends a call; `ended` is to be called once, when the call needs its place no more. */
  readonly send: (operations: ReadonlyArray<Operation<Failure>>, ended: () => void) => void
}

export class Lane<Failure> {
  private readonly options: LaneOptions<Failure>
  /** From `next` on. */
  private waiting: Array<Operation<Failure>> = []
  private next = 0
  private inFlight = 0
  private woken = false

  constructor(options: LaneOptions<Failure>) {
    this.options = options
  }

  /** `false` when there is no room for an operation to wait. */
  offer(operation: Operation<Failure>): boolean {
    if (this.waiting.length - this.next >= this.options.maxWaiting) return false
    this.waiting.push(operation)
    this.wake()
    return true
  }

  /** Looks at what waits when this go of the program ends. */
  wake(): void {
    if (this.woken || this.next === this.waiting.length) return
    this.woken = true
    this.options.microtask(this.dispatch)
  }

  private readonly dispatch = (): void => {
    this.woken = false
    const { hasRoom, maxCalls, send, sizes } = this.options
    while (this.next < this.waiting.length && this.inFlight < maxCalls && hasRoom()) {
      const end = sizes.endOf(this.waiting, this.next)
      const operations = this.waiting.slice(this.next, end)
      this.advance(end)
      this.inFlight += 1
      let over = false
      send(operations, () => {
        if (over) return
        over = true
        this.inFlight -= 1
        this.wake()
      })
    }
  }

  private advance(end: number): void {
    this.next = end
    if (end === this.waiting.length) {
      this.waiting = []
      this.next = 0
    } else if (end > 1_024 && end * 2 > this.waiting.length) {
      this.waiting = this.waiting.slice(end)
      this.next = 0
    }
  }
}
