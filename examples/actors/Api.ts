/**
 * An HTTP API that lets each caller make five requests a minute, however many processes serve it: the limiter
 * counts in the back end. More are refused with 429, and the answer says when to come again.
 */
import { Duration, Effect, Layer } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { RateLimiter } from "effect/persistence"

export const limit = 5
export const window = Duration.minutes(1)

/** Asked before every route. A limiter that cannot be reached refuses nobody: this limit protects, it does not bill. */
const limited = HttpRouter.middleware(
  Effect.gen(function*() {
    const limiter = yield* RateLimiter.RateLimiter
    return Effect.fnUntraced(function*(route) {
      const request = yield* HttpServerRequest.HttpServerRequest
      const key = `api/${request.headers["x-api-key"] ?? "anonymous"}`
      return yield* limiter.consume({ algorithm: "token-bucket", key, limit, window }).pipe(
        Effect.matchEffect({
          onSuccess: ({ remaining }) =>
            Effect.map(route, HttpServerResponse.setHeader("x-ratelimit-remaining", String(remaining))),
          onFailure: ({ reason }) =>
            reason._tag === "RateLimitExceeded"
              ? Effect.succeed(
                HttpServerResponse.text("too many requests\n", {
                  status: 429,
                  headers: { "retry-after": String(Math.ceil(Duration.toSeconds(reason.retryAfter))) }
                })
              )
              : route
        })
      )
    })
  }),
  { global: true }
)

export const Api = HttpRouter.add("GET", "/quote", HttpServerResponse.text("42\n")).pipe(Layer.provide(limited))
