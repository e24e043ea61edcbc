/** The examples on PostgreSQL: messages, shard locks, state and queues are in its tables. Runners share one database. */
import * as NodeClusterSocket from "@effect/platform-node/NodeClusterSocket"
import { PgClient } from "@effect/sql-pg"
import { Layer, Option } from "effect"
import type { ShardingConfig } from "effect/cluster"
import { ClusterWorkflowEngine, RunnerAddress } from "effect/cluster"
import { KeyValueStore, PersistedQueue, RateLimiter } from "effect/persistence"

export interface Options {
  readonly database: PgClient.PgPoolConfig
  /** Where the other runners reach this one. */
  readonly runner: { readonly host: string; readonly port: number }
  readonly sharding?: Partial<ShardingConfig.ShardingConfig["Service"]>
}

export const layer = ({ database, runner, sharding }: Options) => {
  const runners = NodeClusterSocket.layer({
    storage: "sql",
    shardingConfig: {
      runnerAddress: Option.some(RunnerAddress.make(runner.host, runner.port)),
      // SQL has nobody who says that a message is due: a shorter interval is less late, and asks more often.
      entityMessagePollInterval: "1 second",
      ...sharding
    }
  })
  return Layer.mergeAll(
    Layer.provideMerge(ClusterWorkflowEngine.layer, runners),
    KeyValueStore.layerSql(),
    PersistedQueue.layer.pipe(Layer.provide(PersistedQueue.layerStoreSql({ pollInterval: "100 millis" }))),
    // Effect has no rate limiter on SQL, only on Redis: on PostgreSQL each process counts for itself.
    RateLimiter.layer.pipe(Layer.provide(RateLimiter.layerStoreMemory))
  ).pipe(Layer.provide(PgClient.layer(database)))
}
