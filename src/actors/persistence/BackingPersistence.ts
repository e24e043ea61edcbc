/**
 * Effect's `BackingPersistence` in FlareDB: what `Persistence` and `PersistedCache` stand on.
 *
 * A row with a time to live carries its end in the cluster's time, and is gone for readers from then on,
 * whatever their own clocks say. The cluster deletes it some time after, with a lease that it shares with others. A
 * node grants no lease for longer than seven days, so rows that live longer than six are swept: by each process once an
 * hour.
 *
 * `setMany` writes up to 250 rows and 2 MiB in one step, and more in several. A write whose answer was lost fails as
 * `PersistenceError`, with the client's error as its cause; what a cache keeps may be written twice.
 */
import { Duration, Effect, Layer, Option } from "effect"
import { Persistence } from "effect/persistence"
import { readU64, writeU64 } from "../../bytes/U64.ts"
import type { KeyValueEntry } from "../../client/KeyValue.ts"
import type { KeyValue } from "../../client/KeyValue.ts"
import { LatestReads } from "../LatestReads.ts"
import { Leases } from "../../client/Lease.ts"
import { Op } from "../../client/Txn.ts"
import type { Watch } from "../../client/Watch.ts"
import { clearPrefix } from "./Clearing.ts"
import { ExpiryLeases } from "./ExpiryLeases.ts"
import { defaultPrefix, encodeName, encodeOwnPart } from "./Keys.ts"
import * as LogTime from "../LogTime.ts"
import { LongLived } from "./LongLived.ts"
import { utf8Text } from "../../bytes/Utf8.ts"

/** Where persisted results lie in the store. */
export interface BackingPersistenceOptions {
  /** Before every key. Default `fx/`. */
  readonly prefix?: string | undefined
}

/** Bytes before the value of a row: its format, and the end of its time in milliseconds, 0 for none. */
const headBytes = 9
const format = 1

/** Rows and bytes that one transaction of `setMany` writes. */
const maxBatchRows = 250
const maxBatchBytes = 2 * 1024 * 1024

/** Rows that `getMany` reads at a time. */
const readConcurrency = 64

const encoder = new TextEncoder()

interface Row {
  readonly endsMs: number
  readonly value: object
}

const encodeRow = (json: Uint8Array, endsMs: number): Uint8Array => {
  const row = new Uint8Array(headBytes + json.byteLength)
  row[0] = format
  writeU64(row, endsMs, 1)
  row.set(json, headBytes)
  return row
}

/** What a row holds; throws for one of an unknown format. */
export const decodeRow = ({ value }: KeyValueEntry): Row => {
  if (value[0] !== format || value.byteLength < headBytes) throw new Error("the row is not of a known format")
  const head = new DataView(value.buffer, value.byteOffset, headBytes)
  return { endsMs: readU64(head, 1), value: JSON.parse(utf8Text(value.subarray(headBytes))) }
}

/** What the keys of a store begin with. */
export const keysOfStore = (prefix: string, storeId: string): string => `${prefix}p/${encodeName(storeId)}/`

/** The key of a store's row. */
export const keyOfRow = (prefix: string, storeId: string, key: string): string =>
  keysOfStore(prefix, storeId) + encodeOwnPart(key)

/** An entry that is ready to be written. One without a time to live stays. */
interface Encoded {
  readonly key: string
  readonly json: Uint8Array
  readonly ttlMs: number | undefined
}

const failed = (what: string) => (cause: unknown): Persistence.PersistenceError =>
  new Persistence.PersistenceError({
    message: `${what}${cause instanceof Error ? `: ${cause.message}` : ""}`,
    cause
  })

/** What all stores of a process share. */
interface Shared {
  readonly kv: KeyValue["Service"]
  readonly time: LogTime.LogTime["Service"]
  readonly leases: ExpiryLeases
  readonly longLived: LongLived
}

/** One store. Its members are fields, so that callers may take them apart. */
class Store implements Persistence.BackingPersistenceStore {
  private readonly shared: Shared
  private readonly storeId: string
  /** What its keys begin with. */
  private readonly base: string

  constructor(shared: Shared, prefix: string, storeId: string) {
    this.shared = shared
    this.storeId = storeId
    this.base = keysOfStore(prefix, storeId)
  }

  readonly get = (key: string): Effect.Effect<object | undefined, Persistence.PersistenceError> =>
    Effect.gen({ self: this }, function*() {
      const { kv, time } = this.shared
      const found = yield* kv.get(this.keyOf(key))
      if (Option.isNone(found)) return undefined
      const { endsMs, value } = yield* Effect.try({ try: () => decodeRow(found.value), catch: (cause) => cause })
      if (endsMs === 0 || endsMs > (yield* time.now)) return value
      return undefined
    }).pipe(this.fails(`get ${key} of`))

  readonly getMany: Persistence.BackingPersistenceStore["getMany"] = ([first, ...rest]) =>
    Effect.forEach([first, ...rest] as const, this.get, { concurrency: readConcurrency }) as ReturnType<
      Persistence.BackingPersistenceStore["getMany"]
    >

  readonly set: Persistence.BackingPersistenceStore["set"] = (key, value, ttl) =>
    Effect.flatMap(
      this.encode(key, value, ttl),
      (entry) => Effect.asVoid(this.write([entry])).pipe(this.fails(`set ${key} of`))
    )

  readonly setMany: Persistence.BackingPersistenceStore["setMany"] = (entries) =>
    Effect.flatMap(
      Effect.forEach(entries, ([key, value, ttl]) => this.encode(key, value, ttl)),
      (encoded) =>
        Effect.forEach(batchesOf(encoded), (batch) => this.write(batch), { discard: true }).pipe(
          this.fails(`set ${entries.length} keys of`)
        )
    )

  readonly remove: Persistence.BackingPersistenceStore["remove"] = (key) =>
    Effect.suspend(() => Effect.asVoid(this.shared.kv.delete(this.keyOf(key)))).pipe(this.fails(`remove ${key} of`))

  readonly clear: Persistence.BackingPersistenceStore["clear"] = Effect.suspend(() =>
    clearPrefix(this.shared.kv, encoder.encode(this.base)).pipe(this.fails("clear"))
  )

  private fails(what: string) {
    return Effect.mapError(failed(`unable to ${what} the store ${this.storeId}`))
  }

  private keyOf(key: string): string {
    return this.base + encodeOwnPart(key)
  }

  private encode(key: string, value: object, ttl: Duration.Duration | undefined) {
    return Effect.try({
      try: (): Encoded => ({
        key: this.keyOf(key),
        json: encoder.encode(JSON.stringify(value)),
        ttlMs: ttl === undefined || !Duration.isFinite(ttl)
          ? undefined
          : Math.max(0, Math.ceil(Duration.toMillis(ttl)))
      }),
      catch: failed(`unable to write the value of ${key} as JSON`)
    })
  }

  private put(entry: Encoded, endsMs: number, lease: number): ReadonlyArray<Op<unknown>> {
    return [
      Op.put(entry.key, encodeRow(entry.json, endsMs), { lease }),
      ...(lease === 0 && endsMs > 0 ? [this.shared.longLived.mark(entry.key, endsMs)] : [])
    ]
  }

  /** Writes entries of one time to live in one step. */
  private write(entries: readonly [Encoded, ...ReadonlyArray<Encoded>]) {
    const { kv, leases, time } = this.shared
    const { ttlMs } = entries[0]
    if (ttlMs === undefined) return kv.transact({ do: entries.flatMap((entry) => this.put(entry, 0, 0)) })
    return Effect.flatMap(
      time.now,
      (nowMs) =>
        leases.with(
          { ttlMs, rows: entries.length },
          (lease) => kv.transact({ do: entries.flatMap((entry) => this.put(entry, nowMs + ttlMs, lease)) })
        )
    )
  }
}

const make = Effect.fnUntraced(function*({ prefix = defaultPrefix }: BackingPersistenceOptions) {
  const kv = yield* LatestReads
  const time = yield* LogTime.LogTime
  const leases = new ExpiryLeases(yield* Leases)
  const longLived = new LongLived(kv, prefix)
  yield* longLived.sweeping(time.now)
  const shared: Shared = { kv, time, leases, longLived }
  return Persistence.BackingPersistence.of({ make: (storeId) => Effect.sync(() => new Store(shared, prefix, storeId)) })
})

/** Entries in the steps they are written in: of each key the last one, and all of a step with one time to live. */
const batchesOf = (entries: ReadonlyArray<Encoded>): ReadonlyArray<readonly [Encoded, ...ReadonlyArray<Encoded>]> => {
  const last = new Map(entries.map((entry) => [entry.key, entry]))
  const batches: Array<[Encoded, ...Array<Encoded>]> = []
  const open = new Map<number | undefined, { readonly batch: Array<Encoded>; bytes: number }>()
  for (const entry of last.values()) {
    const bytes = entry.key.length + entry.json.byteLength
    const current = open.get(entry.ttlMs)
    if (current !== undefined && current.batch.length < maxBatchRows && current.bytes + bytes <= maxBatchBytes) {
      current.batch.push(entry)
      current.bytes += bytes
    } else {
      const batch: [Encoded, ...Array<Encoded>] = [entry]
      batches.push(batch)
      open.set(entry.ttlMs, { batch, bytes })
    }
  }
  return batches
}

/**
 * Effect's `BackingPersistence`, kept in FlareDB; `Persistence.layer` makes a `Persistence` of it.
 *
 * **When to use**
 *
 * To make `Persistence` or a `PersistedCache` of it with settings of one's own; otherwise {@link
 * layerPersistence}.
 *
 * **Details**
 *
 * Times to live are judged by the cluster's clock. A write of up to 250 rows of one time to live and 2 MiB is one
 * step.
 *
 * **Gotchas**
 *
 * A value has at most 1 MiB.
 */
export const layer = (
  options: BackingPersistenceOptions = {}
): Layer.Layer<Persistence.BackingPersistence, never, KeyValue | Leases | Watch> =>
  Layer.effect(Persistence.BackingPersistence, make(options)).pipe(
    Layer.provide(LogTime.layer(options.prefix ?? defaultPrefix))
  )

/**
 * Effect's `Persistence`, kept in FlareDB.
 *
 * **When to use**
 *
 * For `PersistedCache` and other results that several processes share and a restart must not lose.
 *
 * **Gotchas**
 *
 * A `PersistedCache` also keeps results in memory for 10 seconds, whatever its time to live: `inMemoryTTL` changes
 * that.
 */
export const layerPersistence = (
  options: BackingPersistenceOptions = {}
): Layer.Layer<Persistence.Persistence, never, KeyValue | Leases | Watch> =>
  Layer.provide(Layer.fresh(Persistence.layer), layer(options))
