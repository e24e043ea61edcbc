/** Names that are empty, as those of a script whose variable is not set. */
import { Effect } from "effect"
import type { Failure } from "../output/Failure.ts"
import { wrongUsage } from "../output/Failure.ts"

/**
 * Fails for a name that is empty: there is nothing of that name, and a script whose variable is empty would not know.
 */
export const named = (what: string, name: string): Effect.Effect<string, Failure> =>
  name === "" ? Effect.fail(wrongUsage(`the ${what} is empty`)) : Effect.succeed(name)
