/** Promises of the binding as effects, whose failure is the last thing that the database does. */
import { Effect } from "effect"
import type { FirstFailure } from "../FirstFailure.ts"
import type { StorageError } from "../StorageError.ts"
import { failureIn } from "../StorageError.ts"

/** Runs a promise to its end even when the fiber is interrupted: a write that began cannot be taken back. */
export type Promised = <A>(operation: string, run: () => Promise<A>) => Effect.Effect<A, StorageError>

export const promisedIn = (path: string, failure: FirstFailure): Promised => (operation, run) =>
  Effect.uninterruptible(
    Effect.tryPromise({
      try: run,
      catch: (cause) => {
        const error = failureIn(operation, path, cause)
        failure.record(error)
        return error
      }
    })
  )
