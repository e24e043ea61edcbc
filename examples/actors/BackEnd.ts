/**
 * What the examples in this folder ask of whoever runs them. All of it is Effect's own, so a back end is one layer:
 * `FlareDb.ts`, `Postgres.ts` and `Memory.ts` are three, and no example knows which one it runs on.
 */
import type { Layer } from "effect"
import type { MessageStorage, Sharding } from "effect/cluster"
import type { KeyValueStore, PersistedQueue, RateLimiter } from "effect/persistence"
import type { WorkflowEngine } from "effect/workflow"

export type ActorServices =
  | Sharding.Sharding
  | MessageStorage.MessageStorage
  | WorkflowEngine.WorkflowEngine
  | KeyValueStore.KeyValueStore
  | PersistedQueue.PersistedQueueFactory
  | RateLimiter.RateLimiter

export type BackEnd<E = never> = Layer.Layer<ActorServices, E>
