/**
 * Whose rows a state store holds. Every state machine but the key-value store writes its name into the store with its
 * first batch, so that a node that is started with another machine refuses the directory instead of misreading it.
 */
import { Effect } from "effect"
import type { StateStore, StateView } from "../storage/StateStore.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { DataDirRefused } from "../storage/StorageError.ts"
import { corrupt } from "./KvLoader.ts"

/** Where the name lies. */
export const identityKey: Uint8Array = Uint8Array.of(0x01, ...new TextEncoder().encode("machine"))

const keyValueStore = "the key-value store"

/** Succeeds when the store is empty or holds the rows of the machine `name`; `undefined` is the key-value store. */
export const checkIdentity = (
  store: StateStore["Service"],
  view: StateView,
  name: string | undefined
): Effect.Effect<void, StorageError | DataDirRefused> =>
  Effect.flatMap(view.getMany([identityKey]), ([row]) => {
    const found = row === undefined ? undefined : new TextDecoder().decode(row)
    if (found === name || found === undefined && store.recovered.index === 0) return Effect.void
    return Effect.fail(
      new DataDirRefused({
        path: store.path,
        reason: "machine",
        expected: `the state of ${name ?? keyValueStore}, which this node runs`,
        found: `the state of ${found ?? keyValueStore}`,
        hint: "Start the program that wrote it, or give this one another data directory."
      })
    )
  })

/** The same read again, once a snapshot took the place of the state. The directory was this machine's before. */
export const reloading = <A>(load: Effect.Effect<A, StorageError | DataDirRefused>): Effect.Effect<A, StorageError> =>
  Effect.catchTag(
    load,
    "DataDirRefused",
    ({ expected, found }) => Effect.fail(corrupt(`a snapshot brought ${found} in the place of ${expected}`))
  )
