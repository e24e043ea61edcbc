/**
 * FlareDB as layers. A service adds one of them and asks for `KeyValue` or `Watch`:
 *
 * | layer          | what runs where                                                    | use                      |
 * | -------------- | ------------------------------------------------------------------ | ------------------------ |
 * | `layer`        | a node of the cluster in this process, with RocksDB and its ports  | embed FlareDB, or run it |
 * | `layerFromEnv` | the same, configured by `FLAREDB_…` variables                      | containers, systemd      |
 * | `layerClient`  | a client of a cluster elsewhere                                    | most services            |
 * | `layerMemory`  | a cluster of one in memory                                         | tests                    |
 */
import { Effect, Layer } from "effect"
import type { ClientOptions } from "./client/ClientOptions.ts"
import type { Endpoint } from "./client/Endpoint.ts"
import { formatEndpoint } from "./client/Endpoint.ts"
import * as RemoteClient from "./client/RemoteClient.ts"
import * as TcpConnection from "./client/TcpConnection.ts"
import type { FlareDbConfig, FlareDbOptions, InvalidConfig, NodeAddress } from "./FlareDbConfig.ts"
import * as Config from "./FlareDbConfig.ts"
import * as KvStateMachine from "./machine/KvStateMachine.ts"
import { RaftNode } from "./node/RaftNode.ts"
import type { HttpAddress } from "./ops/HttpServer.ts"
import * as HttpServer from "./ops/HttpServer.ts"
import { NodeId } from "./raft/Types.ts"
import type { ListenError } from "./rpc/TcpServer.ts"
import type { ClientAddress } from "./server/ClientServer.ts"
import * as ClientServer from "./server/ClientServer.ts"
import * as NodeOperations from "./server/NodeOperations.ts"
import { WatchServer } from "./server/WatchServer.ts"
import * as MemoryStore from "./storage/MemoryStore.ts"
import * as RocksStorage from "./storage/RocksStorage.ts"
import type { OpenError } from "./storage/StorageError.ts"
import { RaftTimer } from "./timer/RaftTimer.ts"
import * as MemoryTransport from "./transport/MemoryTransport.ts"
import * as RpcTransport from "./transport/RpcTransport.ts"

const voters = (config: FlareDbConfig): ReadonlyArray<NodeId> =>
  config.nodes.map((node) => NodeId(node.id)).sort((a, b) => a - b)

const clientEndpoint = (node: NodeAddress): Endpoint => ({ host: node.host, port: node.clientPort })

const listen = (config: FlareDbConfig, port: number) => ({
  host: config.listenHost ?? Config.ownAddress(config).host,
  port
})

const layerWatched = (config: FlareDbConfig) =>
  WatchServer.layer(config.limits).pipe(Layer.provideMerge(RaftNode.layer(config)))

/** The node itself: storage, transport and clock below it, the key-value store and those who watch it above. */
const layerNode = (config: FlareDbConfig): Layer.Layer<RaftNode | WatchServer, OpenError | ListenError> => {
  const { clusterId, dataDir, nodeId, nodes, unsafeNoFsync } = config
  const storage = RocksStorage.layer({ path: dataDir, clusterId, nodeId, voters: voters(config), unsafeNoFsync })
  const transport = RpcTransport.layer({
    clusterId,
    nodeId: NodeId(nodeId),
    listen: listen(config, Config.ownAddress(config).peerPort),
    peers: nodes.filter(({ id }) => id !== nodeId).map(({ host, id, peerPort }) => ({
      id: NodeId(id),
      host,
      port: peerPort
    }))
  })
  return layerWatched(config).pipe(
    Layer.provide(KvStateMachine.layerWith(config.limits)),
    Layer.provide([storage, transport, RaftTimer.layer({ tickMs: Config.tickMs(config) })])
  )
}

/** A client of the cluster that `config` describes, which reaches the node of this process without the network. */
const layerLocalClient = (
  config: FlareDbConfig
): Layer.Layer<RemoteClient.ClientServices, InvalidConfig, RaftNode | WatchServer> =>
  Layer.unwrap(
    Effect.gen(function*() {
      const operations = NodeOperations.make(yield* RaftNode, yield* WatchServer, config.clusterId)
      const own = clientEndpoint(Config.ownAddress(config))
      const connect = TcpConnection.make({ connectTimeoutMs: 1_000 })
      return RemoteClient.layerConnect(
        { endpoints: config.nodes.map(clientEndpoint) },
        (endpoint) => formatEndpoint(endpoint) === formatEndpoint(own) ? Effect.succeed(operations) : connect(endpoint),
        own
      )
    })
  )

/** A node with what belongs to it, and a client of the cluster. */
export type NodeServices = RaftNode | WatchServer | ClientAddress | HttpAddress | RemoteClient.ClientServices

const layerConfig = (config: FlareDbConfig): Layer.Layer<NodeServices, OpenError | ListenError | InvalidConfig> =>
  Layer.mergeAll(
    ClientServer.layer({
      clusterId: config.clusterId,
      nodeId: config.nodeId,
      listen: listen(config, Config.ownAddress(config).clientPort),
      maxOperations: config.limits.maxPendingProposals + config.limits.maxPendingReads
    }),
    HttpServer.layer({ clusterId: config.clusterId, listen: listen(config, Config.ownAddress(config).httpPort) }),
    layerLocalClient(config)
  ).pipe(Layer.provideMerge(layerNode(config)))

/**
 * A node of the cluster in this process. Opens (or creates) its data directory, listens for peers and clients, and
 * takes part. Wait on `RaftNode.fatal` beside your own work: it fails when the node had to stop.
 */
export const layer = (
  options: FlareDbOptions
): Layer.Layer<NodeServices, OpenError | ListenError | InvalidConfig> =>
  Layer.unwrap(Effect.map(Config.make(options), layerConfig))

/** {@link layer}, configured by `FLAREDB_…` variables (`FlareDbConfig.ts` lists them). */
export const layerFromEnv: Layer.Layer<NodeServices, OpenError | ListenError | InvalidConfig> = Layer.unwrap(
  Effect.map(Config.fromEnv, layerConfig)
)

/** A client of a cluster elsewhere. Connects when it is first used, so it can be built while the cluster is down. */
export const layerClient = (options: ClientOptions): Layer.Layer<RemoteClient.ClientServices, InvalidConfig> =>
  RemoteClient.layer(options)

/**
 * A cluster of one voter in memory: same log, same commits, nothing kept. For tests of services that use FlareDB; it
 * works under a `TestClock` too.
 */
export const layerMemory: Layer.Layer<RemoteClient.ClientServices | RaftNode | WatchServer> = Layer.unwrap(
  Effect.map(
    Config.make({ nodeId: 1, clusterId: "memory", nodes: Config.localNodes.slice(0, 1) }),
    (config) =>
      layerLocalClient(config).pipe(
        Layer.provideMerge(layerWatched(config)),
        Layer.provide(KvStateMachine.layer),
        Layer.provide([
          MemoryStore.layer(new MemoryStore.MemoryDisk([config.nodeId])),
          MemoryTransport.layer(new MemoryTransport.MemoryNetwork(), NodeId(config.nodeId), []),
          RaftTimer.layerOnce
        ])
      )
  )
).pipe(
  // Memory does not fail, and this configuration is valid.
  Layer.orDie
)
