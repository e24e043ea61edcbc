/** How a bench ends that could not measure, or whose figures miss what they must show. */
import { Console, Effect } from "effect"

/** Prints why, and has the process end with 1. */
export const failing = <A, E, R>(bench: Effect.Effect<A, E, R>): Effect.Effect<A | void, never, R> =>
  Effect.catch(bench, (error) =>
    Effect.andThen(
      Console.error(error instanceof Error ? error.message : String(error)),
      Effect.sync(() => {
        process.exitCode = 1
      })
    ))
