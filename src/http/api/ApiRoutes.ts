/** The API as routes of the HTTP port: its handlers, its document, the page about it, and what else is under `/v1`. */
import { Effect, Layer } from "effect"
import type { HttpMethod } from "effect/http"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApiBuilder, HttpApiMiddleware } from "effect/http-api"
import type { ClientRequests } from "../../client/session/Requests.ts"
import type { Watch } from "../../client/Watch.ts"
import type { RaftNode } from "../../node/RaftNode.ts"
import { printable } from "../../Printable.ts"
import { Api, Malformed } from "./Api.ts"
import type { ApiLimits } from "./ApiServer.ts"
import { METHODS } from "../NodeHttp.ts"
import { ApiServer, make } from "./ApiServer.ts"
import * as DocsPage from "./DocsPage.ts"
import { failed } from "./FailureResponse.ts"
import { apiFailure } from "./Failures.ts"
import { malformed } from "./JsonBody.ts"
import { keyHandlers } from "./KeyHandlers.ts"
import { decodedText } from "./KeyPath.ts"
import { leaseHandlers } from "./LeaseHandlers.ts"
import { transactionHandlers } from "./TransactionHandlers.ts"
import { watchHandlers } from "./WatchHandlers.ts"

const openApiPath = "/v1/openapi.json"
const docsPath = "/v1/docs"

/** What does not fit the definition, in the words of the API. */
const Malforming = HttpApiMiddleware.layerSchemaErrorTransform(Malformed, ({ cause, kind }) => {
  const { field, message, problem } = malformed(cause, kind.toLowerCase())
  return Effect.succeed(failed(apiFailure("InvalidArgument", message, { field, problem })))
})

/** What there is beside the definition. */
const pages = [{ method: "GET", path: openApiPath }, { method: "GET", path: docsPath }]

/** Each path of the API, as an expression, with a method of it. */
const endpoints = [...pages, ...Object.values(Api.groups).flatMap((group) => Object.values(group.endpoints))]
  .map(({ method, path }) => ({
    method,
    path: new RegExp(`^${path.replaceAll(".", "\\.").replaceAll("*", ".*").replaceAll(/:\w+/g, "[^/]+")}$`)
  }))

/** The methods that a path has; none for a path that does not exist. A `HEAD` is a `GET` without a body. */
const methodsOf = (path: string): ReadonlyArray<string> =>
  [...new Set(endpoints.filter((endpoint) => endpoint.path.test(path)).map(({ method }) => method))]
    .flatMap((method) => method === "GET" ? ["GET", "HEAD"] : [method])

/** Everything else under `/v1`, by any method. A `HEAD` comes here as the `GET` that there is not. */
const nothingThere = HttpRouter.addAll(
  METHODS.filter((method) => method !== "HEAD").map((method) =>
    // The router takes any method that the parser does.
    HttpRouter.route(method as HttpMethod.HttpMethod, "/v1/*", (request) => {
      const path = request.url.split("?", 1)[0] as string
      const allowed = methodsOf(path)
      const text = `there is no ${request.method} ${printable(path).slice(0, 200)}`
      if (allowed.length === 0) {
        return Effect.succeed(failed(apiFailure("PathNotFound", `${text}; GET /v1/docs lists what there is`, {})))
      }
      const methods = allowed.join(", ")
      const failure = apiFailure("MethodNotAllowed", `${text}; that path has ${methods}`, { allowed })
      return Effect.succeed(failed(failure, { allow: methods }))
    })
  )
)

/** What is wrong with the URL of a request, if anything. */
const urlProblem = (url: string): { readonly field: string; readonly problem: string } | undefined => {
  const [path = "", ...query] = url.split("?")
  // To the router each of them begins the query.
  if (path.includes(";")) return { field: "key", problem: "the path has a semicolon; write it as %3B" }
  if (path.includes("#")) return { field: "key", problem: "the path has a number sign; write it as %23" }
  const other = "is not percent-encoded UTF-8"
  if (decodedText(path) === undefined) {
    return { field: "key", problem: `the path ${other}; name a key of other bytes with keyEncoding=base64` }
  }
  const parameters = query.join("?")
  if (decodedText(parameters) === undefined) {
    return { field: "query", problem: `${other}; name other bytes with encoding=base64` }
  }
  const names = [...new URLSearchParams(parameters).keys()]
  const repeated = names.find((name, index) => names.indexOf(name) !== index)
  return repeated === undefined ? undefined : { field: repeated.slice(0, 100), problem: "is given more than once" }
}

/** A URL that would be taken for another one is refused: a key or a prefix is part of it. */
const exactUrls = HttpRouter.middleware(
  (answer) =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ url }) => {
      const wrong = url.startsWith("/v1/") ? urlProblem(url) : undefined
      return wrong === undefined
        ? answer
        : Effect.succeed(failed(apiFailure("InvalidArgument", `invalid ${wrong.field}: ${wrong.problem}`, wrong)))
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
  const page = HttpRouter.add("GET", docsPath, Effect.sync(() => HttpServerResponse.html(DocsPage.render())))
  return Layer.mergeAll(exactUrls, api, page, nothingThere)
}
