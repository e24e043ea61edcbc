/**
 * What a failed call leaves to its caller: whether it may be made again, and whether it may have been carried out. The
 * client itself has tried for as long as the call had time.
 */

/** Nothing was done, and the same call may succeed later. */
const retryable: ReadonlySet<string> = new Set(["Conflict", "NotLeader", "Overloaded", "Unavailable"])

/** The call may have been carried out, or may yet be. */
const outcomeUnknown: ReadonlySet<string> = new Set(["Fatal", "Indeterminate", "SessionExpired"])

const tagIn = (tags: ReadonlySet<string>, error: unknown): boolean =>
  typeof error === "object" && error !== null && "_tag" in error && typeof error._tag === "string" &&
  tags.has(error._tag)

/**
 * Whether a call that failed with `error` changed nothing and may succeed when it is made again, after a pause: `true`
 * for `Unavailable`, `Overloaded`, `Conflict` and `NotLeader`. It holds for every call, also one that may not be done
 * twice.
 *
 * ```ts
 * kv.put("a", "1").pipe(Effect.retry({ while: isRetryable, schedule: Schedule.exponential("100 millis"), times: 5 }))
 * ```
 *
 * Bound the attempts: an `Overloaded` whose limit is on what lasts, such as `maxLeases`, ends only when some of that is
 * removed.
 */
export const isRetryable = (error: unknown): boolean => tagIn(retryable, error)

/**
 * Whether a write that failed with `error` may have been carried out, or may yet be: `true` for `Indeterminate`,
 * `SessionExpired` and `Fatal`. Read what it would have changed, or repeat it where doing it twice does no harm:
 * `while: (error) => isRetryable(error) || isOutcomeUnknown(error)`. A read has no such outcome, and may be repeated.
 */
export const isOutcomeUnknown = (error: unknown): boolean => tagIn(outcomeUnknown, error)
