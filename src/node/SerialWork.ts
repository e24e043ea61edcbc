/**
 * Work of a node beside its owner, one piece at a time: whatever is handed over meanwhile gathers for the next piece. A
 * piece begins on the stack of the caller and may end there, so that handing over costs no detour through the event
 * loop.
 */
import type { Context } from "effect"
import { Cause, Deferred, Effect, Exit, Fiber } from "effect"

export class SerialWork<Job, E = never> {
  private readonly carryOut: (jobs: ReadonlyArray<Job>) => Effect.Effect<void, E>
  private readonly failure = Deferred.makeUnsafe<never, E>()
  private jobs: Array<Job> = []
  private fork: ((piece: Effect.Effect<void, E>) => Fiber.Fiber<void, E>) | undefined
  private current: Fiber.Fiber<void, E> | undefined
  private busy = false

  /** `carryOut` takes everything that was handed over, in order. */
  constructor(carryOut: (jobs: ReadonlyArray<Job>) => Effect.Effect<void, E>) {
    this.carryOut = carryOut
  }

  /** Hands over a job for the next piece. */
  handOver(job: Job): void {
    this.jobs.push(job)
  }

  /** Whether `start` would begin a piece. */
  get isDue(): boolean {
    return !this.busy && this.jobs.length > 0
  }

  /** Begins with what was handed over, unless a piece is under way, which then begins the next one itself. */
  start(): void {
    if (this.busy) return
    this.busy = true
    while (this.jobs.length > 0 && this.fork !== undefined) {
      const { jobs } = this
      this.jobs = []
      const piece = this.fork(Effect.suspend(() => this.carryOut(jobs)))
      const exit = piece.pollUnsafe()
      if (exit === undefined) {
        this.current = piece
        piece.addObserver(this.ended)
        return
      }
      this.take(exit)
    }
    this.busy = false
  }

  /**
   * Has pieces carried out until it is interrupted. Ends with the first piece that fails or dies; interrupted, it ends
   * the piece that is under way first.
   */
  readonly run: Effect.Effect<never, E> = Effect.flatMap(Effect.context<never>(), (context: Context.Context<never>) => {
    this.fork = Effect.runForkWith(context)
    this.start()
    return Effect.onInterrupt(Deferred.await(this.failure), () => this.stop)
  })

  private readonly stop: Effect.Effect<void> = Effect.suspend(() => {
    this.fork = undefined
    return this.current === undefined ? Effect.void : Effect.asVoid(Fiber.interrupt(this.current))
  })

  private readonly ended = (exit: Exit.Exit<void, E>): void => {
    this.current = undefined
    this.busy = false
    this.take(exit)
    this.start()
  }

  private take(exit: Exit.Exit<void, E>): void {
    if (Exit.isSuccess(exit) || this.fork === undefined) return
    this.fork = undefined
    // Only `stop` may interrupt a piece: the node would wait forever for a piece that ended without a report.
    const end = Cause.hasInterruptsOnly(exit.cause)
      ? Exit.die(new Error("a piece of work was interrupted"))
      : Exit.failCause(exit.cause)
    Deferred.doneUnsafe(this.failure, end)
  }
}
