/** How the console answers a call: JSON, or the failure with its tag and message. */
import { Effect } from "effect"
import { HttpServerResponse } from "effect/http"
import { statusOfTag } from "../api/Failures.ts"
import type { Failure } from "./ConsoleCalls.ts"

/** Of what only the console says; the rest are those of the API. */
const ownStatuses: ReadonlyMap<string, number> = new Map([["TokenNeeded", 403], ["CrossSite", 403], ["NotFound", 404]])

export const failureAnswer = ({ _tag, message }: Failure): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.jsonUnsafe({ tag: _tag, message }, { status: ownStatuses.get(_tag) ?? statusOfTag(_tag) ?? 503 })

export const answered = <R>(
  answer: Effect.Effect<unknown, Failure, R>
): Effect.Effect<HttpServerResponse.HttpServerResponse, never, R> =>
  Effect.match(answer, {
    onSuccess: (json) => HttpServerResponse.jsonUnsafe(json ?? null),
    onFailure: failureAnswer
  })
