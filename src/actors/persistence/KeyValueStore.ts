/**
 * Effect's `KeyValueStore` in FlareDB. A value keeps whether it was text or bytes; reading one as the other gives what
 * Effect's own stores give: the UTF-8 bytes of a text, the Base64 of bytes.
 *
 * `modify` is one step: whoever else writes to the key between its read and its write makes it begin again. What this
 * process wrote last is tried first, so that it takes one trip while nobody else writes. A value has at most 1 MiB less
 * one byte, a key at most 4,096 bytes with the prefix and the name of the store.
 *
 * A write whose answer was lost fails, with the client's error as its cause: `Indeterminate` leaves open whether it
 * took effect. It is not repeated, because another writer may have come between.
 */
import { Effect, Layer, Option, Stream } from "effect"
import { Base64 } from "effect/encoding"
import { KeyValueStore } from "effect/persistence"
import type { KeyValueEntry } from "../../client/KeyValue.ts"
import { KeyValue } from "../../client/KeyValue.ts"
import { Compare, Op } from "../../client/Txn.ts"
import { clearPrefix } from "./Clearing.ts"
import { defaultPrefix, encodeName } from "./Keys.ts"

export interface KeyValueStoreOptions {
  /** Stores of different names do not see each other's keys. Default `default`. */
  readonly name?: string | undefined
  /** Before every key. Default `fx/`. */
  readonly prefix?: string | undefined
}

/** First byte of a row. */
const textTag = 0x74
const bytesTag = 0x62

/** Rows that are remembered after a `modify`, and the most characters or bytes of each. */
const maxWrittenRows = 1_024
const maxWrittenLength = 4_096

const encoder = new TextEncoder()
const decoder = new TextDecoder()

const rowOf = (value: string | Uint8Array): Uint8Array => {
  const [tag, bytes] = typeof value === "string" ? [textTag, encoder.encode(value)] : [bytesTag, value]
  const row = new Uint8Array(1 + bytes.byteLength)
  row[0] = tag
  row.set(bytes, 1)
  return row
}

const failure = (method: string, message: string, key: string | undefined, cause?: unknown) =>
  new KeyValueStore.KeyValueStoreError({
    method,
    message: `${message}${cause instanceof Error ? `: ${cause.message}` : ""}`,
    ...(key === undefined ? {} : { key }),
    ...(cause === undefined ? {} : { cause })
  })

/** What a row holds, if a store wrote it. */
const valueOf = (row: KeyValueEntry): string | Uint8Array | undefined => {
  // A copy, and no `Buffer`: what came may be a view of all that came with it.
  const bytes = new Uint8Array(row.value.subarray(1))
  return row.value[0] === textTag ? decoder.decode(bytes) : row.value[0] === bytesTag ? bytes : undefined
}

const asText = (value: string | Uint8Array): string => typeof value === "string" ? value : Base64.encode(value)
const asBytes = (value: string | Uint8Array): Uint8Array => typeof value === "string" ? encoder.encode(value) : value

/** Rows that `modify` wrote last, by key, as long as they are small. */
class WrittenRows {
  private readonly rows = new Map<string, { readonly value: string | Uint8Array; readonly revision: number }>()

  /** One that is being changed is nobody else's to try: who comes meanwhile reads. */
  take(key: string) {
    const row = this.rows.get(key)
    this.rows.delete(key)
    return row
  }

  add(key: string, value: string | Uint8Array, revision: number): void {
    // Text that is no Unicode reads differently once it is stored.
    if (value.length > maxWrittenLength || (typeof value === "string" && !value.isWellFormed())) return
    // The caller may change its bytes.
    this.rows.set(key, { value: typeof value === "string" ? value : new Uint8Array(value), revision })
    if (this.rows.size <= maxWrittenRows) return
    for (const oldest of this.rows.keys()) {
      this.rows.delete(oldest)
      return
    }
  }
}

/** The service over a key-value store. */
export const make = (
  kv: KeyValue["Service"],
  { name = "default", prefix = defaultPrefix }: KeyValueStoreOptions = {}
): KeyValueStore.KeyValueStore => {
  const base = `${prefix}kv/${encodeName(name)}/`

  /** The key in FlareDB. Text with a lone surrogate has no UTF-8, and would be another key's. */
  const keyOf = (method: string, key: string) =>
    key.isWellFormed()
      ? Effect.succeed(encoder.encode(base + key))
      : Effect.fail(failure(method, "the key is no well-formed Unicode text: it has a lone surrogate", key))

  const failed = (method: string, key: string | undefined) => (cause: unknown) =>
    failure(method, `unable to ${method}${key === undefined ? "" : ` the key ${JSON.stringify(key)}`}`, key, cause)

  const withKey = <A>(
    method: string,
    key: string,
    use: (key: Uint8Array) => Effect.Effect<A, unknown>
  ): Effect.Effect<A, KeyValueStore.KeyValueStoreError> =>
    Effect.flatMap(
      keyOf(method, key),
      (bytes) =>
        Effect.mapError(use(bytes), (cause) =>
          cause instanceof KeyValueStore.KeyValueStoreError ? cause : failed(method, key)(cause))
    )

  const read = (method: string, key: string, row: KeyValueEntry) => {
    const value = valueOf(row)
    return value === undefined
      ? Effect.fail(failure(method, `the row of ${JSON.stringify(key)} was not written by a KeyValueStore`, key))
      : Effect.succeed(value)
  }

  const get = <A>(method: string, key: string, as: (value: string | Uint8Array) => A) =>
    withKey<A | undefined>(
      method,
      key,
      (bytes) =>
        Effect.flatMap(
          kv.get(bytes),
          (row) => Option.isNone(row) ? Effect.undefined : Effect.map(read(method, key, row.value), as)
        )
    )

  const written = new WrittenRows()

  const modify = <A extends string | Uint8Array>(
    method: string,
    key: string,
    as: (value: string | Uint8Array) => A,
    change: (value: A) => A
  ) => {
    const modifyStored = (bytes: Uint8Array) =>
      Effect.suspend(() => {
        let changed: A | undefined
        return Effect.map(
          kv.modify(bytes, (row) =>
            Option.isNone(row)
              // To delete what is not there changes nothing.
              ? Effect.sync(() => changed = undefined)
              : Effect.map(read(method, key, row.value), (value) => {
                changed = change(as(value))
                return rowOf(changed)
              })),
          ({ revision }) => {
            if (changed !== undefined) written.add(key, changed, revision)
            return changed
          }
        )
      })
    return withKey<A | undefined>(method, key, (bytes) =>
      Effect.suspend(() => {
        const known = written.take(key)
        if (known === undefined) return modifyStored(bytes)
        const changed = change(as(known.value))
        const txn = kv.transact({
          if: [Compare.modRevision(bytes).equals(known.revision)],
          do: [Op.put(bytes, rowOf(changed))]
        })
        return Effect.flatMap(txn, ({ revision, succeeded }) => {
          if (!succeeded) return modifyStored(bytes)
          written.add(key, changed, revision)
          return Effect.succeed(changed)
        })
      }))
  }

  return KeyValueStore.make({
    get: (key) => get("get", key, asText),
    getUint8Array: (key) => get("getUint8Array", key, asBytes),
    set: (key, value) => withKey("set", key, (bytes) => Effect.asVoid(kv.put(bytes, rowOf(value)))),
    remove: (key) => withKey("remove", key, (bytes) => Effect.asVoid(kv.delete(bytes))),
    has: (key) =>
      withKey("has", key, (bytes) =>
        Effect.map(
          kv.scan(bytes, { keysOnly: true, limit: 1 }),
          ({ entries }) => entries[0]?.key.byteLength === bytes.byteLength
        )),
    clear: Effect.mapError(clearPrefix(kv, encoder.encode(base)), failed("clear", undefined)),
    clearPrefix: (start) => withKey("clearPrefix", start, (bytes) => clearPrefix(kv, bytes)),
    size: Effect.mapError(kv.count(base), failed("size", undefined)),
    isEmpty: Effect.mapBoth(kv.scan(base, { keysOnly: true, limit: 1 }), {
      onFailure: failed("isEmpty", undefined),
      onSuccess: ({ entries }) => entries.length === 0
    }),
    keys: Effect.mapError(
      Stream.runCollect(Stream.map(kv.scanAll(base, { keysOnly: true }), (row) => row.keyText.slice(base.length))),
      failed("keys", undefined)
    ),
    modify: (key, change) => modify("modify", key, asText, change),
    modifyUint8Array: (key, change) => modify("modifyUint8Array", key, asBytes, change)
  })
}

/** Effect's `KeyValueStore`, kept in FlareDB. */
export const layer = (
  options?: KeyValueStoreOptions
): Layer.Layer<KeyValueStore.KeyValueStore, never, KeyValue> =>
  Layer.effect(KeyValueStore.KeyValueStore, Effect.map(KeyValue, (kv) => make(kv, options)))
