/**
 * What every answer of the HTTP port is held to, because browsers reach it too. A page of somebody else can have its
 * own name resolve to a node and then read what the node answers (DNS rebinding): its name stands in the `Host` header,
 * so only names that an operator gave, and addresses, are answered.
 */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Effect } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { createHash } from "node:crypto"
import { isIP } from "node:net"
import { printable } from "../Printable.ts"
import { isConsoleFile } from "./console/ConsoleFiles.ts"
import { hostName } from "./HostName.ts"
import { RequestCaller } from "./RequestCaller.ts"

/** Probes come under any name, and tell nothing but whether the node works. */
const openPaths: ReadonlySet<string> = new Set(["/livez", "/readyz"])

/** A key is part of such a path, which the API reads itself. */
const keyPath = "/v1/keys/"

/**
 * Whether a path is written as the documents write it. A router reads escapes where nothing needs one, and the guard
 * and the handlers do not: to them the path would be another one.
 */
const isExactPath = (path: string): boolean => path.startsWith(keyPath) || !/[%;#]/.test(path)

const inexact = (path: string): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(`there is no ${printable(path).slice(0, 200)}: paths are written without escapes\n`, {
    status: 404
  })

/** Whether `header` names a host in `names`, `localhost` or an address: no other host can have an address as a name. */
const isAllowedHost = (header: string | undefined, names: ReadonlySet<string>): boolean => {
  // HTTP/1.0 may leave it out; browsers do not.
  if (header === undefined) return true
  const name = hostName(header)
  return name === "localhost" || isIP(name) !== 0 || names.has(name)
}

/**
 * Headers of every answer, also of those that no route gives. Scripts and data come from the node itself. `style` is
 * that of the page without scripts.
 */
export const headersFor = (style: string): Map<string, string> =>
  new Map([
    ["x-content-type-options", "nosniff"],
    [
      "content-security-policy",
      `default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self'; style-src 'self' 'sha256-${
        createHash("sha256").update(style).digest("base64")
      }'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`
    ],
    ["referrer-policy", "no-referrer"],
    ["cross-origin-resource-policy", "same-origin"],
    ["cache-control", "no-store"]
  ])

const misdirected = (host: string): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(
    `this node does not answer as ${printable(host).slice(0, 200)}; --http-hosts names the hosts that it answers as\n`,
    { status: 421 }
  )

/** A request as Node has it. */
type Request = ReturnType<typeof NodeHttpServerRequest.toIncomingMessage>

/** Says who makes a request, or how it is refused. */
export type Admit = (
  path: string,
  request: Request
) => Effect.Effect<RequestCaller | HttpServerResponse.HttpServerResponse>

/** Holds all routes to the names that are answered, and to who may ask for them. */
export const layer = (names: ReadonlyArray<string>, admit: Admit) => {
  const allowed = new Set(names.map(hostName))
  return HttpRouter.middleware(
    (answer) =>
      Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
        const { headers: { host }, url } = request
        const path = url.split("?", 1)[0] as string
        if (!isExactPath(path)) return Effect.succeed(inexact(path))
        if (openPaths.has(path)) return answer
        if (!isAllowedHost(host, allowed)) return Effect.succeed(misdirected(host as string))
        // They hold nothing of anybody, and a caller needs them before it logs in.
        if (isConsoleFile(path)) return answer
        return Effect.flatMap(
          admit(path, NodeHttpServerRequest.toIncomingMessage(request)),
          (admitted) =>
            HttpServerResponse.isHttpServerResponse(admitted)
              ? Effect.succeed(admitted)
              : Effect.provideService(answer, RequestCaller, admitted)
        )
      }),
    { global: true }
  )
}
