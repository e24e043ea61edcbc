/** The API as routes of the HTTP port: its handlers, its document, the page about it, and what else is under `/v1`. */
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApiBuilder, HttpApiMiddleware } from "effect/http-api"
import type { ClientRequests } from "../../client/session/Requests.ts"
import type { Watch } from "../../client/Watch.ts"
import type { RaftNode } from "../../node/RaftNode.ts"
import { printable } from "../../Printable.ts"
import { Api, Malformed } from "./Api.ts"
import type { ApiLimits } from "./ApiServer.ts"
import { ApiServer, failed, make } from "./ApiServer.ts"
import * as DocsPage from "./DocsPage.ts"
import { apiFailure } from "./Failures.ts"
import { malformed } from "./JsonBody.ts"
import { keyHandlers } from "./KeyHandlers.ts"
import { leaseHandlers } from "./LeaseHandlers.ts"
import { transactionHandlers } from "./TransactionHandlers.ts"
import { watchHandlers } from "./WatchHandlers.ts"

const openApiPath = "/v1/openapi.json"

/** What does not fit the definition, in the words of the API. */
const Malforming = HttpApiMiddleware.layerSchemaErrorTransform(Malformed, ({ cause, kind }) => {
  const { field, message, problem } = malformed(cause, kind.toLowerCase())
  return Effect.succeed(failed(apiFailure("InvalidArgument", message, { field, problem })))
})

/** Everything else under `/v1`, any method. */
const nothingThere = HttpRouter.add("*", "/v1/*", (request) => {
  const what = `${request.method} ${printable(request.url.split("?", 1)[0] as string).slice(0, 200)}`
  const text = `there is no ${what}; GET /v1/docs lists what there is`
  return Effect.succeed(failed(apiFailure("PathNotFound", text, {})))
})

/**
 * A path that is no percent-encoded UTF-8 has no route. Those of the API say so, because a key is part of them.
 */
const decodedPaths = HttpRouter.middleware(
  (answer) =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ url }) => {
      const path = url.split("?", 1)[0] as string
      return path.startsWith("/v1/") && !isDecodable(path)
        ? Effect.succeed(failed(apiFailure(
          "InvalidArgument",
          "invalid key: the path is not percent-encoded UTF-8; name a key of other bytes with keyEncoding=base64",
          { field: "key", problem: "the path is not percent-encoded UTF-8" }
        )))
        : answer
    }),
  { global: true }
)

const isDecodable = (path: string): boolean => {
  try {
    decodeURIComponent(path)
    return true
  } catch {
    return false
  }
}

/** The routes of the API, for a node with the key-value store. */
export const layer = (
  limits: ApiLimits
): Layer.Layer<never, never, HttpRouter.HttpRouter | RaftNode | ClientRequests | Watch> => {
  const handlers = Layer.mergeAll(keyHandlers, transactionHandlers, leaseHandlers, watchHandlers).pipe(
    Layer.provide(Layer.effect(ApiServer, make(limits)))
  )
  const api = HttpApiBuilder.layer(Api, { openapiPath: openApiPath }).pipe(
    Layer.provide(handlers),
    Layer.provide(Malforming),
    Layer.provide(HttpServer.layerServices)
  )
  const page = HttpRouter.add("GET", "/v1/docs", Effect.sync(() => HttpServerResponse.html(DocsPage.render())))
  return Layer.mergeAll(decodedPaths, api, page, nothingThere)
}
