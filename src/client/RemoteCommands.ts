/**
 * Composes the client of a state machine of one's own: one pool of connections, a pipeline for each kind of operation.
 */
import { Context, Effect, Layer } from "effect"
import type { InvalidConfig } from "../config/ConfigProblem.ts"
import type { ClientOptions } from "./ClientOptions.ts"
import { connectionOptions, resolve } from "./ClientOptions.ts"
import * as ClusterAdmin from "./ClusterAdmin.ts"
import * as Commands from "./Commands.ts"
import type { Connect } from "./connection/Connection.ts"
import { ConnectionPool } from "./connection/ConnectionPool.ts"
import type { Endpoint } from "./connection/Endpoint.ts"
import { KnownCluster } from "./connection/KnownCluster.ts"
import * as Pipelines from "./session/Pipelines.ts"
import { expectedCluster, validate } from "./RemoteClient.ts"
import { Requests } from "./session/Requests.ts"
import * as TcpConnection from "./connection/TcpConnection.ts"

/** What such a client is made of. */
export type CommandServices = Commands.Commands | ClusterAdmin.ClusterAdmin

/**
 * A client whose connections are opened by `connect`. Its reads at any node begin at the endpoint `own`. `shared` is
 * the cluster that it keeps to together with other connections.
 */
export const layerConnect = (
  options: ClientOptions,
  connect: Connect,
  own?: Endpoint,
  shared?: KnownCluster
): Layer.Layer<CommandServices, InvalidConfig> =>
  Layer.effectContext(
    Effect.gen(function*() {
      const client = resolve(options)
      yield* validate(client)
      const cluster = shared ?? new KnownCluster(yield* expectedCluster(client))
      const pool = yield* ConnectionPool.make(connect, cluster)
      const pipelines = yield* Pipelines.make(client, pool, { sessions: false, readAt: own })
      return Context.make(Commands.Commands, Commands.make(pipelines)).pipe(
        Context.add(ClusterAdmin.ClusterAdmin, ClusterAdmin.make(client, pool, new Requests(pipelines)))
      )
    })
  )

/**
 * A client of a cluster with a state machine of one's own: `Commands`, and the services of operators.
 *
 * **When to use**
 *
 * With clusters of `FlareDb.layerWith`. For the key-value store, `layer`.
 */
export const layer = (options: ClientOptions): Layer.Layer<CommandServices, InvalidConfig> => layerBeside(options)

/** The same, which keeps to a cluster together with other connections. */
export const layerBeside = (
  options: ClientOptions,
  shared?: KnownCluster
): Layer.Layer<CommandServices, InvalidConfig> =>
  layerConnect(options, TcpConnection.make(connectionOptions(resolve(options))), undefined, shared)
