/** The metadata of the key-value store as its rows have them. */
import { Effect } from "effect"
import type { StoreMetadata } from "./model/StoreMetadata.ts"
import { decodeMetadata } from "./model/StoreMetadata.ts"
import { metadataKey } from "./model/Keyspace.ts"
import type { StateView } from "../storage/StateStore.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { corrupt } from "../machine/KvLoader.ts"

/** The metadata in the bytes of their row, which a store that nothing was written to does not have. */
export const readMetadata = (bytes: Uint8Array | undefined): Effect.Effect<StoreMetadata, StorageError> => {
  const metadata = decodeMetadata(bytes)
  return metadata === undefined ? Effect.fail(corrupt("the metadata is cut short")) : Effect.succeed(metadata)
}

/** The metadata as a view has them. */
export const loadMetadata = (view: StateView): Effect.Effect<StoreMetadata, StorageError> =>
  Effect.flatMap(view.getMany([metadataKey]), ([bytes]) => readMetadata(bytes))
