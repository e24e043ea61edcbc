/**
 * Effect's `KeyValueStore` in FlareDB. A value keeps whether it was text or bytes; reading one as the other gives what
 * Effect's own stores give: the UTF-8 bytes of a text, the Base64 of bytes.
 *
 * `modify` is one step: it begins again when another client writes to the key between its read and its write. What this
 * process wrote last is tried first, so that it takes one trip while no other client writes. A value has at most 1 MiB
 * less one byte, a key at most 4,096 bytes with the prefix and the name of the store.
 *
 * A write whose answer was lost fails, with the client's error as its cause: `Indeterminate` leaves open whether it
 * took effect. It is not repeated, because another writer may have come between.
 */
import { Effect, Layer, Stream } from "effect"
import { KeyValueStore } from "effect/persistence"
import { KeyValue } from "../../client/KeyValue.ts"
import { clearPrefix } from "./Clearing.ts"
import { defaultPrefix, encodeName } from "./Keys.ts"
import { asBytes, asText, failed, rowOf, StoredValues } from "./StoredValues.ts"

/** Where a key-value store of Effect lies in the store. */
export interface KeyValueStoreOptions {
  /** Stores of different names do not see each other's keys. Default `default`. */
  readonly name?: string | undefined
  /** Before every key. Default `fx/`. */
  readonly prefix?: string | undefined
}

const encoder = new TextEncoder()

/** The service over a key-value store. */
export const make = (
  kv: KeyValue["Service"],
  { name = "default", prefix = defaultPrefix }: KeyValueStoreOptions = {}
): KeyValueStore.KeyValueStore => {
  const base = `${prefix}kv/${encodeName(name)}/`
  const values = new StoredValues(kv, base)
  return KeyValueStore.make({
    get: (key) => values.get("get", key, asText),
    getUint8Array: (key) => values.get("getUint8Array", key, asBytes),
    set: (key, value) => values.withKey("set", key, (bytes) => Effect.asVoid(kv.put(bytes, rowOf(value)))),
    remove: (key) => values.withKey("remove", key, (bytes) => Effect.asVoid(kv.delete(bytes))),
    has: (key) =>
      values.withKey("has", key, (bytes) =>
        Effect.map(
          kv.scan(bytes, { keysOnly: true, limit: 1 }),
          ({ entries }) => entries[0]?.key.byteLength === bytes.byteLength
        )),
    clear: Effect.mapError(clearPrefix(kv, encoder.encode(base)), failed("clear", undefined)),
    clearPrefix: (start) => values.withKey("clearPrefix", start, (bytes) => clearPrefix(kv, bytes)),
    size: Effect.mapError(kv.count(base), failed("size", undefined)),
    isEmpty: Effect.mapBoth(kv.scan(base, { keysOnly: true, limit: 1 }), {
      onFailure: failed("isEmpty", undefined),
      onSuccess: ({ entries }) => entries.length === 0
    }),
    keys: Effect.mapError(
      Stream.runCollect(Stream.map(kv.scanAll(base, { keysOnly: true }), (row) => row.keyText.slice(base.length))),
      failed("keys", undefined)
    ),
    modify: (key, change) => values.modify("modify", key, asText, change),
    modifyUint8Array: (key, change) => values.modify("modifyUint8Array", key, asBytes, change)
  })
}

/**
 * Effect's `KeyValueStore`, kept in FlareDB.
 *
 * **When to use**
 *
 * For code that is written against Effect's `KeyValueStore`. `KeyValue` of `flaredb/client` can do more.
 *
 * **Details**
 *
 * `modify` is one transaction, also between processes.
 *
 * **Gotchas**
 *
 * A key has at most 4 KiB with its prefix, a value at most 1 MiB.
 */
export const layer = (
  options?: KeyValueStoreOptions
): Layer.Layer<KeyValueStore.KeyValueStore, never, KeyValue> =>
  Layer.effect(KeyValueStore.KeyValueStore, Effect.map(KeyValue, (kv) => make(kv, options)))
