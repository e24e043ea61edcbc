/** Effect's persistence services on the key-value store: layers over the services of `flaredb/client`. */
export type { BackingPersistenceOptions } from "./BackingPersistence.ts"
export { layer as layerBackingPersistence, layerPersistence } from "./BackingPersistence.ts"
export type { KeyValueStoreOptions } from "./KeyValueStore.ts"
export { layer as layerKeyValueStore, make as makeKeyValueStore } from "./KeyValueStore.ts"
