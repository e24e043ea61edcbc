/**
 * A node's HTTP port, for machines and people that operate it:
 *
 * | path       | answers                                                                                |
 * | ---------- | -------------------------------------------------------------------------------------- |
 * | `/livez`   | 200 while the node works; a process that fails it should be restarted                   |
 * | `/readyz`  | 200 when the node knows a leader and has caught up, otherwise 503 with the reason       |
 * | `/metrics` | Prometheus                                                                             |
 * | `/status`  | where the node stands, as JSON                                                         |
 * | `/debug/raft` | what its owner sees, in every detail, as JSON (`docs/metrics.md`)                   |
 * | `/plain`   | the same as a page without scripts                                                      |
 * | `/`        | the console (`console/`)                                                               |
 * | `/v1/…`    | the API, where the node has the key-value store (`api/Api.ts`)                          |
 *
 * `/livez` and `/readyz` answer any caller, the others only under a name that {@link HttpGuard} allows. Once callers
 * have to say who they are, `HttpAccess.ts` says which of them are answered.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Clock, Context, Effect, Layer } from "effect"
import type { Redacted } from "effect"
import { HttpMiddleware, HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { PrometheusMetrics } from "effect/observability"
import { X509Certificate } from "node:crypto"
import type { Server } from "node:http"
import { watchTables } from "../BoundedTables.ts"
import * as AccessMetrics from "../callers/AccessMetrics.ts"
import type { AuditLog } from "../callers/AuditLog.ts"
import type { ClientAuth } from "../config/Security.ts"
import { Authentication } from "../callers/Authentication.ts"
import { onlyAdministrators } from "../callers/OnlyAdministrators.ts"
import type { Limits } from "../config/Limits.ts"
import { defaultLimits } from "../config/Limits.ts"
import type { Fatal } from "../FlareDbError.ts"
import type { NodeStatus } from "../node/NodeStatus.ts"
import { RaftNode } from "../node/RaftNode.ts"
import { CallMetrics } from "../net/CallMetrics.ts"
import { ProtocolViolations } from "../net/ProtocolViolations.ts"
import type { BoundAddress, ListenError } from "../net/Listening.ts"
import { formatAddress, formatBound, listen } from "../net/Listening.ts"
import { isLoopbackHost } from "../net/Loopback.ts"
import type { PortTls } from "../net/tls/Credentials.ts"
import { countRefusals } from "../net/tls/RefusalCount.ts"
import { TlsPort } from "../net/tls/TlsPort.ts"
import { httpProtocol } from "../net/tls/TlsProtocol.ts"
import type { ProcessReport, StatusDocument } from "../protocol/NodeReport.ts"
import * as ProcessFacts from "../server/ProcessFacts.ts"
import { upToDate } from "../node/UpToDate.ts"
import { version } from "../Version.ts"
import { failed } from "./api/FailureResponse.ts"
import { failureOf } from "./api/Failures.ts"
import { expiryText, readiness } from "./Health.ts"
import { HttpAccess, unproven } from "./HttpAccess.ts"
import { certificateName, describeName } from "../net/tls/CertificateCheck.ts"
import { isForOperators, measureRequests } from "./HttpMetrics.ts"
import { HttpConnections } from "./HttpConnections.ts"
import * as HttpGuard from "./HttpGuard.ts"
import { createServer } from "./NodeHttp.ts"
import { OpenAnswers } from "./OpenAnswers.ts"
import { prometheusText } from "./PrometheusText.ts"
import { RequestCallers } from "./RequestCallers.ts"
import { SecuredSockets } from "./SecuredSockets.ts"
import * as StatusPage from "./StatusPage.ts"
import { make as makeSections, StatusSections } from "./StatusSections.ts"
import { closeMalformed } from "./MalformedRequests.ts"
import { closeUnread } from "./UnreadAnswers.ts"

export interface HttpServerOptions {
  readonly clusterId: string
  /** Port 0 lets the system choose. */
  readonly listen: { readonly host: string; readonly port: number }
  /** Names under which the port is asked for, beside `localhost` and addresses. */
  readonly hosts?: ReadonlyArray<string>
  /** See `FlareDbConfig.Limits`. */
  readonly limits?: PortLimits
  /** How it is served over TLS; plain without it. Its demand is `optional`, because probes have no certificate. */
  readonly tls?: PortTls | undefined
  /** Who may ask; anybody when it is absent. */
  readonly callers?: HttpCallers | undefined
}

/** Who may ask for what. */
export interface HttpCallers {
  /** What callers have to show; with `none` anybody may ask. */
  readonly clientAuth: ClientAuth
  /** See `Authentication.ts`. */
  readonly bootstrapToken?: Redacted.Redacted | undefined
  /** Where refused requests are written down. */
  readonly audit?: AuditLog | undefined
}

type PortLimits = Pick<Limits, "maxFrameMs" | "maxHandshakeMs" | "maxHttpConnections" | "maxPendingAnswerBytes">

/** How often Node looks for connections whose time is over, in milliseconds: a wake of a node at rest for each. */
const checkMs = 1_000

/**
 * Where the HTTP port of a node really is.
 *
 * **When to use**
 *
 * Not in programs, whose configuration names the port. Its name is public because layers of a node provide it.
 */
export class HttpAddress extends Context.Service<HttpAddress, BoundAddress>()("flaredb/http/HttpAddress") {}

/** Fails when the node has stopped serving, which its status does not show: that is the last one it had. */
const stopped = (node: RaftNode["Service"]): Effect.Effect<void, Fatal> =>
  Effect.raceFirst(node.fatal, Effect.asVoid(Effect.yieldNow))

const orUnavailable = <R>(answer: Effect.Effect<HttpServerResponse.HttpServerResponse, Fatal, R>) =>
  Effect.catch(
    answer,
    ({ reason }) => Effect.succeed(HttpServerResponse.text(`the node has stopped: ${reason}\n`, { status: 503 }))
  )

/** When the node's own certificate ends, in a line for people; empty while there is time. */
const expiryWarning = ({ tls }: HttpServerOptions, nowMs: number): string => {
  const own = tls?.credentials.current().own
  if (own === undefined) return ""
  const certificate = new X509Certificate(own.certificate)
  const name = certificateName(certificate)
  return expiryText("_tag" in name ? "node ID" : describeName(name), Date.parse(certificate.validTo), nowMs)
}

/** What `/status` says of the process. */
const processReport = ({ memory, room, timeMs, uptimeMs }: ProcessFacts.ProcessFacts): ProcessReport => ({
  timeMs,
  uptimeMs,
  memoryBytes: memory.residentBytes,
  node: process.version,
  platform: `${process.platform}-${process.arch}`,
  ...room === undefined ? {} : { diskBytes: room.totalBytes, diskFreeBytes: room.freeBytes }
})

/** What `/status` says of the node, whatever sections it has. */
const statusDocument = (
  clusterId: string,
  status: NodeStatus,
  process: ProcessFacts.ProcessFacts
): StatusDocument => ({
  clusterId,
  version,
  ...status,
  identity: status.identity ?? null,
  waiting: status.waiting ?? null,
  processes: Object.fromEntries(status.processes),
  process: processReport(process)
})

const prometheusType = "text/plain; version=0.0.4; charset=utf-8"

const routes = (options: HttpServerOptions, sections: StatusSections["Service"], admit: HttpGuard.Admit) => {
  const { clusterId, hosts = [], listen } = options
  return Layer.unwrap(
    Effect.zipWith(RaftNode, ProcessFacts.make, (node, facts) =>
      Layer.mergeAll(
        HttpGuard.layer([listen.host, ...hosts], admit),
        HttpRouter.add("GET", "/livez", Effect.as(stopped(node), HttpServerResponse.text("ok\n")).pipe(orUnavailable)),
        HttpRouter.add(
          "GET",
          "/readyz",
          Effect.zipWith(Effect.andThen(stopped(node), node.status), Clock.currentTimeMillis, (status, nowMs) => {
            const { ready, reason } = readiness(status)
            return HttpServerResponse.text(
              `${ready ? "ok" : "not ready"}: ${reason}${expiryWarning(options, nowMs)}\n`,
              { status: ready ? 200 : 503 }
            )
          }).pipe(orUnavailable)
        ),
        HttpRouter.add(
          "GET",
          "/status",
          Effect.map(
            Effect.all([node.status, sections.read, facts]),
            ([status, answers, process]) =>
              HttpServerResponse.jsonUnsafe({
                ...Object.fromEntries(answers.map(({ json, name }) => [name, json])),
                ...statusDocument(clusterId, status, process)
              })
          )
        ),
        HttpRouter.add(
          "GET",
          "/debug/raft",
          Effect.map(node.debug, (seen) =>
            HttpServerResponse.text(`${JSON.stringify(seen, null, 2)}\n`, { contentType: "application/json" }))
        ),
        HttpRouter.add(
          "GET",
          "/plain",
          Effect.zipWith(
            node.status,
            sections.read,
            (status, answers) =>
              HttpServerResponse.html(StatusPage.render(status, clusterId, answers))
          )
        ),
        HttpRouter.add(
          "GET",
          "/metrics",
          Effect.map(PrometheusMetrics.format(), (text) =>
            HttpServerResponse.text(prometheusText(text), { contentType: prometheusType }))
        )
      ))
  )
}

/** Node's server with the limits of the port, which logs callers that go beyond them. */
const guardedServer = (limits: PortLimits, violations: ProtocolViolations) => {
  const { maxFrameMs, maxHandshakeMs } = limits
  const times = { headersMs: Math.min(maxHandshakeMs, maxFrameMs), requestMs: maxFrameMs }
  const server = createServer({
    headersTimeout: times.headersMs,
    requestTimeout: times.requestMs,
    connectionsCheckingInterval: checkMs
  })
  closeUnread(server, maxFrameMs, violations)
  closeMalformed(server, times, violations)
  const headers = HttpGuard.headersFor(StatusPage.style)
  server.on("request", (_, response) => response.setHeaders(headers))
  server.on("error", ({ message }) => {
    // A connection that could not be taken, for want of a descriptor. Unheard, it would end the process.
    // That nothing listens, so that the node does not start, is said by what listens.
    if (server.listening) violations.report("too-many-connections", "unknown", `lost a connection: ${message}`)
  })
  return server
}

/** TLS in front of the port, when it has some. */
const securedSockets = Effect.fnUntraced(
  function*({ limits = defaultLimits, tls }: HttpServerOptions, violations: ProtocolViolations) {
    if (tls === undefined) return new SecuredSockets(undefined)
    const onRefused = yield* countRefusals("http")
    const clock = yield* Clock.Clock
    const port = yield* Effect.acquireRelease(
      Effect.sync(() =>
        new TlsPort({
          tls,
          protocol: httpProtocol,
          nowMs: () => clock.currentTimeMillisUnsafe(),
          onProblem: (problem) => violations.report("refused-tls", "this node", problem)
        })
      ),
      (opened) => Effect.sync(() => opened.close())
    )
    return new SecuredSockets({ port, violations, onRefused, maxHandshakeMs: limits.maxHandshakeMs })
  }
)

/** Who may ask for what. */
const admission = Effect.fnUntraced(function*(
  { callers: config, listen, tls }: HttpServerOptions,
  sockets: SecuredSockets,
  violations: ProtocolViolations,
  answers: OpenAnswers,
  connections: HttpConnections
): Effect.fn.Return<HttpGuard.Admit, never, RaftNode> {
  const node = yield* RaftNode
  const { access = onlyAdministrators, appliedAccess = access } = node
  const { audit, bootstrapToken, clientAuth = "none" } = config ?? {}
  const authentication = new Authentication({
    clientAuth,
    bootstrapToken,
    mode: tls?.mode ?? "off",
    access,
    isLoopback: () => isLoopbackHost(listen.host)
  })
  const metrics = yield* AccessMetrics.make(access)
  const callers = clientAuth === "none" && audit === undefined
    ? undefined
    : new RequestCallers({ authentication, access: appliedAccess, violations, metrics, audit })
  const http = new HttpAccess({ authentication, access, metrics, violations, audit, callers, room: answers.refusal })
  return (path, request) => {
    const full = path === "/metrics" ? undefined : connections.refusal(request.socket)
    if (full !== undefined) return Effect.succeed(failed(failureOf(full)))
    const { authorization } = request.headers
    const from = formatAddress(request.socket.remoteAddress ?? "unknown", request.socket.remotePort ?? 0)
    const caller = { remote: sockets.remoteOf(request.socket), from, authorization }
    const admitted = Effect.sync(() => http.admit(path, caller))
    const unknown = http.unknownOf(path, caller)
    if (unknown === undefined) return admitted
    return Effect.matchEffect(upToDate(node, unknown), {
      onFailure: (error) => Effect.succeed(unproven(path, error)),
      onSuccess: () => admitted
    })
  }
})

/**
 * Routes that others add to those of the port. They are behind its guard, which provides `RequestCaller`. What they
 * work with is provided before they are handed over.
 */
export type Routes = Layer.Layer<never, never, Router>

/** What routes are added to. */
export type Router = HttpRouter.HttpRouter

/** Paths are read as the guard reads them: `/V1/KEYS/a` and `//v1/keys/a` are no paths. */
const routerConfig = { caseSensitive: true, ignoreDuplicateSlashes: false, ignoreTrailingSlash: false }

const untraced = Layer.succeed(HttpMiddleware.TracerDisabledWhen)(({ url }) => isForOperators(url))

const make = Effect.fnUntraced(function*(options: HttpServerOptions, more: Routes) {
  const limits = options.limits ?? defaultLimits
  const violations = yield* ProtocolViolations.make("http")
  const sections = yield* makeSections
  const sockets = yield* securedSockets(options, violations)
  const answers = new OpenAnswers(limits.maxPendingAnswerBytes)
  const metrics = yield* CallMetrics.make("http")
  const connections = new HttpConnections({
    maximum: limits.maxHttpConnections,
    violations,
    acceptedOf: (socket) => sockets.acceptedOf(socket)
  })
  const admit = yield* admission(options, sockets, violations, answers, connections)
  yield* watchTables([connections.table, answers.table])
  const servers: Array<Server> = []
  const make = () => {
    const server = guardedServer(limits, violations)
    servers.push(server)
    measureRequests(server, metrics)
    answers.watch(server)
    sockets.guard(server)
    connections.watch(server)
    return server
  }
  const { bound } = yield* listen({ name: "http", ...options.listen }, (host, port) => {
    const server = NodeHttpServer.layer(make, { host, port, gracefulShutdownTimeout: 1_000 })
    const all = Layer.merge(routes(options, sections, admit), more)
    const served = HttpRouter.serve(all, { disableLogger: true, disableListenLog: true, routerConfig })
      .pipe(Layer.provide(untraced))
    return Effect.map(Layer.build(Layer.fresh(Layer.provideMerge(served, server))), (services) => {
      for (const listening of servers) listening.removeAllListeners("upgrade")
      const { address } = Context.get(services, HttpServer.HttpServer)
      return { port: "port" in address ? address.port : port, server: undefined }
    })
  })
  yield* Effect.logInfo(`HTTP is served at ${formatBound(bound)}`)
  return Context.make(HttpAddress, HttpAddress.of(bound)).pipe(Context.add(StatusSections, sections))
})

/**
 * Serves the paths above, and `more`, until the scope closes. A program that runs something on the node may add to the
 * status page.
 */
export const layer = (
  options: HttpServerOptions,
  more: Routes = Layer.empty
): Layer.Layer<HttpAddress | StatusSections, ListenError, RaftNode> => Layer.effectContext(make(options, more))
