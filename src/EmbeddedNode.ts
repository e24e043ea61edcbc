/**
 * What a node of this process stands on, and the ports that it answers at. `FlareDb.ts` loads this when a node is
 * started, and not before: it needs `@effect/platform-node`, which a service that is a client need not have installed.
 */
import { Effect, Layer } from "effect"
import type { ClusterAdmin } from "./client/ClusterAdmin.ts"
import type * as RemoteClient from "./client/RemoteClient.ts"
import * as Config from "./config/index.ts"
import type { FlareDbConfig } from "./config/FlareDbConfig.ts"
import { openCollector } from "./http/Collector.ts"
import * as Descriptors from "./http/Descriptors.ts"
import * as ApiRoutes from "./http/api/ApiRoutes.ts"
import { ConsoleParts } from "./http/console/ConsoleParts.ts"
import * as ConsoleRoutes from "./http/console/ConsoleRoutes.ts"
import * as HttpServer from "./http/HttpServer.ts"
import * as ProcessMetrics from "./http/ProcessMetrics.ts"
import * as Exposure from "./net/Exposure.ts"
import type { ListenError } from "./net/Listening.ts"
import { handOver } from "./node/HandOver.ts"
import { RaftNode } from "./node/RaftNode.ts"
import { NodeId } from "./raft/Types.ts"
import type { ClientAddress } from "./server/ClientServer.ts"
import * as ClientServer from "./server/ClientServer.ts"
import * as NodeSecurity from "./server/NodeSecurity.ts"
import type { WatchServer } from "./server/WatchServer.ts"
import type { LogStore } from "./storage/LogStore.ts"
import * as RocksStorage from "./storage/rocksdb/RocksStorage.ts"
import type { StateStore } from "./storage/StateStore.ts"
import type { DataDirRefused, OpenError, StorageError } from "./storage/StorageError.ts"
import { RaftTimer } from "./timer/RaftTimer.ts"
import type { PeerTransport } from "./transport/PeerTransport.ts"
import * as RpcTransport from "./transport/rpc/RpcTransport.ts"

/** A node and those who watch it, over the ports. */
export type NodeLayer = Layer.Layer<
  RaftNode | WatchServer,
  StorageError | DataDirRefused,
  LogStore | StateStore | PeerTransport | RaftTimer
>

const voters = (config: FlareDbConfig): ReadonlyArray<NodeId> =>
  config.nodes.map((node) => NodeId(node.id)).sort((a, b) => a - b)

const listen = (config: FlareDbConfig, port: number) => ({
  host: config.listenHost ?? Config.ownAddress(config).host,
  port
})

/** What has to hold and to be read before anything is opened. */
export const prepare = (given: FlareDbConfig) =>
  Effect.gen(function*() {
    yield* Exposure.check(given)
    const fitted = yield* Descriptors.fit(given)
    const collector = yield* openCollector(given)
    return { ...fitted, collector, security: yield* NodeSecurity.open(fitted.config) }
  })

/** A configuration whose limits fit into the descriptors of this process, with its certificates and callers. */
export type Prepared = Effect.Success<ReturnType<typeof prepare>>

/** What a node stands on: its disk, its peers and its clock. */
const layerPorts = ({ config, maxOpenTables, security }: Prepared) => {
  const { clusterId, dataDir, nodeId, nodes, unsafeNoFsync } = config
  return Layer.mergeAll(
    RocksStorage.layer({ path: dataDir, clusterId, nodeId, voters: voters(config), unsafeNoFsync, maxOpenTables }),
    RpcTransport.layer({
      clusterId,
      nodeId: NodeId(nodeId),
      listen: listen(config, Config.ownAddress(config).peerPort),
      portLimits: config.limits,
      tls: security.peers,
      peers: nodes.filter(({ id }) => id !== nodeId).map(({ host, id, peerPort }) => ({
        id: NodeId(id),
        host,
        port: peerPort
      }))
    }),
    RaftTimer.layer({ tickMs: Config.tickMs(config) })
  )
}

/** Sends metrics and spans to the collector, if there is one. The code for that is loaded then only. */
export const layerExport = ({ collector, config: { clusterId, nodeId } }: Prepared): Layer.Layer<never> =>
  collector === undefined ? Layer.empty : Layer.unwrap(
    Effect.map(
      Effect.promise(() => import("./http/OtlpExport.ts")),
      ({ layerLogged }) => layerLogged({ collector, clusterId, nodeId })
    )
  )

/** A node, with the services that answer clients and peers. */
export const layerServed = (
  prepared: Prepared,
  node: NodeLayer
): Layer.Layer<RaftNode | WatchServer | ClientAddress, OpenError | ListenError> => {
  const { config, security } = prepared
  return Layer.mergeAll(
    Descriptors.layerMetrics,
    ProcessMetrics.layer,
    ClientServer.layer({
      clusterId: config.clusterId,
      nodeId: config.nodeId,
      listen: listen(config, Config.ownAddress(config).clientPort),
      limits: config.limits,
      callers: security.callers,
      tls: security.port,
      maxOperations: config.limits.maxPendingProposals + config.limits.maxPendingReads
    })
  ).pipe(Layer.provideMerge(node), Layer.provide(layerPorts(prepared)))
}

/** Hands leadership over before anything that depends on the node ends: it is built last, so it closes first. */
export const layerHandOver = ({ config }: Prepared): Layer.Layer<never, never, RaftNode> => {
  if (config.nodes.length === 1) return Layer.empty
  const atEnd = (node: RaftNode["Service"]) => Effect.addFinalizer(() => handOver(node, config.electionTimeoutMinMs))
  return Layer.effectDiscard(Effect.flatMap(RaftNode, atEnd))
}

const consoleOptions = ({ limits, nodes }: FlareDbConfig): ConsoleRoutes.OverviewOptions => ({
  endpoints: nodes.map(({ clientPort, host, id }) => ({ host, port: clientPort, id })),
  maxFrameMs: limits.maxFrameMs
})

/** The HTTP port of a node, with `routes` beside health and metrics. */
const layerHttp = ({ config, security }: Prepared, routes: HttpServer.Routes) =>
  HttpServer.layer({
    clusterId: config.clusterId,
    listen: listen(config, Config.ownAddress(config).httpPort),
    hosts: [...config.nodes.map(({ host }) => host), ...config.httpHosts],
    callers: security.callers,
    // Probes have no certificate.
    tls: security.port === undefined ? undefined : { ...security.port, demand: "optional" },
    limits: config.limits
  }, routes)

/** What routes of a node with the key-value store may use: the node, and the client of this process. */
type RouteServices = RaftNode | WatchServer | ConsoleParts | RemoteClient.ClientServices

/** What the HTTP port of such a node serves beside health and metrics. */
const keyValueRoutes = (
  { config, security: { dial } }: Prepared
): Layer.Layer<never, never, HttpServer.Router | RouteServices> =>
  Layer.merge(ApiRoutes.layer(config.limits), ConsoleRoutes.layer({ ...consoleOptions(config), dial }))

/** The HTTP port of a node with the key-value store: the API and the console are over its client. */
export const layerKeyValueHttp = (prepared: Prepared) =>
  Layer.unwrap(Effect.map(
    Effect.context<RouteServices>(),
    (services) => layerHttp(prepared, Layer.provide(keyValueRoutes(prepared), Layer.succeedContext(services)))
  )).pipe(Layer.provideMerge(ConsoleParts.layer))

/** The same for a node with another state machine, which has no keys. */
export const layerMachineHttp = (prepared: Prepared) =>
  Layer.unwrap(Effect.map(
    Effect.context<RaftNode | ClusterAdmin>(),
    (services) =>
      layerHttp(
        prepared,
        Layer.provide(ConsoleRoutes.layerOverview(consoleOptions(prepared.config)), Layer.succeedContext(services))
      )
  ))
