/**
 * The deadlines of many operations on one timer: operations wait in buckets of {@link bucketMs}, and one fiber empties
 * the buckets that are due. A timer for each would cost more than the operation.
 */
import { Effect, Latch } from "effect"
import type { Scope } from "effect"
import { monotonicMs } from "../Monotonic.ts"
import type { Operation } from "./Operation.ts"

/** How late an operation may learn that its time is over, in milliseconds. */
const bucketMs = 20

export class Deadlines<Failure> {
  private readonly buckets = new Map<number, Set<Operation<Failure>>>()
  private readonly waiting = Latch.makeUnsafe(false)
  private readonly expire: (operation: Operation<Failure>) => void

  /** `expire` is called for each operation whose deadline passed before it was removed. */
  constructor(expire: (operation: Operation<Failure>) => void) {
    this.expire = expire
  }

  add(operation: Operation<Failure>): void {
    const due = Math.ceil(operation.deadlineMs / bucketMs)
    const bucket = this.buckets.get(due)
    if (bucket !== undefined) bucket.add(operation)
    else this.buckets.set(due, new Set([operation]))
    this.waiting.openUnsafe()
  }

  remove(operation: Operation<Failure>): void {
    this.buckets.get(Math.ceil(operation.deadlineMs / bucketMs))?.delete(operation)
  }

  /** Expires everything now. */
  expireAll(): void {
    this.sweep(Number.POSITIVE_INFINITY)
  }

  /** Expires what is due, for as long as the scope lives. */
  readonly start: Effect.Effect<void, never, Scope.Scope> = Effect.suspend(() =>
    Effect.asVoid(
      Effect.forkScoped(
        Effect.forever(
          this.waiting.whenOpen(
            Effect.andThen(Effect.sleep(bucketMs), Effect.map(monotonicMs, (now) => this.sweep(now)))
          )
        )
      )
    )
  )

  private sweep(nowMs: number): void {
    const now = Math.floor(nowMs / bucketMs)
    for (const [due, operations] of this.buckets) {
      if (due > now) continue
      this.buckets.delete(due)
      for (const operation of operations) this.expire(operation)
    }
    if (this.buckets.size === 0) this.waiting.closeUnsafe()
  }
}
