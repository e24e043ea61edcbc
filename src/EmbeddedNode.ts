/**
 * What a node of this process stands on, and the ports that it answers at. `FlareDb.ts` loads this when a node is
 * started, and not before: it needs `@effect/platform-node`, which a service that is a client need not have installed.
 */
import { Effect, Layer } from "effect"
import * as Config from "./config/index.ts"
import type { FlareDbConfig } from "./config/FlareDbConfig.ts"
import * as Descriptors from "./http/Descriptors.ts"
import type { HttpAddress } from "./http/HttpServer.ts"
import * as HttpServer from "./http/HttpServer.ts"
import type { StatusSections } from "./http/StatusSections.ts"
import * as Exposure from "./net/Exposure.ts"
import type { ListenError } from "./net/Listening.ts"
import type { RaftNode } from "./node/RaftNode.ts"
import { NodeId } from "./raft/Types.ts"
import type { ClientAddress } from "./server/ClientServer.ts"
import * as ClientServer from "./server/ClientServer.ts"
import * as NodeSecurity from "./server/NodeSecurity.ts"
import type { WatchServer } from "./server/WatchServer.ts"
import type { LogStore } from "./storage/LogStore.ts"
import * as RocksStorage from "./storage/rocksdb/RocksStorage.ts"
import type { StateStore } from "./storage/StateStore.ts"
import type { OpenError, StorageError } from "./storage/StorageError.ts"
import { RaftTimer } from "./timer/RaftTimer.ts"
import type { PeerTransport } from "./transport/PeerTransport.ts"
import * as RpcTransport from "./transport/rpc/RpcTransport.ts"

/** A node and those who watch it, over the ports. */
export type NodeLayer = Layer.Layer<
  RaftNode | WatchServer,
  StorageError,
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
    return { ...fitted, security: yield* NodeSecurity.open(fitted.config) }
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

/** A node, with the services that answer clients and peers. */
export const layerServed = (
  prepared: Prepared,
  node: NodeLayer
): Layer.Layer<RaftNode | WatchServer | ClientAddress | HttpAddress | StatusSections, OpenError | ListenError> => {
  const { config, security } = prepared
  return Layer.mergeAll(
    Descriptors.layerMetrics,
    ClientServer.layer({
      clusterId: config.clusterId,
      nodeId: config.nodeId,
      listen: listen(config, Config.ownAddress(config).clientPort),
      limits: config.limits,
      callers: security.callers,
      tls: security.port,
      maxOperations: config.limits.maxPendingProposals + config.limits.maxPendingReads
    }),
    HttpServer.layer({
      clusterId: config.clusterId,
      listen: listen(config, Config.ownAddress(config).httpPort),
      hosts: [...config.nodes.map(({ host }) => host), ...config.httpHosts],
      callers: security.callers,
      // Probes have no certificate.
      tls: security.port === undefined ? undefined : { ...security.port, demand: "optional" },
      limits: config.limits
    })
  ).pipe(Layer.provideMerge(node), Layer.provide(layerPorts(prepared)))
}
