/** How the console answers a call: JSON, or the failure with its tag and whether something may have been written. */
import { Effect } from "effect"
import { HttpServerResponse } from "effect/http"
import type { Failure } from "./ConsoleCalls.ts"

const statuses: Readonly<Record<string, number>> = {
  InvalidArgument: 400,
  Unauthenticated: 401,
  TokenNeeded: 403,
  Unauthorized: 403,
  CrossSite: 403,
  Conflict: 409,
  LeaseNotFound: 404,
  NotFound: 404,
  Overloaded: 429,
  Indeterminate: 504
}

export const failureAnswer = ({ _tag, message }: Failure): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.jsonUnsafe({ tag: _tag, message }, { status: statuses[_tag] ?? 503 })

export const answered = <R>(
  answer: Effect.Effect<unknown, Failure, R>
): Effect.Effect<HttpServerResponse.HttpServerResponse, never, R> =>
  Effect.match(answer, {
    onSuccess: (json) => HttpServerResponse.jsonUnsafe(json ?? null),
    onFailure: failureAnswer
  })
