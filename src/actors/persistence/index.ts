/** Effect's persistence services on the key-value store: layers over the services of `flaredb/client`. */
export type { BackingPersistenceOptions } from "./BackingPersistence.ts"
export { layer as layerBackingPersistence, layerPersistence } from "./BackingPersistence.ts"
export type { KeyValueStoreOptions } from "./KeyValueStore.ts"
export { layer as layerKeyValueStore, make as makeKeyValueStore } from "./KeyValueStore.ts"
export type { PersistedQueueStoreOptions } from "./PersistedQueueStore.ts"
export { layer as layerPersistedQueue, layerStore as layerPersistedQueueStore } from "./PersistedQueueStore.ts"
export type { RateLimiterStoreOptions } from "./RateLimiterStore.ts"
export { layer as layerRateLimiter, layerStore as layerRateLimiterStore } from "./RateLimiterStore.ts"
