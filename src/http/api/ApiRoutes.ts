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
import { ApiServer, make } from "./ApiServer.ts"
import * as DocsPage from "./DocsPage.ts"
import { failed } from "./FailureResponse.ts"
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

/** Everything else under `/v1`. A `HEAD` is answered as the `GET` is, without its body. */
const nothingThere = HttpRouter.addAll(
  (["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const).map((method) =>
    HttpRouter.route(method, "/v1/*", (request) => {
      const what = `${request.method} ${printable(request.url.split("?", 1)[0] as string).slice(0, 200)}`
      const text = `there is no ${what}; GET /v1/docs lists what there is`
      return Effect.succeed(failed(apiFailure("PathNotFound", text, {})))
    })
  )
)

/** What is wrong with the path of a request, if anything. */
const pathProblem = (path: string): string | undefined => {
  // To the router one begins the query.
  if (path.includes(";")) return "the path has a semicolon; write it as %3B"
  try {
    decodeURIComponent(path)
    return undefined
  } catch {
    return "the path is not percent-encoded UTF-8; name a key of other bytes with keyEncoding=base64"
  }
}

/** A path that the router would take for another, or for none, is refused: a key is part of it. */
const exactPaths = HttpRouter.middleware(
  (answer) =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ url }) => {
      const path = url.split("?", 1)[0] as string
      const problem = path.startsWith("/v1/") ? pathProblem(path) : undefined
      return problem === undefined
        ? answer
        : Effect.succeed(
          failed(apiFailure("InvalidArgument", `invalid key: ${problem}`, { field: "key", problem }))
        )
    }),
  { global: true }
)

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
  return Layer.mergeAll(exactPaths, api, page, nothingThere)
}
