/** How long what a process holds outlives it. */
import { defaultLockTtlMs } from "../../client/Lock.ts"
import { withDefault } from "./DefaultValue.ts"
import { durationFlag, formatDuration } from "./Duration.ts"

/** `held` is the lock or leadership. */
export const ttlFlag = (held: string) =>
  durationFlag("ttl").pipe(
    withDefault(
      `how long the ${held} outlives this process when that is killed, at least 1s`,
      defaultLockTtlMs,
      formatDuration(defaultLockTtlMs)
    )
  )
