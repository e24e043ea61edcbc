/**
 * The life of a node: its parts run beside each other and end together. A part that fails stops all of them, because
 * what it was about to do is unknown. Every waiting caller gets an error, and the process exits, because it awaits
 * `fatal`.
 */
import { Cause, Deferred, Effect, FiberSet } from "effect"
import type { Scope } from "effect"
import { errorText } from "../ErrorText.ts"
import type { WriteError } from "../FlareDbError.ts"
import { Fatal, Indeterminate, Unavailable } from "../FlareDbError.ts"
import type { NodeId } from "../raft/Types.ts"
import type { StorageError } from "../storage/StorageError.ts"

/** Tells everything that waits that the node serves no more: writes with the first error, reads with the second. */
export type Abandon = (write: WriteError, stopped: Fatal | Unavailable) => void

export class NodeLife {
  private readonly nodeId: NodeId
  private readonly fibers: FiberSet.FiberSet<void>
  private readonly failure = Deferred.makeUnsafe<never, Fatal>()
  private abandon: Abandon = () => undefined
  /** Why the node serves no more, once it does not. */
  stopped: Fatal | Unavailable | undefined

  private constructor(nodeId: NodeId, fibers: FiberSet.FiberSet<void>) {
    this.nodeId = nodeId
    this.fibers = fibers
  }

  /** A node that has no parts yet. What it runs ends with the scope. */
  static readonly make = (nodeId: NodeId): Effect.Effect<NodeLife, never, Scope.Scope> =>
    Effect.map(FiberSet.make<void>(), (fibers) => new NodeLife(nodeId, fibers))

  /** Has `abandon` called when the node stops, and when the scope closes. */
  readonly atEnd = (abandon: Abandon): Effect.Effect<void, never, Scope.Scope> => {
    this.abandon = abandon
    return Effect.addFinalizer(() =>
      Effect.sync(() => {
        this.stopped ??= new Unavailable({ reason: `node ${this.nodeId} is shutting down` })
        abandon(
          new Indeterminate({ reason: `node ${this.nodeId} shut down before the write was committed` }),
          this.stopped
        )
      })
    )
  }

  /** Fails when the node had to stop; never succeeds. */
  get fatal(): Effect.Effect<never, Fatal> {
    return Deferred.await(this.failure)
  }

  /** Ends everything after a failure. */
  private readonly stop = Effect.fnUntraced(
    { self: this },
    function*(this: NodeLife, reason: string, cause: Cause.Cause<unknown>) {
      if (this.stopped !== undefined) return
      const fatal = new Fatal({ reason })
      this.stopped = fatal
      yield* Effect.logFatal(`the node stops serving: ${reason}`, cause)
      this.abandon(fatal, fatal)
      yield* Deferred.fail(this.failure, fatal)
      // Detached, because the fiber that failed is one of those that end here.
      yield* Effect.forkDetach(FiberSet.clear(this.fibers))
    }
  )

  /** Runs a part of the node beside the others; a part that fails or dies takes the node with it. */
  supervise(name: string, part: Effect.Effect<void, { readonly message: string }>): Effect.Effect<void> {
    const work = Effect.catchCause(part, (cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.void
        : this.stop(`${name}: ${errorText(Cause.squash(cause))}`, cause))
    return Effect.asVoid(FiberSet.run(this.fibers, Effect.annotateLogs(work, { node: this.nodeId })))
  }

  /** Runs work on the state of this node; storage that cannot be read stops the node. `what` is part of the reason. */
  orStop<A, R>(what: string, work: Effect.Effect<A, StorageError, R>): Effect.Effect<A, Fatal, R> {
    return Effect.catch(work, (error) =>
      Effect.andThen(
        this.stop(`${what}: ${error.message}`, Cause.fail(error)),
        Effect.fail(new Fatal({ reason: error.message }))
      ))
  }

  /** Runs work unless the node has stopped. */
  whileRunning<A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<A, E | Unavailable | Fatal, R> {
    return Effect.suspend((): Effect.Effect<A, E | Unavailable | Fatal, R> =>
      this.stopped === undefined ? work : Effect.fail(this.stopped)
    )
  }
}
