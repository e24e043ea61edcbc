/**
 * The examples on PostgreSQL: messages, shard locks, state and queues are in its tables, and any number of runners share
 * one database.
 */
import * as NodeClusterSocket from "@effect/platform-node/NodeClusterSocket"
import { PgClient } from "@effect/sql-pg"
import { Layer, Option } from "effect"
import type { ShardingConfig } from "effect/cluster"
import { ClusterWorkflowEngine, RunnerAddress } from "effect/cluster"
import { KeyValueStore, PersistedQueue, RateLimiter } from "effect/persistence"

/**
 * Takes over from a runner that is not heard of for so long. Effect's defaults do so after 35 seconds and look for dead
 * runners once a minute. Whoever calls must have the same, or waits for an answer of a runner that is gone.
 */
export const takeOverAfter = (seconds: number): Partial<ShardingConfig.ShardingConfig["Service"]> => ({
  shardLockExpiration: `${seconds} seconds`,
  shardLockRefreshInterval: "1 second",
  runnerHealthCheckInterval: "1 second",
  refreshAssignmentsInterval: "500 millis"
})

export interface ClientOptions {
  readonly database: PgClient.PgPoolConfig
  readonly sharding?: Partial<ShardingConfig.ShardingConfig["Service"]>
}

export interface Options extends ClientOptions {
  /** Where the other runners reach this one. */
  readonly runner: { readonly host: string; readonly port: number }
}

/** SQL has nobody who says that a message is due: a shorter interval is less late, and asks more often. */
const entityMessagePollInterval = "1 second"

const stores = Layer.mergeAll(
  KeyValueStore.layerSql(),
  PersistedQueue.layer.pipe(Layer.provide(PersistedQueue.layerStoreSql({ pollInterval: "100 millis" }))),
  // Effect has no rate limiter on SQL, only on Redis: on PostgreSQL each process counts for itself.
  RateLimiter.layer.pipe(Layer.provide(RateLimiter.layerStoreMemory))
)

/** One runner: it has its share of the entities, workflows and jobs. */
export const layer = ({ database, runner, sharding }: Options) =>
  NodeClusterSocket.layer({
    storage: "sql",
    shardingConfig: {
      runnerAddress: Option.some(RunnerAddress.make(runner.host, runner.port)),
      entityMessagePollInterval,
      ...sharding
    }
  }).pipe(
    (runners) => Layer.mergeAll(Layer.provideMerge(ClusterWorkflowEngine.layer, runners), stores),
    Layer.provide(PgClient.layer(database))
  )

/** A process that sends messages to entities and has none. */
export const layerClientOnly = ({ database, sharding }: ClientOptions) =>
  NodeClusterSocket.layer({
    clientOnly: true,
    storage: "sql",
    shardingConfig: { runnerAddress: Option.none(), ...sharding }
  }).pipe(
    (runners) => Layer.mergeAll(Layer.provideMerge(ClusterWorkflowEngine.layer, runners), stores),
    Layer.provide(PgClient.layer(database))
  )
