/** Failures as answers. */
import { HttpServerResponse } from "effect/http"
import type { ApiFailure } from "./Failures.ts"
import { retryAfterSeconds, statusOf } from "./Failures.ts"

/** The answer that tells of a failure. */
export const failed = (
  failure: ApiFailure,
  headers: Readonly<Record<string, string>> = {}
): HttpServerResponse.HttpServerResponse => {
  const retryAfter = retryAfterSeconds(failure)
  return HttpServerResponse.jsonUnsafe(failure, {
    status: statusOf(failure),
    headers: {
      ...headers,
      ...retryAfter === undefined ? {} : { "retry-after": retryAfter },
      // What is left of such a body is not waited for.
      ...failure.tag === "BodyTooLarge" ? { connection: "close" } : {}
    }
  })
}
