/**
 * Composes the client: a pool of connections, a pipeline for each kind of operation, the services over them. Watches have
 * a pool of their own, so that a large part of one delays no other answer.
 */
import { Context, Effect, Exit, Layer, Random, Scope } from "effect"
import { InvalidConfig } from "../FlareDbConfig.ts"
import { encodeCommand } from "../kv/Command.ts"
import { ttlProblem } from "../kv/Limits.ts"
import { within } from "../rpc/Deadline.ts"
import type { ClientOptions, ResolvedClientOptions } from "./ClientOptions.ts"
import { resolve } from "./ClientOptions.ts"
import { ClientSession } from "./ClientSession.ts"
import * as ClusterAdmin from "./ClusterAdmin.ts"
import type { Connect } from "./Connection.ts"
import { ConnectionPool } from "./ConnectionPool.ts"
import type { Endpoint } from "./Endpoint.ts"
import { formatEndpoint } from "./Endpoint.ts"
import * as KeyValue from "./KeyValue.ts"
import { Pipeline } from "./Pipeline.ts"
import { openSession, Requests } from "./Requests.ts"
import { Router } from "./Router.ts"
import * as TcpConnection from "./TcpConnection.ts"
import * as Watch from "./Watch.ts"

/** What a client is made of. */
export type ClientServices = KeyValue.KeyValue | ClusterAdmin.ClusterAdmin | Watch.Watch

/** Most milliseconds that a client which closes waits until its session is closed. Left open, it ends by itself. */
const closeMs = 250

/** Everything of a client that the services share. */
const makeRequests = Effect.fnUntraced(function*(client: ResolvedClientOptions, pool: ConnectionPool) {
  const toLeader = new Router(client.endpoints)
  /** Commands that may be repeated as they are. */
  const repeatable = yield* Pipeline.make({
    client,
    pool,
    router: toLeader,
    repeatable: true,
    call: (connection, commands) => connection.write(commands)
  })
  const session = client.sessions
    ? new ClientSession({
      open: openSession(repeatable, client.sessionTtlMs, client.requestTimeoutMs),
      maxCallsInFlight: client.maxCallsInFlight
    }, yield* Effect.scope)
    : undefined
  const writes = yield* Pipeline.make({
    client,
    pool,
    router: toLeader,
    repeatable: false,
    session,
    call: (connection, commands) => connection.write(commands)
  })
  const reads = yield* Pipeline.make({
    client,
    pool,
    router: new Router(client.endpoints),
    repeatable: true,
    call: (connection, queries) => connection.read(queries, "linearizable")
  })
  const staleReads = yield* Pipeline.make({
    client,
    pool,
    router: new Router(client.endpoints),
    repeatable: true,
    call: (connection, queries) => connection.read(queries, "stale")
  })
  if (session !== undefined) yield* Effect.addFinalizer(() => closeSession(session, pool, toLeader))
  return new Requests({ writes, repeatable, reads, staleReads, requestTimeoutMs: client.requestTimeoutMs })
})

/** Tells the cluster that the session is needed no more, if nothing of it is open. */
const closeSession = (session: ClientSession, pool: ConnectionPool, router: Router): Effect.Effect<void> =>
  Effect.suspend(() => {
    const stamp = session.idle
    if (stamp === undefined) return Effect.void
    const command = encodeCommand({ _tag: "CloseSession" }, stamp)
    return Effect.flatMap(pool.get(router.target), (connection) => connection.write([command])).pipe(
      within(closeMs, () => "late"),
      Effect.ignore
    )
  })

/**
 * A client whose connections are opened by `connect`. Its watches begin at the endpoint `watchAt`, or at any, so that those of
 * many clients spread over the nodes.
 */
export const layerConnect = (
  options: ClientOptions,
  connect: Connect,
  watchAt?: Endpoint
): Layer.Layer<ClientServices, InvalidConfig> =>
  Layer.effectContext(
    Effect.gen(function*() {
      const client = resolve(options)
      yield* validate(client)
      // Closes last, after what is said over the connections at the end.
      const connections = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
      const pool = yield* Scope.provide(ConnectionPool.make(connect), connections)
      const requests = yield* makeRequests(client, pool)
      const keyValue = KeyValue.make(requests)
      const watch = Watch.make({
        client,
        pool: yield* ConnectionPool.make(connect),
        router: new Router(yield* startingAt(client.endpoints, watchAt)),
        keyValue
      })
      return Context.make(KeyValue.KeyValue, keyValue).pipe(
        Context.add(ClusterAdmin.ClusterAdmin, ClusterAdmin.make(client, pool, requests)),
        Context.add(Watch.Watch, watch)
      )
    })
  )

/**
 * A client over the network. Connects when it is first used: building the layer succeeds while the cluster is down.
 */
export const layer = (
  options: ClientOptions
): Layer.Layer<ClientServices, InvalidConfig> =>
  layerConnect(options, TcpConnection.make({ connectTimeoutMs: resolve(options).connectTimeoutMs }))

/** The endpoints in their order, beginning with `first` or with any. */
const startingAt = Effect.fnUntraced(function*(endpoints: ReadonlyArray<Endpoint>, first: Endpoint | undefined) {
  const named = endpoints.findIndex((endpoint) =>
    first !== undefined && formatEndpoint(endpoint) === formatEndpoint(first)
  )
  const start = named >= 0 ? named : yield* Random.nextIntBetween(0, endpoints.length)
  return [...endpoints.slice(start), ...endpoints.slice(0, start)]
})

/** Fails with everything that is wrong with a client's settings. */
export const validate = (client: ReturnType<typeof resolve>): Effect.Effect<void, InvalidConfig> => {
  const problems = client.endpoints.length === 0
    ? [{ field: "endpoints", problem: "name at least one node's client endpoint" }]
    : []
  for (const [field, value] of Object.entries(client)) {
    if (typeof value === "number" && !(Number.isSafeInteger(value) && value >= 1)) {
      problems.push({ field, problem: `must be an integer of at least 1, got ${value}` })
    }
  }
  const ttl = ttlProblem(client.sessionTtlMs, "sessionTtlMs")
  if (ttl !== undefined) problems.push(ttl)
  return problems.length === 0 ? Effect.void : Effect.fail(new InvalidConfig({ problems }))
}
