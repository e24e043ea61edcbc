/**
 * Operations that wait for a call, and the calls in flight with them. A pipeline has a lane for those whose answers are
 * expected to be large, so that others do not wait for pages of values.
 */
import { Effect, Queue, Semaphore } from "effect"
import type { CallSizes } from "./CallSizes.ts"
import { maxBatchOperations } from "./ClientRpcs.ts"
import type { ClientSession } from "./ClientSession.ts"
import type { Operation } from "./Operation.ts"

type Op<Failure> = Operation<Failure>

export class Lane<Failure> {
  private readonly queue: Queue.Queue<Op<Failure>>
  private readonly calls: Semaphore.Semaphore
  /** Operations that were taken from the queue and did not fit into the call before. */
  private taken: ReadonlyArray<Op<Failure>> = []

  private constructor(queue: Queue.Queue<Op<Failure>>, calls: number) {
    this.queue = queue
    this.calls = Semaphore.makeUnsafe(calls)
  }

  static readonly make = <Failure>(maxWaiting: number, maxCalls: number): Effect.Effect<Lane<Failure>> =>
    Effect.map(Queue.bounded<Op<Failure>>(maxWaiting), (queue) => new Lane(queue, maxCalls))

  /** `false` when there is no room for an operation to wait. */
  offer(operation: Op<Failure>): boolean {
    return Queue.offerUnsafe(this.queue, operation)
  }

  /** Sends what waits, as soon as one more call may be in flight and the session may have more unanswered. */
  readonly dispatch = (
    sizes: CallSizes,
    session: ClientSession | undefined,
    send: (operations: ReadonlyArray<Op<Failure>>) => Effect.Effect<void>
  ): Effect.Effect<never> =>
    Effect.forever(
      Effect.andThen(
        Effect.andThen(Semaphore.take(this.calls, 1), this.untilSome(session)),
        Effect.suspend(() => {
          const end = sizes.endOf(this.taken, 0)
          const next = this.taken.slice(0, end)
          this.taken = this.taken.slice(end)
          return Effect.forkChild(Effect.ensuring(send(next), Semaphore.release(this.calls, 1)), {
            startImmediately: true
          })
        })
      )
    )

  private untilSome(session: ClientSession | undefined): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (session?.isFull === true) return Effect.andThen(session.whenRoom, this.untilSome(session))
      if (this.taken.length > 0) return Effect.void
      return Effect.map(Queue.takeBetween(this.queue, 1, maxBatchOperations), (taken) => {
        this.taken = taken
      })
    })
  }
}
