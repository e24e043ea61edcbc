/** Calls of FlareDB that are repeated while a node is down or another one begins to lead. */
import { Effect, Schedule } from "effect"
import { Overloaded } from "../../FlareDbError.ts"

/** Times that a call is made, and the first pause between two, in milliseconds. Each pause is twice the one before. */
const times = 6
const firstPauseMs = 200

/** Limits on what lasts: a pause does not help. */
const lasting = /^max(?:Leases|ConnectionLeases|LeaseKeys|Sessions|ConnectionSessions)\b/

const isLater = (error: { readonly _tag: string }): boolean =>
  error._tag === "Unavailable" || (error instanceof Overloaded && !lasting.test(error.limit))

const isUnknown = (error: { readonly _tag: string }): boolean =>
  error._tag === "Indeterminate" || error._tag === "SessionExpired"

const repeatWhile =
  (holds: (error: { readonly _tag: string }) => boolean) =>
  <A, E extends { readonly _tag: string }, R>(call: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.retry(call, { while: holds, times, schedule: Schedule.exponential(firstPauseMs) })

/** A read. */
export const reading = repeatWhile(isLater)

/** A write that does no harm when it is carried out twice. */
export const writing = repeatWhile((error) => isLater(error) || isUnknown(error))
