/**
 * FlareDB as layers. A service adds one of them and asks for `KeyValue` or `Watch`:
 *
 * | layer          | what runs where                                                    | use                      |
 * | -------------- | ------------------------------------------------------------------ | ------------------------ |
 * | `layer`        | a node of the cluster in this process, with RocksDB and its ports  | embed FlareDB, or run it |
 * | `layerFromEnv` | the same, configured by `FLAREDB_…` variables                      | containers, systemd      |
 * | `layerClient`  | a client of a cluster elsewhere                                    | most services            |
 * | `layerMemory`  | a cluster of one in memory                                         | tests                    |
 *
 * Each has a twin for a state machine of one's own (`docs/state-machines.md`), which provides `Commands` in place of
 * `KeyValue`: `layerWith`, `layerFromEnvWith`, `layerCommands`, `layerMemoryWith`.
 */
import { Effect, Layer } from "effect"
import type { ClientOptions } from "./client/ClientOptions.ts"
import type { Endpoint } from "./client/connection/Endpoint.ts"
import { formatEndpoint } from "./client/connection/Endpoint.ts"
import type { Connect } from "./client/connection/Connection.ts"
import * as RemoteClient from "./client/RemoteClient.ts"
import * as RemoteCommands from "./client/RemoteCommands.ts"
import * as TcpConnection from "./client/connection/TcpConnection.ts"
import type { NodeAddress } from "./config/NodeAddress.ts"
import type { FlareDbConfig, FlareDbOptions } from "./config/FlareDbConfig.ts"
import type { InvalidConfig } from "./config/ConfigProblem.ts"
import * as Config from "./config/index.ts"
import type { ChangeFeed } from "./kv/ChangeFeed.ts"
import type { Grants } from "./kv/Grants.ts"
import * as KvStateMachine from "./kv/KvStateMachine.ts"
import * as OwnIdentity from "./machine/OwnIdentity.ts"
import type { StateMachine } from "./machine/StateMachine.ts"
import { RaftNode } from "./node/RaftNode.ts"
import { openCollector } from "./http/Collector.ts"
import * as Descriptors from "./http/Descriptors.ts"
import type { HttpAddress } from "./http/HttpServer.ts"
import * as HttpServer from "./http/HttpServer.ts"
import * as ProcessMetrics from "./http/ProcessMetrics.ts"
import { StatusSections } from "./http/StatusSections.ts"
import { NodeId } from "./raft/Types.ts"
import * as Exposure from "./net/Exposure.ts"
import type { ListenError } from "./net/Listening.ts"
import type { DialTls } from "./net/tls/Credentials.ts"
import type { ClientAddress } from "./server/ClientServer.ts"
import * as ClientServer from "./server/ClientServer.ts"
import * as ConnectionQuotas from "./server/ConnectionQuotas.ts"
import * as NodeSecurity from "./server/NodeSecurity.ts"
import * as NodeOperations from "./server/NodeOperations.ts"
import { WatchServer } from "./server/WatchServer.ts"
import * as MemoryStore from "./storage/memory/MemoryStore.ts"
import * as RocksStorage from "./storage/rocksdb/RocksStorage.ts"
import type { LogStore } from "./storage/LogStore.ts"
import type { StateStore } from "./storage/StateStore.ts"
import type { OpenError, StorageError } from "./storage/StorageError.ts"
import { RaftTimer } from "./timer/RaftTimer.ts"
import * as MemoryTransport from "./transport/memory/MemoryTransport.ts"
import type { PeerTransport } from "./transport/PeerTransport.ts"
import * as RpcTransport from "./transport/rpc/RpcTransport.ts"

/** Where a program that runs something on a node of this process adds to its status page. */
export { StatusSections }

const voters = (config: FlareDbConfig): ReadonlyArray<NodeId> =>
  config.nodes.map((node) => NodeId(node.id)).sort((a, b) => a - b)

const clientEndpoint = (node: NodeAddress): Endpoint => ({ host: node.host, port: node.clientPort })

const listen = (config: FlareDbConfig, port: number) => ({
  host: config.listenHost ?? Config.ownAddress(config).host,
  port
})

/** A state machine over the state store of a node. */
export type MachineLayer = Layer.Layer<StateMachine, StorageError, StateStore>

/** A node and those who watch it, over the ports. */
type NodeLayer = Layer.Layer<RaftNode | WatchServer, StorageError, LogStore | StateStore | PeerTransport | RaftTimer>

const layerKeyValue = (
  config: FlareDbConfig,
  machine: Layer.Layer<StateMachine | ChangeFeed | Grants, StorageError, StateStore>
): NodeLayer =>
  Layer.merge(WatchServer.layer(config.limits), ConnectionQuotas.layer(config.limits)).pipe(
    Layer.provideMerge(RaftNode.layer(config)),
    Layer.provide(Layer.provideMerge(OwnIdentity.layer, machine))
  )

/** Another state machine has no feed that could be watched. */
const layerMachine = (config: FlareDbConfig, machine: MachineLayer): NodeLayer =>
  WatchServer.layerNone.pipe(
    Layer.provideMerge(RaftNode.layer(config)),
    Layer.provide(Layer.provideMerge(OwnIdentity.layer, machine))
  )

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

/** The same in memory, alone. */
const layerMemoryPorts = (config: FlareDbConfig) =>
  Layer.mergeAll(
    MemoryStore.layer(new MemoryStore.MemoryDisk([config.nodeId])),
    MemoryTransport.layer(new MemoryTransport.MemoryNetwork(), NodeId(config.nodeId), []),
    RaftTimer.layerOnce
  )

/**
 * Makes a client of the cluster that `config` describes, which reaches the node of this process without the network.
 */
const layerLocal = <Services>(
  config: FlareDbConfig,
  tls: DialTls | undefined,
  client: (options: ClientOptions, connect: Connect, own: Endpoint) => Layer.Layer<Services, InvalidConfig>
): Layer.Layer<Services, InvalidConfig, RaftNode | WatchServer> =>
  Layer.unwrap(
    Effect.gen(function*() {
      const operations = yield* NodeOperations.make(yield* RaftNode, yield* WatchServer, config.clusterId)
      const own = clientEndpoint(Config.ownAddress(config))
      const connect = TcpConnection.make({ connectTimeoutMs: 1_000, tls })
      return client(
        { endpoints: config.nodes.map(clientEndpoint) },
        (endpoint) => formatEndpoint(endpoint) === formatEndpoint(own) ? Effect.succeed(operations) : connect(endpoint),
        own
      )
    })
  )

/** A node, with the services that answer clients and peers. */
const layerServed = (
  prepared: Prepared,
  node: NodeLayer
): Layer.Layer<RaftNode | WatchServer | ClientAddress | HttpAddress | StatusSections, OpenError | ListenError> => {
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

/** A node with what belongs to it, and a client of the cluster. */
export type NodeServices =
  | RaftNode
  | WatchServer
  | ClientAddress
  | HttpAddress
  | StatusSections
  | RemoteClient.ClientServices

/** The same with a state machine of one's own. */
export type MachineNodeServices =
  | RaftNode
  | ClientAddress
  | HttpAddress
  | StatusSections
  | RemoteCommands.CommandServices

/** What has to hold and to be read before anything is opened. */
const prepare = (given: FlareDbConfig) =>
  Effect.gen(function*() {
    yield* Exposure.check(given)
    const fitted = yield* Descriptors.fit(given)
    const collector = yield* openCollector(given)
    return { ...fitted, collector, security: yield* NodeSecurity.open(fitted.config) }
  })

/** A configuration whose limits fit into the descriptors of this process, with its certificates and callers. */
type Prepared = Effect.Success<ReturnType<typeof prepare>>

/** Sends metrics and spans to the collector, if there is one. The code for that is loaded then only. */
const layerExport = ({ collector, config: { clusterId, nodeId } }: Prepared): Layer.Layer<never> =>
  collector === undefined ? Layer.empty : Layer.unwrap(
    Effect.map(
      Effect.promise(() => import("./http/OtlpExport.ts")),
      ({ layerLogged }) => layerLogged({ collector, clusterId, nodeId })
    )
  )

const layerConfig = (given: FlareDbConfig): Layer.Layer<NodeServices, OpenError | ListenError | InvalidConfig> =>
  Layer.unwrap(Effect.map(prepare(given), (prepared) => {
    const { config, security } = prepared
    return Layer.provideMerge(
      layerLocal(config, security.dial, RemoteClient.layerConnect),
      layerServed(prepared, layerKeyValue(config, KvStateMachine.layerWith(config.limits)))
    ).pipe(Layer.provide(layerExport(prepared)))
  }))

const layerConfigWith = (
  given: FlareDbConfig,
  machine: MachineLayer
): Layer.Layer<MachineNodeServices, OpenError | ListenError | InvalidConfig> =>
  Layer.unwrap(Effect.map(prepare(given), (prepared) =>
    Layer.provideMerge(
      layerLocal(prepared.config, prepared.security.dial, RemoteCommands.layerConnect),
      layerServed(prepared, layerMachine(prepared.config, machine))
    ).pipe(Layer.provide(layerExport(prepared)))))

/**
 * A node of the cluster in this process. Opens (or creates) its data directory, listens for peers and clients, and
 * takes part. Wait on `RaftNode.fatal` beside your own work: it fails when the node had to stop.
 */
export const layer = (
  options: FlareDbOptions
): Layer.Layer<NodeServices, OpenError | ListenError | InvalidConfig> =>
  Layer.unwrap(Effect.map(Config.make(options), layerConfig))

/** {@link layer} with a state machine of one's own in place of the key-value store; the same at every node. */
export const layerWith = (
  options: FlareDbOptions,
  machine: MachineLayer
): Layer.Layer<MachineNodeServices, OpenError | ListenError | InvalidConfig> =>
  Layer.unwrap(Effect.map(Config.make(options), (config) => layerConfigWith(config, machine)))

/** {@link layer}, configured by `FLAREDB_…` variables (`docs/configuration.md` lists them). */
export const layerFromEnv: Layer.Layer<NodeServices, OpenError | ListenError | InvalidConfig> = Layer.unwrap(
  Effect.map(Config.fromEnv, layerConfig)
)

/** {@link layerWith}, configured by `FLAREDB_…` variables. */
export const layerFromEnvWith = (
  machine: MachineLayer
): Layer.Layer<MachineNodeServices, OpenError | ListenError | InvalidConfig> =>
  Layer.unwrap(Effect.map(Config.fromEnv, (config) => layerConfigWith(config, machine)))

/** A client of a cluster elsewhere. Connects when it is first used, so it can be built while the cluster is down. */
export const layerClient = (options: ClientOptions): Layer.Layer<RemoteClient.ClientServices, InvalidConfig> =>
  RemoteClient.layer(options)

/** {@link layerClient} for a cluster with a state machine of one's own. */
export const layerCommands = (options: ClientOptions): Layer.Layer<RemoteCommands.CommandServices, InvalidConfig> =>
  RemoteCommands.layer(options)

const memoryConfig = Config.make({ nodeId: 1, clusterId: "memory", nodes: Config.localNodes.slice(0, 1) })

/**
 * A cluster of one voter in memory: same log, same commits, nothing kept. For tests of services that use FlareDB; it
 * works under a `TestClock` too.
 */
export const layerMemory: Layer.Layer<RemoteClient.ClientServices | RaftNode | WatchServer> = Layer.unwrap(
  Effect.map(memoryConfig, (config) =>
    layerLocal(config, undefined, RemoteClient.layerConnect).pipe(
      Layer.provideMerge(layerKeyValue(config, KvStateMachine.layer)),
      Layer.provide(layerMemoryPorts(config))
    ))
).pipe(
  // Memory does not fail, and this configuration is valid.
  Layer.orDie
)

/** {@link layerMemory} with a state machine of one's own. */
export const layerMemoryWith = (machine: MachineLayer): Layer.Layer<RemoteCommands.CommandServices | RaftNode> =>
  Layer.unwrap(
    Effect.map(memoryConfig, (config) =>
      layerLocal(config, undefined, RemoteCommands.layerConnect).pipe(
        Layer.provideMerge(layerMachine(config, machine)),
        Layer.provide(layerMemoryPorts(config))
      ))
  ).pipe(Layer.orDie)
