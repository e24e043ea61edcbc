/** What is left to be done when a store closes. */
import { Effect } from "effect"
import type { StorageError } from "../StorageError.ts"

/**
 * Work that is left for the close. There is no caller who could be told of its failure: it is logged, and the close
 * itself fails with it, so that a process ends with an exit code other than 0.
 */
export const closing = (work: Effect.Effect<void, StorageError>): Effect.Effect<void> =>
  work.pipe(Effect.tapError((error) => Effect.logFatal(`at close: ${error.message}`)), Effect.orDie)
