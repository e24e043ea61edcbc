/**
 * The deadlines of a client, of operations and of attempts at them, on one timer: they wait in buckets of
 * {@link bucketMs}, and one fiber empties the buckets that are due. A timer for each would cost more than the
 * operation.
 */
import { Effect, Latch } from "effect"
import type { Scope } from "effect"
import { monotonicMs } from "../../Monotonic.ts"

/** How late one may learn that its time is over, in milliseconds. */
const bucketMs = 20

/** What has a deadline, on the clock of `Monotonic.ts`. */
export interface Limited {
  readonly deadlineMs: number
  /** Called when the deadline passed before it was removed. */
  readonly expire: () => void
}

const bucketOf = ({ deadlineMs }: Limited): number => Math.ceil(deadlineMs / bucketMs)

export class Deadlines {
  private readonly buckets = new Map<number, Set<Limited>>()
  private readonly waiting = Latch.makeUnsafe(false)

  add(item: Limited): void {
    const due = bucketOf(item)
    const bucket = this.buckets.get(due)
    if (bucket !== undefined) bucket.add(item)
    else {
      this.buckets.set(due, new Set([item]))
      this.waiting.openUnsafe()
    }
  }

  remove(item: Limited): void {
    const due = bucketOf(item)
    const bucket = this.buckets.get(due)
    // What is empty goes at once: deadlines are far away, and each sweep looks at all buckets.
    if (bucket?.delete(item) === true && bucket.size === 0) this.buckets.delete(due)
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
    for (const [due, items] of this.buckets) {
      if (due > now) continue
      this.buckets.delete(due)
      for (const item of items) item.expire()
    }
    if (this.buckets.size === 0) this.waiting.closeUnsafe()
  }
}
