/** How long what a process holds outlives it. */
import { Effect } from "effect"
import { defaultLockTtlMs } from "../../client/Lock.ts"
import { maxTtlMs, minTtlMs } from "../../kv/model/Limits.ts"
import type { Failure } from "../output/Failure.ts"
import { wrongUsage } from "../output/Failure.ts"
import { withDefault } from "./DefaultValue.ts"
import { durationFlag } from "./Duration.ts"
import { formatDuration } from "../../DurationText.ts"

/** Refuses a time to live that no node allows, in the words of the command line. */
export const checkTtl = (name: string, ttlMs: number): Effect.Effect<void, Failure> =>
  ttlMs >= minTtlMs && ttlMs <= maxTtlMs
    ? Effect.void
    : Effect.fail(
      wrongUsage(
        `${name} ${formatDuration(ttlMs)} is not from ${formatDuration(minTtlMs)} to ${formatDuration(maxTtlMs)}`
      )
    )

/** `held` is the lock or leadership. */
export const ttlFlag = (held: string) =>
  durationFlag("ttl").pipe(
    withDefault(
      `how long the ${held} outlives this process when that is killed, at least 1s`,
      defaultLockTtlMs,
      formatDuration(defaultLockTtlMs)
    )
  )
