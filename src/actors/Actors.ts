/**
 * Effect's cluster on FlareDB, as layers that name the deployment. A program of entities, workflows and singletons is
 * given one of them:
 *
 * - {@link layer}: a runner, beside a FlareDB cluster elsewhere.
 * - {@link layerEmbedded}: a runner and a FlareDB node in one process, of which there are three.
 * - {@link layerClientOnly}: sends to entities and runs none.
 * - {@link layerMemory}: all of it in one process, for tests.
 *
 * {@link layerStorage} and {@link layerSharding} are the pieces, for who composes by hand.
 */
import * as NodeClusterSocket from "@effect/platform-node/NodeClusterSocket"
import type { Config } from "effect"
import { Clock, ConfigProvider, Context, Effect, Layer, Option, Stream } from "effect"
import type { MessageStorage, RunnerHealth, RunnerStorage } from "effect/cluster"
import { RunnerAddress, Runners, Sharding, ShardingConfig, Snowflake, SocketRunner } from "effect/cluster"
import { RpcSerialization } from "effect/rpc"
import type { SocketServer } from "effect/socket"
import type { ClientOptions } from "../client/ClientOptions.ts"
import { KeyValue } from "../client/KeyValue.ts"
import { Leases } from "../client/Lease.ts"
import type { ClientServices } from "../client/RemoteClient.ts"
import * as RemoteClient from "../client/RemoteClient.ts"
import { Watch } from "../client/Watch.ts"
import * as FlareDb from "../FlareDb.ts"
import type { InvalidConfig } from "../FlareDbConfig.ts"
import { CurrentCluster } from "./cluster/ClusterKeys.ts"
import { HeldShards } from "./cluster/HeldShards.ts"
import type { MessageStorageOptions } from "./cluster/MessageStorage.ts"
import * as Messages from "./cluster/MessageStorage.ts"
import { MessageWork } from "./cluster/MessageWork.ts"
import * as Health from "./cluster/RunnerHealth.ts"
import * as Locks from "./cluster/RunnerStorage.ts"

type Settings = ShardingConfig.ShardingConfig["Service"]

export interface StorageOptions extends MessageStorageOptions {
  /**
   * Settings of Effect's sharding. What is left out comes from its variables (`SHARD_LOCK_EXPIRATION` …), and then from
   * {@link shardingDefaults}.
   */
  readonly sharding?: Partial<Settings> | undefined
}

export interface ActorsOptions extends StorageOptions {
  /** Client endpoints of the FlareDB nodes. */
  readonly endpoints: ClientOptions["endpoints"]
  /** Further settings of the client. */
  readonly client?: Omit<ClientOptions, "endpoints"> | undefined
}

/**
 * Where we differ from Effect's defaults, as its variables. A lost runner's shards move within the lock's time and two
 * looks; the poll is a backstop, because a runner is woken by what comes.
 */
export const shardingDefaults = {
  SHARD_LOCK_EXPIRATION: "5 seconds",
  SHARD_LOCK_REFRESH_INTERVAL: "1500 millis",
  REFRESH_ASSIGNMENTS_INTERVAL: "500 millis",
  ENTITY_MESSAGE_POLL_INTERVAL: "30 seconds",
  RUNNER_HEALTH_CHECK_INTERVAL: "5 seconds"
} as const

/** Sharding's settings: those given, then those of the environment, then {@link shardingDefaults}. */
export const layerConfig = (
  sharding: Partial<Settings> = {}
): Layer.Layer<ShardingConfig.ShardingConfig, Config.ConfigError> => {
  const variables = ConfigProvider.orElse(
    ConfigProvider.constantCase(ConfigProvider.fromEnv()),
    ConfigProvider.constantCase(ConfigProvider.fromEnv({ env: shardingDefaults }))
  )
  return Layer.effect(
    ShardingConfig.ShardingConfig,
    ShardingConfig.config.pipe(
      Effect.map((config) => ({ ...config, ...sharding })),
      Effect.provideService(ConfigProvider.ConfigProvider, variables)
    )
  )
}

/** What a cluster's runners share, on the services of a FlareDB client. */
export const layerStorage = (
  options: MessageStorageOptions = {}
): Layer.Layer<
  | MessageStorage.MessageStorage
  | RunnerStorage.RunnerStorage
  | RunnerHealth.RunnerHealth
  | HeldShards
  | MessageWork,
  never,
  KeyValue | Leases | Watch | ShardingConfig.ShardingConfig
> =>
  Layer.mergeAll(
    Messages.layer(options),
    Locks.layer(options),
    Health.layer(options),
    Layer.succeed(CurrentCluster, options)
  ).pipe(
    Layer.provideMerge(HeldShards.layer),
    Layer.provide(Snowflake.layerGenerator)
  )

/** What programs of entities use. */
export type ActorServices = Sharding.Sharding | Runners.Runners | MessageStorage.MessageStorage

/** A runner that listens at `runnerAddress`, over sockets. */
export const layerSharding: Layer.Layer<
  Sharding.Sharding | Runners.Runners,
  SocketServer.SocketServerError,
  | MessageStorage.MessageStorage
  | RunnerStorage.RunnerStorage
  | RunnerHealth.RunnerHealth
  | MessageWork
  | ShardingConfig.ShardingConfig
> = MessageWork.layerWake.pipe(
  Layer.provideMerge(SocketRunner.layer),
  Layer.provide([NodeClusterSocket.layerSocketServer, NodeClusterSocket.layerClientProtocol]),
  Layer.provide(RpcSerialization.layerSchemaBinary())
)

const layerRemote = ({ client, endpoints }: ActorsOptions): Layer.Layer<ClientServices, InvalidConfig> =>
  RemoteClient.layer({ name: "actors", ...client, endpoints })

/** A runner. `sharding.runnerAddress` says where others reach it. */
export const layer = (
  options: ActorsOptions
): Layer.Layer<
  ActorServices | ClientServices,
  InvalidConfig | Config.ConfigError | SocketServer.SocketServerError
> =>
  layerSharding.pipe(
    Layer.provideMerge(layerStorage(options)),
    Layer.provide(layerConfig(options.sharding)),
    Layer.provideMerge(layerRemote(options))
  )

/** A runner beside a FlareDB node of this process. Three such processes need nothing else. */
export const layerEmbedded = (
  node: Parameters<typeof FlareDb.layer>[0],
  options: StorageOptions = {}
): Layer.Layer<
  ActorServices | FlareDb.NodeServices,
  Layer.Error<ReturnType<typeof FlareDb.layer>> | Config.ConfigError | SocketServer.SocketServerError
> =>
  layerSharding.pipe(
    Layer.provideMerge(layerStorage(options)),
    Layer.provide(layerConfig(options.sharding)),
    Layer.provideMerge(FlareDb.layer(node))
  )

/** Sends messages to entities, and runs none. */
export const layerClientOnly = (
  options: ActorsOptions
): Layer.Layer<ActorServices | ClientServices, InvalidConfig | Config.ConfigError> =>
  SocketRunner.layerClientOnly.pipe(
    Layer.provide(NodeClusterSocket.layerClientProtocol),
    Layer.provide(RpcSerialization.layerSchemaBinary()),
    Layer.provideMerge(layerStorage(options)),
    Layer.provide(layerConfig(options.sharding)),
    Layer.provideMerge(layerRemote(options))
  )

/**
 * Nobody else takes the locks of a store in memory, and the only runner is woken by what comes: so a test that moves
 * its clock by days does not run what polls a million times.
 */
const memoryDefaults: Partial<Settings> = {
  runnerAddress: Option.some(RunnerAddress.make("localhost", 34_431)),
  shardsPerGroup: 16,
  shardLockExpiration: "2 days",
  shardLockRefreshInterval: "1 hour",
  refreshAssignmentsInterval: "10 minutes",
  runnerHealthCheckInterval: "1 hour",
  entityMessagePollInterval: "10 minutes",
  entityReplyPollInterval: "1 minute"
}

/**
 * One runner and a FlareDB of one node in memory, with the same storages and locks as everywhere. The store keeps real
 * time, so that a test may move its `TestClock` by days: entities and what is due see the test's time.
 */
export const layerMemory = (
  options: StorageOptions = {}
): Layer.Layer<ActorServices | KeyValue | Leases | Watch> =>
  MessageWork.layerWake.pipe(
    Layer.provideMerge(Sharding.layer),
    Layer.provideMerge(Runners.layerNoop),
    Layer.provideMerge(layerStorage(options)),
    Layer.provide(ShardingConfig.layer({ ...memoryDefaults, ...options.sharding })),
    Layer.provideMerge(memoryStore)
  )

/** Has everything that a service does keep the time of a clock of its own. */
const onClock = <Service extends object>(service: Service, clock: Clock.Clock): Service => {
  const provide = (value: unknown): unknown =>
    Effect.isEffect(value)
      ? Effect.provideService(value, Clock.Clock, clock)
      : Stream.isStream(value)
      ? Stream.provideService(value, Clock.Clock, clock)
      : value
  const member = (value: unknown): unknown =>
    typeof value === "function"
      ? (...args: ReadonlyArray<unknown>) => provide(Reflect.apply(value, service, args))
      : provide(value)
  return Object.fromEntries(Object.entries(service).map(([name, value]) => [name, member(value)])) as Service
}

/** The clock that a fiber has when nobody gave it another. */
const realClock = Context.get(Context.empty(), Clock.Clock)

const memoryStore: Layer.Layer<KeyValue | Leases | Watch> = Layer.effectContext(
  Effect.gen(function*() {
    const store = yield* Effect.provideService(Layer.build(Layer.fresh(FlareDb.layerMemory)), Clock.Clock, realClock)
    return Context.make(KeyValue, onClock(Context.get(store, KeyValue), realClock)).pipe(
      Context.add(Leases, onClock(Context.get(store, Leases), realClock)),
      Context.add(Watch, onClock(Context.get(store, Watch), realClock))
    )
  })
)
