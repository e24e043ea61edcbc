/**
 * The values of one `KeyValueStore`: how a row tells text from bytes, and how a value is read and modified. A small
 * value that this process has modified is remembered, so that the next change takes one round trip while no other
 * client writes to the key.
 */
import { Effect, Option } from "effect"
import { Base64 } from "effect/encoding"
import { KeyValueStore } from "effect/persistence"
import type { KeyValue, KeyValueEntry } from "../../client/KeyValue.ts"
import { Compare, Op } from "../../client/Txn.ts"
import { utf8Text } from "../../bytes/Utf8.ts"

/** First byte of a row. */
const textTag = 0x74
const bytesTag = 0x62

/** Rows that are remembered after a `modify`, and the most characters or bytes of each. */
const maxWrittenRows = 1_024
const maxWrittenLength = 4_096

const encoder = new TextEncoder()

/** The row of a value. */
export const rowOf = (value: string | Uint8Array): Uint8Array => {
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

/** Makes the error of a failed method. */
export const failed = (method: string, key: string | undefined) => (cause: unknown) =>
  failure(method, `unable to ${method}${key === undefined ? "" : ` the key ${JSON.stringify(key)}`}`, key, cause)

/** What a row holds, if a store wrote it. */
const valueOf = (row: KeyValueEntry): string | Uint8Array | undefined => {
  // A copy, and no `Buffer`: what came may be a view of all that came with it.
  const bytes = new Uint8Array(row.value.subarray(1))
  return row.value[0] === textTag ? utf8Text(bytes) : row.value[0] === bytesTag ? bytes : undefined
}

export const asText = (value: string | Uint8Array): string => typeof value === "string" ? value : Base64.encode(value)
export const asBytes = (value: string | Uint8Array): Uint8Array =>
  typeof value === "string" ? encoder.encode(value) : value

/** Rows that `modify` wrote last, by key, as long as they are small. */
class WrittenRows {
  private readonly rows = new Map<string, { readonly value: string | Uint8Array; readonly revision: number }>()

  /** Removes the row, so that only one caller tries it: others that come meanwhile read the key. */
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

export class StoredValues {
  private readonly kv: KeyValue["Service"]
  /** Before every key. */
  private readonly base: string
  private readonly written = new WrittenRows()

  constructor(kv: KeyValue["Service"], base: string) {
    this.kv = kv
    this.base = base
  }

  /** Runs `use` with the key in FlareDB. */
  withKey<A>(
    method: string,
    key: string,
    use: (key: Uint8Array) => Effect.Effect<A, unknown>
  ): Effect.Effect<A, KeyValueStore.KeyValueStoreError> {
    return Effect.flatMap(
      this.keyOf(method, key),
      (bytes) =>
        Effect.mapError(
          use(bytes),
          (cause) => cause instanceof KeyValueStore.KeyValueStoreError ? cause : failed(method, key)(cause)
        )
    )
  }

  get<A>(method: string, key: string, as: (value: string | Uint8Array) => A) {
    return this.withKey<A | undefined>(
      method,
      key,
      (bytes) =>
        Effect.flatMap(
          this.kv.get(bytes),
          (row) => Option.isNone(row) ? Effect.undefined : Effect.map(read(method, key, row.value), as)
        )
    )
  }

  /** Changes a value that is there. `change` may run several times. */
  modify<A extends string | Uint8Array>(
    method: string,
    key: string,
    as: (value: string | Uint8Array) => A,
    change: (value: A) => A
  ) {
    const modifyStored = (bytes: Uint8Array) =>
      this.modifyStored(bytes, key, (row) => Effect.map(read(method, key, row), (value) => change(as(value))))
    return this.withKey<A | undefined>(method, key, (bytes) =>
      Effect.suspend(() => {
        const known = this.written.take(key)
        if (known === undefined) return modifyStored(bytes)
        const changed = change(as(known.value))
        const txn = this.kv.transact({
          if: [Compare.modRevision(bytes).equals(known.revision)],
          do: [Op.put(bytes, rowOf(changed))]
        })
        return Effect.flatMap(txn, ({ revision, succeeded }) => {
          if (!succeeded) return modifyStored(bytes)
          this.written.add(key, changed, revision)
          return Effect.succeed(changed)
        })
      }))
  }

  private modifyStored<A extends string | Uint8Array>(
    bytes: Uint8Array,
    key: string,
    change: (row: KeyValueEntry) => Effect.Effect<A, KeyValueStore.KeyValueStoreError>
  ) {
    return Effect.suspend(() => {
      let changed: A | undefined
      return Effect.map(
        this.kv.modify(bytes, (row) =>
          Option.isNone(row)
            // To delete what is not there changes nothing.
            ? Effect.sync(() => changed = undefined)
            : Effect.map(change(row.value), (value) => {
              changed = value
              return rowOf(value)
            })),
        ({ revision }) => {
          if (changed !== undefined) this.written.add(key, changed, revision)
          return changed
        }
      )
    })
  }

  /** The key in FlareDB. Text with a lone surrogate has no UTF-8, and would be another key's. */
  private keyOf(method: string, key: string) {
    return key.isWellFormed()
      ? Effect.succeed(encoder.encode(this.base + key))
      : Effect.fail(failure(method, "the key is no well-formed Unicode text: it has a lone surrogate", key))
  }
}

const read = (method: string, key: string, row: KeyValueEntry) => {
  const value = valueOf(row)
  return value === undefined
    ? Effect.fail(failure(method, `the row of ${JSON.stringify(key)} was not written by a KeyValueStore`, key))
    : Effect.succeed(value)
}
