/**
 * Whose rows a state store holds. Every state machine but the key-value store writes its name into the store with its
 * first batch, so that a node that is started with another machine refuses the directory instead of misreading it.
 */
import { Effect } from "effect"
import type { StateStore, StateView } from "../storage/StateStore.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { StorageCorruption } from "../storage/StorageError.ts"

/** Where the name lies. */
export const identityKey: Uint8Array = Uint8Array.of(0x01, ...new TextEncoder().encode("machine"))

const keyValueStore = "the key-value store"

/** Succeeds when the store is empty or holds the rows of the machine `name`; `undefined` is the key-value store. */
export const checkIdentity = (
  store: StateStore["Service"],
  view: StateView,
  name: string | undefined
): Effect.Effect<void, StorageError> =>
  Effect.flatMap(view.getMany([identityKey]), ([row]) => {
    const found = row === undefined ? undefined : new TextDecoder().decode(row)
    if (found === name || found === undefined && store.recovered.index === 0) return Effect.void
    return Effect.fail(
      new StorageCorruption({
        path: "the state family",
        detail: `it holds the state of ${found ?? keyValueStore}, and this node runs ${name ?? keyValueStore}`,
        safe: "everything: start the program that wrote it, or give this one another data directory"
      })
    )
  })
