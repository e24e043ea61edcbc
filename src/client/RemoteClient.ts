/**
 * Composes the client: a pool of connections, a pipeline for each kind of operation, the services over them. Watches
 * have a pool of their own, so that a large part of one delays no other answer.
 */
import { Clock, Context, Effect, Exit, Layer, Random, Result, Scope } from "effect"
import type { ClusterIdentity } from "../protocol/ClusterIdentity.ts"
import { parseIdentity } from "../protocol/ClusterIdentity.ts"
import { InvalidConfig } from "../config/ConfigProblem.ts"
import { portProblem } from "../config/NodeAddress.ts"
import { ownerProblem, ttlProblem } from "../kv/model/Limits.ts"
import * as Access from "./Access.ts"
import type { ClientOptions } from "./ClientOptions.ts"
import { connectionOptions, resolve } from "./ClientOptions.ts"
import * as ClusterAdmin from "./ClusterAdmin.ts"
import type { Connect } from "./connection/Connection.ts"
import { ConnectionPool } from "./connection/ConnectionPool.ts"
import type { Endpoint } from "./connection/Endpoint.ts"
import { formatEndpoint, repeatedEndpoints } from "./connection/Endpoint.ts"
import * as Elections from "./Election.ts"
import { KnownCluster } from "./connection/KnownCluster.ts"
import * as KeyValue from "./KeyValue.ts"
import * as Leases from "./Lease.ts"
import * as Locks from "./Lock.ts"
import * as Pipelines from "./session/Pipelines.ts"
import { ClientRequests, Requests } from "./session/Requests.ts"
import { isLoopbackHost } from "../net/Loopback.ts"
import { maxTimeoutMs } from "./session/Timeout.ts"
import { monotonicMsOf } from "../Monotonic.ts"
import { Router } from "./session/Router.ts"
import * as TcpConnection from "./connection/TcpConnection.ts"
import * as Watch from "./Watch.ts"

/** What a client is made of. */
export type ClientServices =
  | KeyValue.KeyValue
  | Watch.Watch
  | Leases.Leases
  | Locks.Locks
  | Elections.Elections
  | ClusterAdmin.ClusterAdmin
  | Access.Access
  | ClientRequests

/**
 * A client whose connections are opened by `connect`. Its watches, and its reads at any node, begin at the endpoint
 * `own`; without one, watches begin at any, so that those of many clients spread over the nodes.
 */
export const layerConnect = (
  options: ClientOptions,
  connect: Connect,
  own?: Endpoint
): Layer.Layer<ClientServices, InvalidConfig> =>
  Layer.effectContext(
    Effect.gen(function*() {
      const client = resolve(options)
      yield* validate(client)
      const clock = yield* Clock.Clock
      // Closes last, after what is said over the connections at the end.
      const connections = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
      const cluster = new KnownCluster(yield* expectedCluster(client))
      const pool = yield* Scope.provide(ConnectionPool.make(connect, cluster, client.connectTimeoutMs), connections)
      const requests = new Requests(yield* Pipelines.make(client, pool, { sessions: client.sessions, readAt: own }))
      const keyValue = KeyValue.make(requests)
      const watch = Watch.make({
        client,
        pool: yield* ConnectionPool.make(connect, cluster, client.connectTimeoutMs),
        router: new Router(yield* startingAt(client.endpoints, own), () => monotonicMsOf(clock)),
        keyValue
      })
      const leases = Leases.make(requests)
      const parts = { keyValue, leases, watch }
      return Context.make(KeyValue.KeyValue, keyValue).pipe(
        Context.add(ClusterAdmin.ClusterAdmin, ClusterAdmin.make(client, pool, requests)),
        Context.add(Access.Access, Access.make(client, pool, requests)),
        Context.add(Watch.Watch, watch),
        Context.add(ClientRequests, requests),
        Context.add(Leases.Leases, leases),
        Context.add(Locks.Locks, Locks.make(parts)),
        Context.add(Elections.Elections, Elections.make(parts))
      )
    })
  )

/**
 * A client of a cluster: `KeyValue`, `Watch`, `Leases`, `Locks`, `Elections` and the services of operators.
 *
 * **When to use**
 *
 * In a service, once, at the top of its layers: one client has one session, and connections that all operations
 * share.
 *
 * **Details**
 *
 * Connects when it is first used. `endpoints` are client ports of the nodes, any of which answers; with one alone
 * the loss of that node is the loss of the client. Fails at once as `InvalidConfig` when its settings are wrong.
 *
 * **Gotchas**
 *
 * Each layer that is built is a client with a session of its own, and a cluster has room for 10,000 of them.
 */
export const layer = (
  options: ClientOptions
): Layer.Layer<ClientServices, InvalidConfig> => {
  const connection = connectionOptions(resolve(options))
  const connectTimeoutMs = connection.connectTimeoutMs * openingPatience
  return layerConnect(options, TcpConnection.make({ ...connection, connectTimeoutMs }))
}

/** How many times as long as its callers wait for it a connection may take to be opened. */
const openingPatience = 4

/** The endpoints in their order, beginning with `first` or with any. */
const startingAt = Effect.fnUntraced(function*(endpoints: ReadonlyArray<Endpoint>, first: Endpoint | undefined) {
  const named = endpoints.findIndex((endpoint) =>
    first !== undefined && formatEndpoint(endpoint) === formatEndpoint(first)
  )
  const start = named >= 0 ? named : yield* Random.nextIntBetween(0, endpoints.length - 1)
  return [...endpoints.slice(start), ...endpoints.slice(0, start)]
})

/** The cluster that a client is to keep to, when its settings name one. */
export const expectedCluster = (
  { clusterIdentity }: ReturnType<typeof resolve>
): Effect.Effect<ClusterIdentity | undefined, InvalidConfig> => {
  if (clusterIdentity === undefined) return Effect.succeed(undefined)
  return Effect.fromResult(Result.mapError(
    parseIdentity(clusterIdentity),
    ({ message }) => new InvalidConfig({ problems: [{ field: "clusterIdentity", problem: message }] })
  ))
}

/** Fails with everything that is wrong with a client's settings. */
export const validate = (client: ReturnType<typeof resolve>): Effect.Effect<void, InvalidConfig> => {
  const problems = client.endpoints.length === 0
    ? [{ field: "endpoints", problem: "name at least one node's client endpoint" }]
    : []
  for (const [field, value] of Object.entries(client)) {
    if (typeof value === "number" && !(Number.isSafeInteger(value) && value >= 1)) {
      problems.push({ field, problem: `must be an integer of at least 1, got ${value}` })
    } else if (typeof value === "number" && field.endsWith("TimeoutMs") && value > maxTimeoutMs) {
      problems.push({ field, problem: `must be at most ${maxTimeoutMs}, got ${value}` })
    }
  }
  for (const [index, { host, port }] of client.endpoints.entries()) {
    if (host === "") problems.push({ field: `endpoints[${index}].host`, problem: "is empty" })
    const problem = portProblem(port)
    if (problem !== undefined) problems.push({ field: `endpoints[${index}].port`, problem })
  }
  for (const index of repeatedEndpoints(client.endpoints)) {
    problems.push({ field: `endpoints[${index}]`, problem: "is named twice" })
  }
  const exposed = client.endpoints.find(({ host }) => !isLoopbackHost(host))
  if (client.token !== undefined && client.tls === undefined && exposed !== undefined) {
    problems.push({
      field: "token",
      problem: `is not sent to ${formatEndpoint(exposed)} without TLS, where others could read it; give tls as well`
    })
  }
  const ttl = ttlProblem(client.sessionTtlMs, "sessionTtlMs")
  if (ttl !== undefined) problems.push(ttl)
  const name = ownerProblem(client.name, "name")
  if (name !== undefined) problems.push(name)
  return problems.length === 0 ? Effect.void : Effect.fail(new InvalidConfig({ problems }))
}
