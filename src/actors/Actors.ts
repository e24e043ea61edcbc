/**
 * Effect's cluster on FlareDB, as layers that name the deployment. A program of entities, workflows and singletons is
 * given one of them:
 *
 * - {@link layer}: a runner, beside a FlareDB cluster elsewhere.
 * - {@link layerEmbedded}: a runner and a FlareDB node in one process, of which there are three.
 * - {@link layerClientOnly}: sends to entities and runs none.
 * - {@link layerHttp} and {@link layerHttpClientOnly}: a runner and a sender by HTTP instead of sockets.
 * - {@link layerMemory}: all of it in one process, for tests.
 *
 * {@link layerStorage} and {@link layerSharding} are the pieces, for who composes by hand.
 */
import type { Config } from "effect"
import { Clock, Context, Effect, Layer, Option, Stream } from "effect"
import type { MessageStorage, RunnerHealth, RunnerStorage } from "effect/cluster"
import { RunnerAddress, Runners, Sharding, ShardingConfig, Snowflake } from "effect/cluster"
import type { HttpServerError } from "effect/http"
import type { SocketServer } from "effect/socket"
import { identityFromEnv } from "../client/CertificateFiles.ts"
import type { ClientOptions } from "../client/ClientOptions.ts"
import { ClusterAdmin } from "../client/ClusterAdmin.ts"
import { KeyValue } from "../client/KeyValue.ts"
import { Leases } from "../client/Lease.ts"
import type { ClientServices } from "../client/RemoteClient.ts"
import * as RemoteClient from "../client/RemoteClient.ts"
import { Watch } from "../client/Watch.ts"
import * as FlareDb from "../FlareDb.ts"
import type { InvalidConfig } from "../config/ConfigProblem.ts"
import type { StorageOptions } from "./ActorsConfig.ts"
import { shardingConfig, withVariables } from "./ActorsConfig.ts"
import * as CronTime from "./cluster/CronTime.ts"
import { HeldShards } from "./cluster/HeldShards.ts"
import * as Membership from "./cluster/Membership.ts"
import type { MessageStorageOptions } from "./cluster/MessageStorage.ts"
import * as Messages from "./cluster/MessageStorage.ts"
import { MessageWork } from "./cluster/MessageWork.ts"
import * as Replies from "./cluster/ReplyWork.ts"
import { ReplyWork } from "./cluster/ReplyWork.ts"
import * as Health from "./cluster/RunnerHealth.ts"
import * as Locks from "./cluster/RunnerStorage.ts"
import * as Transports from "./cluster/Transports.ts"
import { EntityStates } from "./state/EntityStates.ts"
import { actorsPart } from "./console/ActorsPart.ts"
import { statusSection } from "./overview/StatusSection.ts"
import { DueTime } from "./DueTime.ts"

export type { StorageOptions } from "./ActorsConfig.ts"
export { shardingDefaults } from "./ActorsConfig.ts"

type Settings = ShardingConfig.ShardingConfig["Service"]

/** Settings of runners that reach a cluster over the network. */
export interface ActorsOptions extends StorageOptions {
  /** Client endpoints of the FlareDB nodes. */
  readonly endpoints: ClientOptions["endpoints"]
  /**
   * Further settings of the client. Without `tls` and `token` they come from the variables of the command line
   * (`FLAREDB_CERTS_DIR`, `FLAREDB_TOKEN_FILE` …).
   */
  readonly client?: Omit<ClientOptions, "endpoints"> | undefined
}

/**
 * Sharding's settings: those given, then those of the environment, then {@link shardingDefaults}.
 *
 * **When to use**
 *
 * To give another layer of Effect's cluster the settings that FlareDB's runners have.
 */
export const layerConfig = (
  sharding: Partial<Settings> = {}
): Layer.Layer<ShardingConfig.ShardingConfig, InvalidConfig | Config.ConfigError> =>
  Layer.effect(ShardingConfig.ShardingConfig, shardingConfig(sharding))

/** What a cluster's runners share. */
export type StorageServices =
  | MessageStorage.MessageStorage
  | RunnerStorage.RunnerStorage
  | RunnerHealth.RunnerHealth
  | HeldShards
  | EntityStates
  | MessageWork
  | ReplyWork

/**
 * What a cluster's runners share, on the services of a FlareDB client.
 *
 * **When to use**
 *
 * To put a runner together by hand, with another transport; {@link layer} has it already.
 */
export const layerStorage = (
  options: MessageStorageOptions = {}
): Layer.Layer<StorageServices, never, KeyValue | Leases | Watch | ClusterAdmin | ShardingConfig.ShardingConfig> =>
  Layer.mergeAll(
    Replies.layer(options).pipe(Layer.provideMerge(Messages.layer(options))),
    Membership.layer(options).pipe(Layer.provide(Locks.layer(options))),
    Health.layer(options),
    EntityStates.layer(options)
  ).pipe(
    Layer.provideMerge(HeldShards.layer),
    Layer.provide(Snowflake.layerGenerator)
  )

/** What programs of entities use. */
export type ActorServices = Sharding.Sharding | Runners.Runners | MessageStorage.MessageStorage | EntityStates

/**
 * Has a runner read its queues, and its callers their replies, as soon as there is something, and has its cron
 * singletons go by the time of the cluster.
 */
const layerWake = Layer.mergeAll(MessageWork.layerWake, ReplyWork.layerWake, CronTime.layer)

/**
 * A runner that listens at `runnerAddress`, over sockets.
 *
 * **When to use**
 *
 * With {@link layerStorage}, to put a runner together by hand.
 */
export const layerSharding: Layer.Layer<
  Sharding.Sharding | Runners.Runners,
  SocketServer.SocketServerError,
  | MessageStorage.MessageStorage
  | RunnerStorage.RunnerStorage
  | RunnerHealth.RunnerHealth
  | MessageWork
  | ReplyWork
  | ShardingConfig.ShardingConfig
> = Layer.provideMerge(layerWake, Transports.layerSocketRunner)

/** A program that says nothing of certificates and tokens has those of the environment. */
const layerRemote = (
  { client = {}, endpoints }: ActorsOptions
): Layer.Layer<ClientServices, InvalidConfig | Config.ConfigError> => {
  const options = { name: "actors", ...client, endpoints }
  return client.tls !== undefined || client.token !== undefined
    ? RemoteClient.layer(options)
    : Layer.unwrap(Effect.map(identityFromEnv, (identity) => RemoteClient.layer({ ...options, ...identity })))
}

/** A layer of options that the environment completes. */
const configured = <Options extends StorageOptions, A, E>(
  options: Options,
  layerOf: (options: Options) => Layer.Layer<A, E>
): Layer.Layer<A, E | InvalidConfig | Config.ConfigError> => Layer.unwrap(Effect.map(withVariables(options), layerOf))

/** What sends, on its storages and a client of a FlareDB cluster elsewhere. */
const beside = <Options extends ActorsOptions, E>(
  options: Options,
  sending: (options: Options) => Layer.Layer<Transports.Sending, E, StorageServices | ShardingConfig.ShardingConfig>
): Layer.Layer<ActorServices | ClientServices, E | InvalidConfig | Config.ConfigError> =>
  configured(options, (all) =>
    sending(all).pipe(
      Layer.provideMerge(layerStorage(all)),
      Layer.provide(layerConfig(all.sharding)),
      Layer.provideMerge(layerRemote(all))
    ))

/**
 * A runner. `sharding.runnerAddress` says where others reach it.
 *
 * **When to use**
 *
 * In processes that run entities and workflows, with FlareDB on other machines or in processes of its own.
 *
 * **Details**
 *
 * Needs `@effect/platform-node`. A runner that ends is replaced by the others: at once when it leaves, and after 3
 * seconds when it is killed (`shardLockExpiration`).
 *
 * **Gotchas**
 *
 * All runners and callers have to agree on `SHARDS_PER_GROUP`, the prefix and the transport. A runner with another
 * number of shards than those that are there logs `OtherShardCount` and runs nothing, and a caller's requests fail with
 * it. Their sockets are not encrypted: keep those ports within a private network.
 */
export const layer = (
  options: ActorsOptions
): Layer.Layer<
  ActorServices | ClientServices,
  InvalidConfig | Config.ConfigError | SocketServer.SocketServerError
> => beside(options, () => layerSharding)

/** What {@link layerHttp} takes besides: where the other runners find this one's RPCs. */
export interface HttpOptions extends ActorsOptions {
  /** The path of the RPCs. The same for all runners and callers. Default `/`. */
  readonly path?: Transports.Path | undefined
}

/**
 * A runner that others reach by HTTP instead of sockets, for networks that let nothing else through. The server
 * listens at `sharding.runnerListenAddress`, or else at `runnerAddress`. All runners and callers of a cluster use
 * one transport.
 *
 * **When to use**
 *
 * Where a network lets only HTTP through; otherwise {@link layer}.
 */
export const layerHttp = (
  options: HttpOptions
): Layer.Layer<
  ActorServices | ClientServices,
  InvalidConfig | Config.ConfigError | HttpServerError.ServeError
> => beside(options, ({ path = "/" }) => Layer.provideMerge(layerWake, Transports.layerHttpRunner(path)))

/**
 * Sends messages to entities of runners that are reached by HTTP, and runs none.
 *
 * **When to use**
 *
 * In a web server that sends messages, where runners are of {@link layerHttp}.
 */
export const layerHttpClientOnly = (
  options: HttpOptions
): Layer.Layer<ActorServices | ClientServices, InvalidConfig | Config.ConfigError> =>
  beside(options, ({ path = "/" }) => Layer.provideMerge(ReplyWork.layerWake, Transports.layerHttpCaller(path)))

/** Shows a cluster of runners in the console and the status of the node. */
const layerStatus = ({ cluster, prefix }: StorageOptions) =>
  Layer.effectDiscard(Effect.gen(function*() {
    const sections = yield* FlareDb.StatusSections
    yield* sections.add(statusSection(yield* KeyValue, yield* Leases, { cluster, prefix }))
    yield* Effect.flatMap(FlareDb.ConsoleParts, (parts) => parts.add(actorsPart({ cluster, prefix })))
  }))

/**
 * A runner beside a FlareDB node of this process. Three such processes need nothing else.
 *
 * **When to use**
 *
 * For a service that is three processes and nothing else.
 *
 * **Details**
 *
 * Fails as `FlareDb.layer` does: it needs `@effect/platform-node` and `rocksdb-native`.
 */
export const layerEmbedded = (
  node: Parameters<typeof FlareDb.layer>[0],
  options: StorageOptions = {}
): Layer.Layer<
  ActorServices | FlareDb.NodeServices,
  Layer.Error<ReturnType<typeof FlareDb.layer>> | InvalidConfig | Config.ConfigError | SocketServer.SocketServerError
> =>
  configured(options, (all) =>
    Layer.merge(layerSharding, layerStatus(all)).pipe(
      Layer.provideMerge(layerStorage(all)),
      Layer.provide(layerConfig(all.sharding)),
      Layer.provideMerge(FlareDb.layer(node))
    ))

/**
 * Sends messages to entities, and runs none.
 *
 * **When to use**
 *
 * In a web server, or a job, that sends messages to entities and runs none.
 *
 * **Gotchas**
 *
 * Callers write to the store too, so they need the same rights as runners.
 */
export const layerClientOnly = (
  options: ActorsOptions
): Layer.Layer<ActorServices | ClientServices, InvalidConfig | Config.ConfigError> =>
  beside(options, () => Layer.provideMerge(ReplyWork.layerWake, Transports.layerSocketCaller))

/**
 * A store in memory has one runner: no other takes its locks, and inbound messages wake it. So it needs no short polls,
 * which a test that moves its clock by days would run a million times.
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
 * One runner and a FlareDB of one node in memory, with the same storages and locks as everywhere. The store keeps
 * real time, so that a test may move its `TestClock` by days: entities and what is due see the test's time.
 *
 * **When to use**
 *
 * In tests of entities and workflows.
 */
export const layerMemory = (
  options: StorageOptions = {}
): Layer.Layer<ActorServices | KeyValue | Leases | Watch | ClusterAdmin> =>
  layerWake.pipe(
    Layer.provideMerge(Sharding.layer),
    Layer.provideMerge(Runners.layerNoop),
    Layer.provideMerge(Layer.provide(layerStorage(options), testTime)),
    Layer.provide(ShardingConfig.layer({ ...memoryDefaults, ...options.sharding })),
    Layer.provideMerge(memoryStore)
  )

/** In place of the clocks of the nodes, so that a message is due when the test's time says so. */
const testTime = Layer.effect(DueTime, Effect.map(Clock.Clock, (clock) => DueTime.of({ now: clock.currentTimeMillis })))

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

/** The clock that a fiber has by default. */
const realClock = Context.get(Context.empty(), Clock.Clock)

const memoryStore: Layer.Layer<KeyValue | Leases | Watch | ClusterAdmin> = Layer.effectContext(
  Effect.gen(function*() {
    const store = yield* Effect.provideService(Layer.build(Layer.fresh(FlareDb.layerMemory)), Clock.Clock, realClock)
    return Context.make(KeyValue, onClock(Context.get(store, KeyValue), realClock)).pipe(
      Context.add(Leases, onClock(Context.get(store, Leases), realClock)),
      Context.add(Watch, onClock(Context.get(store, Watch), realClock)),
      Context.add(ClusterAdmin, onClock(Context.get(store, ClusterAdmin), realClock))
    )
  })
)
