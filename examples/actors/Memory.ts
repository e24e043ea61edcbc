/** The examples in one process that forgets everything when it ends: Effect's own memory back ends. */
import { Layer } from "effect"
import {
  ClusterWorkflowEngine,
  MessageStorage,
  RunnerHealth,
  Runners,
  RunnerStorage,
  Sharding,
  ShardingConfig
} from "effect/cluster"
import { KeyValueStore, PersistedQueue, RateLimiter } from "effect/persistence"
import type { BackEnd } from "./BackEnd.ts"

const sharding = Sharding.layer.pipe(
  Layer.provide(Runners.layerNoop),
  Layer.provideMerge(MessageStorage.layerMemory),
  Layer.provide([RunnerStorage.layerMemory, RunnerHealth.layerNoop]),
  // A message that is due later is found by polling, every 10 seconds by default.
  Layer.provide(ShardingConfig.layer({ entityMessagePollInterval: "100 millis" }))
)

export const layer: BackEnd = Layer.mergeAll(
  Layer.provideMerge(ClusterWorkflowEngine.layer, sharding),
  KeyValueStore.layerMemory,
  PersistedQueue.layer.pipe(Layer.provide(PersistedQueue.layerStoreMemory)),
  RateLimiter.layer.pipe(Layer.provide(RateLimiter.layerStoreMemory))
)
