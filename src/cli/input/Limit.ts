/** Flags that say how many of something at most. */
import { Effect } from "effect"
import type { Failure } from "../output/Failure.ts"
import { wrongUsage } from "../output/Failure.ts"

/** Refuses a `--limit` that would let nothing through. */
export const checkLimit = (limit: number | undefined): Effect.Effect<void, Failure> =>
  limit !== undefined && limit < 1 ? Effect.fail(wrongUsage(`--limit ${limit} is less than 1`)) : Effect.void
