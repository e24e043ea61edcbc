/** What is left to be done when a store closes. */
import { Effect } from "effect"
import type { StorageError } from "../StorageError.ts"

/**
 * Work that is left for the close. No caller waits for its result: a failure is logged, and the close itself fails with
 * it, so that a process ends with an exit code other than 0.
 */
export const closing = (work: Effect.Effect<void, StorageError>): Effect.Effect<void> =>
  work.pipe(Effect.tapError((error) => Effect.logFatal(`at close: ${error.message}`)), Effect.orDie)
