/**
 * The first failure of a node's storage, which is final: later writes are refused with it, and `failed` tells the
 * node, which stops. It also covers what no caller waits for: a batch that is written later, the durable floor,
 * reclaiming.
 */
import { Cause, Deferred, Effect, Exit } from "effect"
import type { Scope } from "effect"
import type { StorageError } from "./StorageError.ts"
import { isStorageError, StorageIoError } from "./StorageError.ts"

export class FirstFailure {
  /** What failed, once something has. */
  error: StorageError | undefined
  private readonly path: string
  private readonly deferred = Deferred.makeUnsafe<never, StorageError>()
  private readonly waiting = new Set<(error: StorageError) => void>()

  /** `path` is the data directory, for the message of a defect. */
  constructor(path: string) {
    this.path = path
  }

  /** Fails with the first failure; never succeeds. */
  readonly failed: Effect.Effect<never, StorageError> = Effect.suspend(() => Deferred.await(this.deferred))

  /** Records a failure unless there was one before. */
  readonly record = (error: StorageError): void => {
    if (this.error !== undefined) return
    this.error = error
    Deferred.doneUnsafe(this.deferred, Exit.fail(error))
    for (const notify of this.waiting) notify(error)
    this.waiting.clear()
  }

  /** Calls back with the first failure, at once after there was one. What it returns takes that back. */
  onFirst(notify: (error: StorageError) => void): () => void {
    if (this.error !== undefined) notify(this.error)
    else this.waiting.add(notify)
    return () => void this.waiting.delete(notify)
  }

  /** Runs work until the scope closes. A failure of it, or a defect in it, is a failure of the storage. */
  inBackground(operation: string, work: Effect.Effect<unknown, StorageError>): Effect.Effect<void, never, Scope.Scope> {
    return work.pipe(
      Effect.catchCause((cause) =>
        Effect.sync(() => {
          if (Cause.hasInterruptsOnly(cause)) return
          const error = Cause.squash(cause)
          this.record(
            isStorageError(error) ? error : new StorageIoError({ operation, path: this.path, cause: error })
          )
        })
      ),
      Effect.forkScoped,
      Effect.asVoid
    )
  }
}
