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
import type * as EmbeddedNode from "./EmbeddedNode.ts"
import type { ChangeFeed } from "./kv/ChangeFeed.ts"
import type { Grants } from "./kv/Grants.ts"
import * as KvStateMachine from "./kv/KvStateMachine.ts"
import * as OwnIdentity from "./machine/OwnIdentity.ts"
import type { StateMachine } from "./machine/StateMachine.ts"
import { RaftNode } from "./node/RaftNode.ts"
import type { ConsolePart } from "./http/console/ConsoleParts.ts"
import { ConsoleParts } from "./http/console/ConsoleParts.ts"
import type { HttpAddress } from "./http/HttpServer.ts"
import type { SectionAnswer, StatusSection } from "./http/StatusSections.ts"
import { StatusSections } from "./http/StatusSections.ts"
import { missingPackage, PackageMissing } from "./PackageMissing.ts"
import { NodeId } from "./raft/Types.ts"
import type { ListenError } from "./net/Listening.ts"
import type { DialTls } from "./net/tls/Credentials.ts"
import type { ClientAddress } from "./server/ClientServer.ts"
import * as ConnectionQuotas from "./server/ConnectionQuotas.ts"
import * as NodeOperations from "./server/NodeOperations.ts"
import { DataDirectory } from "./server/ProcessFacts.ts"
import { WatchServer } from "./server/WatchServer.ts"
import * as MemoryStore from "./storage/memory/MemoryStore.ts"
import type { StateStore } from "./storage/StateStore.ts"
import type { DataDirRefused, OpenError, StorageError } from "./storage/StorageError.ts"
import { RaftTimer } from "./timer/RaftTimer.ts"
import * as MemoryTransport from "./transport/memory/MemoryTransport.ts"

/** Where a program that runs something on a node of this process adds to its console and its status. */
export { ConsoleParts, StatusSections }
export type { ConsolePart, SectionAnswer, StatusSection }

const clientEndpoint = (node: NodeAddress): Endpoint => ({ host: node.host, port: node.clientPort })

/** A state machine over the state store of a node. */
export type MachineLayer = Layer.Layer<StateMachine, StorageError | DataDirRefused, StateStore>

const layerKeyValue = (
  config: FlareDbConfig,
  machine: Layer.Layer<StateMachine | ChangeFeed | Grants, StorageError | DataDirRefused, StateStore>
): EmbeddedNode.NodeLayer =>
  Layer.merge(WatchServer.layer(config.limits), ConnectionQuotas.layer(config.limits)).pipe(
    Layer.provideMerge(RaftNode.layer(config)),
    Layer.provide(Layer.provideMerge(OwnIdentity.layer, machine))
  )

/** Another state machine has no feed that could be watched. */
const layerMachine = (config: FlareDbConfig, machine: MachineLayer): EmbeddedNode.NodeLayer =>
  WatchServer.layerNone.pipe(
    Layer.provideMerge(RaftNode.layer(config)),
    Layer.provide(Layer.provideMerge(OwnIdentity.layer, machine))
  )

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

/** A node with what belongs to it, and a client of the cluster. */
export type NodeServices =
  | RaftNode
  | WatchServer
  | ClientAddress
  | HttpAddress
  | StatusSections
  | ConsoleParts
  | RemoteClient.ClientServices

/** The same with a state machine of one's own. */
export type MachineNodeServices =
  | RaftNode
  | ClientAddress
  | HttpAddress
  | StatusSections
  | RemoteCommands.CommandServices

/** Why a node of this process does not start. */
export type NodeFailure = OpenError | ListenError | InvalidConfig | PackageMissing

/** What a node stands on, loaded when there is to be one. */
const embeddedNode = Effect.tryPromise({
  try: () => import("./EmbeddedNode.ts"),
  catch: (cause) => cause
}).pipe(
  Effect.catch((cause) => {
    const name = missingPackage(cause)
    return name === undefined ? Effect.die(cause) : Effect.fail(new PackageMissing({ package: name, cause }))
  })
)

/** What differs between nodes by their state machine. */
interface EmbeddedParts<Client, Http> {
  readonly machine: (config: FlareDbConfig) => EmbeddedNode.NodeLayer
  readonly client: (options: ClientOptions, connect: Connect, own: Endpoint) => Layer.Layer<Client, InvalidConfig>
  readonly http: (
    embedded: typeof EmbeddedNode,
    prepared: EmbeddedNode.Prepared
  ) => Layer.Layer<Http, ListenError, RaftNode | WatchServer | Client>
}

/** A node that answers at its ports, a client of the cluster over it, and the HTTP port over both. */
const layerEmbedded = <Client, Http>(given: FlareDbConfig, { client, http, machine }: EmbeddedParts<Client, Http>) =>
  Layer.unwrap(Effect.gen(function*() {
    const embedded = yield* embeddedNode
    const prepared: EmbeddedNode.Prepared = yield* embedded.prepare(given)
    const { config, security } = prepared
    return embedded.layerHandOver(prepared).pipe(
      Layer.provideMerge(http(embedded, prepared)),
      Layer.provideMerge(layerLocal(config, security.dial, client)),
      Layer.provideMerge(embedded.layerServed(prepared, machine(config))),
      Layer.provide(Layer.succeed(DataDirectory, config.dataDir)),
      Layer.provide(embedded.layerExport(prepared))
    )
  }))

const layerConfig = (given: FlareDbConfig): Layer.Layer<NodeServices, NodeFailure> =>
  layerEmbedded(given, {
    machine: (config) => layerKeyValue(config, KvStateMachine.layerWith(config.limits)),
    client: RemoteClient.layerConnect,
    http: ({ layerKeyValueHttp }, prepared) => layerKeyValueHttp(prepared)
  })

const layerConfigWith = (given: FlareDbConfig, machine: MachineLayer): Layer.Layer<MachineNodeServices, NodeFailure> =>
  layerEmbedded<RemoteCommands.CommandServices, HttpAddress | StatusSections>(given, {
    machine: (config) => layerMachine(config, machine),
    client: RemoteCommands.layerConnect,
    http: ({ layerMachineHttp }, prepared) => layerMachineHttp(prepared)
  })

/**
 * A node of the cluster in this process, with a client of the cluster beside it.
 *
 * **When to use**
 *
 * To embed FlareDB in a service that runs in three (or one) processes with disks of their own. Otherwise run
 * `flaredb start`, and use {@link layerClient}.
 *
 * **Details**
 *
 * Opens (or creates) the data directory, listens for peers, clients and HTTP, and takes part. What is asked of the
 * node of this process does not go over the network. Closes with its scope. Needs `@effect/platform-node` and
 * `rocksdb-native`, which are optional peers: without one of them it fails as `PackageMissing` or
 * `NativeModuleError`, with the command that installs it.
 *
 * **Gotchas**
 *
 * Wait on `RaftNode.fatal` beside your own work: it fails when the node had to stop. A process that blocks its
 * event loop for longer than an election timeout (500 ms at least, by default) loses its leadership.
 */
export const layer = (
  options: FlareDbOptions
): Layer.Layer<NodeServices, NodeFailure> => Layer.unwrap(Effect.map(Config.make(options), layerConfig))

/**
 * {@link layer} with a state machine of one's own in place of the key-value store; the same at every node.
 *
 * **When to use**
 *
 * When the store's operations do not fit, and a command has to decide on state in one step:
 * `docs/state-machines.md`.
 *
 * **Gotchas**
 *
 * The machine has to be deterministic: no clock, no random numbers, nothing from outside the log.
 */
export const layerWith = (
  options: FlareDbOptions,
  machine: MachineLayer
): Layer.Layer<MachineNodeServices, NodeFailure> =>
  Layer.unwrap(Effect.map(Config.make(options), (config) => layerConfigWith(config, machine)))

/**
 * {@link layer}, configured by `FLAREDB_…` variables (`docs/configuration.md` lists them).
 *
 * **When to use**
 *
 * In containers and under systemd, where settings are variables.
 */
export const layerFromEnv: Layer.Layer<NodeServices, NodeFailure> = Layer.unwrap(
  Effect.map(Config.fromEnv, layerConfig)
)

/**
 * {@link layerWith}, configured by `FLAREDB_…` variables.
 *
 * **When to use**
 *
 * As {@link layerFromEnv}, with a state machine of one's own.
 */
export const layerFromEnvWith = (
  machine: MachineLayer
): Layer.Layer<MachineNodeServices, NodeFailure> =>
  Layer.unwrap(Effect.map(Config.fromEnv, (config) => layerConfigWith(config, machine)))

/**
 * A client of a cluster elsewhere.
 *
 * **When to use**
 *
 * In most services. `flaredb/client` has the same as `layer`, and loads nothing of a node.
 *
 * **Details**
 *
 * Connects when it is first used, so it can be built while the cluster is down. Finds the leader, follows it, and
 * survives the loss of a node. Needs Effect alone.
 */
export const layerClient = (options: ClientOptions): Layer.Layer<RemoteClient.ClientServices, InvalidConfig> =>
  RemoteClient.layer(options)

/**
 * {@link layerClient} for a cluster with a state machine of one's own.
 *
 * **When to use**
 *
 * With clusters of {@link layerWith}; it provides `Commands`.
 */
export const layerCommands = (options: ClientOptions): Layer.Layer<RemoteCommands.CommandServices, InvalidConfig> =>
  RemoteCommands.layer(options)

const memoryConfig = Config.make({ nodeId: 1, clusterId: "memory", nodes: Config.localNodes.slice(0, 1) })

/**
 * A cluster of one voter in memory: same log, same commits, nothing kept.
 *
 * **When to use**
 *
 * In tests of services that use FlareDB. It works under a `TestClock` too, and needs Effect alone.
 *
 * **Gotchas**
 *
 * One voter has no elections to lose and no lagging follower: `TestCluster` of `flaredb/testing` has three, with
 * faults.
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

/**
 * {@link layerMemory} with a state machine of one's own.
 *
 * **When to use**
 *
 * In tests of a state machine and of what uses it.
 */
export const layerMemoryWith = (machine: MachineLayer): Layer.Layer<RemoteCommands.CommandServices | RaftNode> =>
  Layer.unwrap(
    Effect.map(memoryConfig, (config) =>
      layerLocal(config, undefined, RemoteCommands.layerConnect).pipe(
        Layer.provideMerge(layerMachine(config, machine)),
        Layer.provide(layerMemoryPorts(config))
      ))
  ).pipe(Layer.orDie)
