/**
 * The workers of one process at one queue: who waits for an element, who is likely to come back for one, and what was
 * claimed for those. An element that no worker comes for is given back.
 */
import type { Clock } from "effect"
import { Deferred, Effect, Latch } from "effect"
import type { Scope } from "effect"
import { monotonicMsOf } from "../../../Monotonic.ts"
import type { Claimed } from "./Claimed.ts"

/** How long a worker may take to come back, and how long an element waits for one, in milliseconds. */
const returnMs = 50

/** A worker that waits. */
interface Waiting {
  readonly given: Deferred.Deferred<Claimed>
  readonly maxAttempts: number
}

/** A worker that completes an element. */
export interface Returning {
  readonly maxAttempts: number
  /** Its fiber, which a worker most often keeps. */
  readonly fiber: number
  isComplete: boolean
  /** An element is being claimed for this worker, however long that takes. */
  held: boolean
}

/** Something that is over at a time of the monotonic clock. All of it lasts equally long, so it is over in order. */
interface Passing {
  readonly untilMs: number
  readonly returning: Returning | undefined
  readonly ahead: Claimed | undefined
}

/** Of those that are over, so many are kept at most before the others are moved to the front. */
const maxPassed = 64

export class Workers {
  private readonly clock: Clock.Clock
  private readonly scope: Scope.Scope
  private readonly demanded: () => void
  private readonly waiting = new Set<Waiting>()
  /** By fiber. */
  private readonly returning = new Map<number, Returning>()
  /** Claimed ahead, in order. */
  private readonly ahead = new Set<Claimed>()
  private readonly passing: Array<Passing> = []
  /** How many of `passing` are over, from the first on. */
  private passed = 0
  private readonly passes = Latch.makeUnsafe(false)

  private constructor(clock: Clock.Clock, scope: Scope.Scope, demanded: () => void) {
    this.clock = clock
    this.scope = scope
    this.demanded = demanded
  }

  /** Workers for as long as the scope lives. `demanded` is called when there may be more demand. */
  static readonly make = Effect.fnUntraced(function*(demanded: () => void) {
    const scope = yield* Effect.scope
    const workers = yield* Effect.clockWith((clock) => Effect.succeed(new Workers(clock, scope, demanded)))
    yield* Effect.forkScoped(workers.pass)
    return workers
  })

  /** How many elements to claim, beside those that are being claimed. */
  get demand(): number {
    return this.waiting.size + this.returning.size - this.ahead.size
  }

  /** The most attempts of the worker that is next. */
  get maxAttempts(): number {
    const [next] = this.waiting.size > 0 ? this.waiting : this.returning.values()
    return next?.maxAttempts ?? Infinity
  }

  /** Waits for an element. The caller has to settle it. */
  take(maxAttempts: number): Effect.Effect<Claimed> {
    return Effect.withFiber(({ id }) => {
      const returned = this.likely(id)
      if (returned !== undefined) this.returning.delete(returned.fiber)
      const [ready] = this.ahead
      if (ready !== undefined) {
        this.ahead.delete(ready)
        return Effect.succeed(ready)
      }
      const worker: Waiting = { given: Deferred.makeUnsafe(), maxAttempts }
      this.waiting.add(worker)
      this.demanded()
      return Effect.onInterrupt(Deferred.await(worker.given), () =>
        // It may have been given one just now.
        this.waiting.delete(worker)
          ? Effect.void
          : Effect.flatMap(Deferred.await(worker.given), (claimed) => claimed.release))
    })
  }

  /** Completes an element, and counts on its worker to come back. */
  complete(claimed: Claimed, maxAttempts: number): Effect.Effect<void> {
    return Effect.withFiber(({ id }) => {
      const returning: Returning = { maxAttempts, fiber: id, isComplete: false, held: false }
      this.returning.set(id, returning)
      this.demanded()
      return Effect.andThen(
        claimed.complete,
        Effect.sync(() => {
          returning.isComplete = true
          this.lasts(returning)
        })
      )
    })
  }

  /** Who comes back in a fiber: its worker, or else one that may go on in another fiber. */
  private likely(fiber: number): Returning | undefined {
    const own = this.returning.get(fiber)
    if (own !== undefined) return own
    for (const returning of this.returning.values()) if (returning.isComplete && !returning.held) return returning
    return undefined
  }

  /** Counts on the worker that comes back, most likely in this fiber, until `hand` or `release`. */
  hold(fiber: number): Returning | undefined {
    const returning = this.likely(fiber)
    if (returning === undefined || returning.held) return undefined
    returning.held = true
    return returning
  }

  /** Counts no longer on it than on any other. */
  release(returning: Returning | undefined): void {
    if (returning === undefined) return
    returning.held = false
    this.lasts(returning)
  }

  /** Gives an element to a worker: one that waits, or one that comes back in time. */
  hand(claimed: Claimed, held?: Returning): void {
    const [worker] = this.waiting
    if (worker !== undefined) {
      this.waiting.delete(worker)
      Deferred.doneUnsafe(worker.given, Effect.succeed(claimed))
      return this.release(held)
    }
    this.ahead.add(claimed)
    if (held !== undefined) held.held = false
    this.lasts(held, claimed)
  }

  /** Gives back what was claimed ahead, at the end of a process or of its claims. */
  readonly giveBack: Effect.Effect<void> = Effect.suspend(() => {
    const left = [...this.ahead]
    this.ahead.clear()
    return Effect.forEach(left, (claimed) => claimed.releaseAtOnce, { concurrency: "unbounded", discard: true })
  })

  private lasts(returning: Returning | undefined, ahead?: Claimed): void {
    // Most are over long before their time. What they hold would live for that time, which V8's collector has to move.
    this.skip()
    this.passing.push({ returning, ahead, untilMs: monotonicMsOf(this.clock) + returnMs })
    this.passes.openUnsafe()
  }

  /** The first that is not over: its worker has not come back, or its element waits. */
  private skip(): Passing | undefined {
    const { passing } = this
    for (let first = passing[this.passed]; first !== undefined; first = passing[this.passed]) {
      const { ahead, returning } = first
      if (returning !== undefined && this.returning.get(returning.fiber) === returning) return first
      if (ahead !== undefined && this.ahead.has(ahead)) return first
      this.pop()
    }
    return undefined
  }

  private pop(): void {
    this.passed += 1
    if (this.passed < maxPassed && this.passed < this.passing.length) return
    this.passing.splice(0, this.passed)
    this.passed = 0
  }

  private readonly pass: Effect.Effect<never> = Effect.forever(Effect.suspend((): Effect.Effect<unknown> => {
    const first = this.skip()
    if (first === undefined) {
      this.passes.closeUnsafe()
      return this.passes.await
    }
    const leftMs = first.untilMs - monotonicMsOf(this.clock)
    if (leftMs > 0) return Effect.sleep(Math.ceil(leftMs))
    this.pop()
    const { returning } = first
    if (returning?.held === false && this.returning.get(returning.fiber) === returning) {
      this.returning.delete(returning.fiber)
    }
    return first.ahead !== undefined && this.ahead.delete(first.ahead)
      ? Effect.forkIn(first.ahead.release, this.scope)
      : Effect.void
  }))
}
