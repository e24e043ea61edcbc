/** Promises of the binding as effects, whose failure is the last thing that the database does. */
import { Effect } from "effect"
import type { FirstFailure } from "../FirstFailure.ts"
import type { StorageError } from "../StorageError.ts"
import { failureIn } from "../StorageError.ts"

/**
 * Runs a promise to its end even when the fiber is interrupted: a write that began cannot be taken back. Only the first
 * failure of the database ends the wait before: on a full disk RocksDB holds a write back until there is room again,
 * and the flush that failed is known by another way.
 */
export type Promised = <A>(operation: string, run: () => Promise<A>) => Effect.Effect<A, StorageError>

export const promisedIn = (path: string, failure: FirstFailure): Promised => (operation, run) =>
  Effect.uninterruptible(
    Effect.callback((resume) => {
      const failed = (cause: unknown) => {
        const error = failureIn(operation, path, cause)
        failure.record(error)
        resume(Effect.fail(error))
      }
      try {
        const running = run()
        const forget = failure.onFirst((error) => resume(Effect.fail(error)))
        running.finally(forget).then((value) => resume(Effect.succeed(value)), failed)
      } catch (cause) {
        failed(cause)
      }
    })
  )
