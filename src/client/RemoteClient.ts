/** Composes the client: one pool of connections, a pipeline for each kind of operation, the services over them. */
import { Context, Effect, Layer } from "effect"
import { InvalidConfig } from "../FlareDbConfig.ts"
import type { ClientOptions } from "./ClientOptions.ts"
import { resolve } from "./ClientOptions.ts"
import * as ClusterAdmin from "./ClusterAdmin.ts"
import type { Connect } from "./Connection.ts"
import { ConnectionPool } from "./ConnectionPool.ts"
import * as KeyValue from "./KeyValue.ts"
import { Pipeline } from "./Pipeline.ts"
import { Requests } from "./Requests.ts"
import * as TcpConnection from "./TcpConnection.ts"

/** A client whose connections are opened by `connect`. */
export const layerConnect = (
  options: ClientOptions,
  connect: Connect
): Layer.Layer<KeyValue.KeyValue | ClusterAdmin.ClusterAdmin, InvalidConfig> =>
  Layer.effectContext(
    Effect.gen(function*() {
      const client = resolve(options)
      yield* validate(client)
      const pool = yield* ConnectionPool.make(connect)
      const writes = yield* Pipeline.make({
        client,
        pool,
        repeatable: false,
        call: (connection, commands) => connection.write(commands)
      })
      const reads = yield* Pipeline.make({
        client,
        pool,
        repeatable: true,
        call: (connection, queries) => connection.read(queries, "linearizable")
      })
      const staleReads = yield* Pipeline.make({
        client,
        pool,
        repeatable: true,
        call: (connection, queries) => connection.read(queries, "stale")
      })
      return Context.make(
        KeyValue.KeyValue,
        KeyValue.make(new Requests({ writes, reads, staleReads, requestTimeoutMs: client.requestTimeoutMs }))
      ).pipe(Context.add(ClusterAdmin.ClusterAdmin, ClusterAdmin.make(client, pool)))
    })
  )

/**
 * A client over the network. Connects when it is first used: building the layer succeeds while the cluster is down.
 */
export const layer = (
  options: ClientOptions
): Layer.Layer<KeyValue.KeyValue | ClusterAdmin.ClusterAdmin, InvalidConfig> =>
  layerConnect(options, TcpConnection.make({ connectTimeoutMs: resolve(options).connectTimeoutMs }))

const validate = (client: ReturnType<typeof resolve>): Effect.Effect<void, InvalidConfig> => {
  const problems = client.endpoints.length === 0
    ? [{ field: "endpoints", problem: "name at least one node's client endpoint" }]
    : []
  for (const [field, value] of Object.entries(client)) {
    if (typeof value === "number" && !(Number.isSafeInteger(value) && value >= 1)) {
      problems.push({ field, problem: `must be an integer of at least 1, got ${value}` })
    }
  }
  return problems.length === 0 ? Effect.void : Effect.fail(new InvalidConfig({ problems }))
}
