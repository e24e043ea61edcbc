/**
 * Copies what Effect's services keep in PostgreSQL to FlareDB: messages and replies, queue elements, persisted rows,
 * key values. Locks and runners are not copied: runners make them when they start.
 *
 * The source is only read. Each table is copied page by page, and the position is stored in FlareDB behind each page,
 * so that a migration that was stopped goes on where it was. All runners, clients and workers must be stopped.
 */
import { Duration, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { Persistence } from "effect/persistence"
import type { KeyValue } from "../../client/KeyValue.ts"
import { LatestReads } from "../LatestReads.ts"
import type { Leases } from "../../client/Lease.ts"
import type { Watch } from "../../client/Watch.ts"
import { ClusterKeys } from "../cluster/ClusterKeys.ts"
import { HeldShards } from "../cluster/HeldShards.ts"
import { makeEncoded } from "../cluster/MessageStorage.ts"
import { layer as layerBackingPersistence } from "../persistence/BackingPersistence.ts"
import * as LogTime from "../LogTime.ts"
import { StillRunning, TableMissing } from "./Failures.ts"
import { keyValues } from "./KeyValues.ts"
import { messages } from "./Messages.ts"
import type { Counts, Difference, Part } from "./Part.ts"
import { persistedRows } from "./PersistedRows.ts"
import { Positions } from "./Position.ts"
import { queue } from "./Queue.ts"
import { Tables } from "./Tables.ts"

export interface MigrationOptions {
  /** Before the keys in FlareDB. */
  readonly prefix: string
  /** The name that the runners on FlareDB share. */
  readonly cluster: string
  /** What the cluster's tables begin with, as the SQL storages' option `prefix`; Effect's default is `cluster`. */
  readonly tablePrefix: string
  readonly queueTable: string
  readonly keyValueTable: string
  /** The `KeyValueStore` in FlareDB that the rows come to. */
  readonly keyValueStore: string
  /** Tables that must be there. Of the others, what there is is copied. */
  readonly required: ReadonlyArray<string>
  /** Whether messages that were processed are kept for good, as SQL keeps them, and not for as long as runners say. */
  readonly keepProcessed: boolean
  /** Whether the runners are known to be stopped, whatever the tables say. */
  readonly runnersStopped: boolean
}

/** What the tables of a migration hold. */
export interface TableCounts {
  readonly kind: Part["kind"]
  readonly table: string
  readonly counts: Counts
  readonly bytes: number
}

/** How a table was copied. */
export interface Copied {
  readonly kind: Part["kind"]
  readonly table: string
  /** Rows in all, and of them those that this run wrote. */
  readonly rows: number
  readonly copied: number
}

export interface Compared {
  readonly kind: Part["kind"]
  readonly table: string
  readonly rows: number
  readonly differences: number
}

/** How far a run is, in bytes of the source. */
export type OnProgress = (bytes: number, ofBytes: number) => Effect.Effect<void>

/** Differences of a table that are reported; more are counted. */
const maxReported = 20

export class Migration {
  private readonly parts: ReadonlyArray<Part>
  private readonly positions: Positions
  private readonly stopped: Effect.Effect<void, unknown>

  private constructor(parts: ReadonlyArray<Part>, positions: Positions, stopped: Effect.Effect<void, unknown>) {
    this.parts = parts
    this.positions = positions
    this.stopped = stopped
  }

  /** Looks at the tables; fails when they are not what this version knows, or there are none. */
  static readonly make = Effect.fnUntraced(function*(options: MigrationOptions) {
    const { cluster, prefix, queueTable, tablePrefix } = options
    const sql = yield* SqlClient.SqlClient
    const kv = yield* LatestReads
    const tables = yield* Tables.read(sql)
    for (const table of options.required) if (!tables.has(table)) return yield* new TableMissing({ table })
    const keys = new ClusterKeys({ cluster, prefix })
    const parts: Array<Part> = []
    if (tables.has(`${tablePrefix}_messages`)) {
      yield* tables.requireKnownVersion(tablePrefix)
      yield* tables.require(`${tablePrefix}_messages`, "messages")
      yield* tables.require(`${tablePrefix}_replies`, "replies")
      const { encoded: storage } = yield* makeEncoded({
        cluster,
        prefix,
        ...options.keepProcessed ? { keepProcessedFor: Duration.infinity } : {}
      })
      parts.push(messages({ keys, kv, sql, storage, tablePrefix }))
    }
    if (tables.has(queueTable)) {
      yield* tables.require(queueTable, "queue")
      parts.push(queue({ kv, prefix, sql, table: queueTable }))
    }
    const persisted = {
      kv,
      persistence: yield* Persistence.BackingPersistence,
      prefix,
      sql,
      time: yield* LogTime.LogTime
    }
    if (tables.has("effect_persistence")) {
      yield* tables.require("effect_persistence", "persistence")
      parts.push(persistedRows({ ...persisted, table: "effect_persistence" }))
    }
    for (const { storeId, table } of yield* tables.storeTables) {
      yield* tables.require(table, "persistenceOfStore")
      parts.push(persistedRows({ ...persisted, table, storeId }))
    }
    const { keyValueStore: name, keyValueTable: table } = options
    if (tables.has(table)) {
      yield* tables.require(table, "keyValues")
      parts.push(keyValues({ kv, name, prefix, sql, table }))
    }
    if (parts.length === 0) {
      return yield* new TableMissing({ table: [`${tablePrefix}_messages`, queueTable, table].join(" nor ") })
    }
    const stopped = Effect.gen(function*() {
      const runners = yield* tables.liveRunners(`${tablePrefix}_runners`)
      const claimedElements = tables.has(queueTable) ? yield* tables.liveClaims(queueTable) : 0
      const targetRunners = yield* kv.count(keys.runners)
      if (runners.length + claimedElements + targetRunners === 0) return
      return yield* new StillRunning({ runners, claimedElements, targetRunners })
    })
    return new Migration(
      parts,
      new Positions(kv, options, yield* tables.source),
      options.runnersStopped ? Effect.void : stopped
    )
  })

  /** What there is to copy. */
  get counts() {
    return Effect.forEach(this.parts, (part) =>
      Effect.map(
        Effect.all([part.counts, part.bytes]),
        ([counts, bytes]): TableCounts => ({ kind: part.kind, table: part.table, counts, bytes })
      ))
  }

  private get bytes() {
    return Effect.map(Effect.forEach(this.parts, (part) => part.bytes), (all) => all.reduce((sum, n) => sum + n, 0))
  }

  /** Copies everything, or what is left of it. */
  readonly copy = Effect.fnUntraced({ self: this }, function*(this: Migration, onProgress: OnProgress) {
    yield* this.stopped
    const positions = yield* this.positions.begin(this.parts)
    const ofBytes = yield* this.bytes
    const copied: Array<Copied> = []
    let bytes = 0
    for (const [i, part] of this.parts.entries()) {
      const { kind, table } = part
      let { after, rows } = positions[i] ?? { after: "", rows: 0 }
      const before = rows
      for (;;) {
        const page = yield* part.page(after)
        if (page === undefined) break
        yield* page.write
        rows += page.rows
        after = page.after
        yield* this.positions.store(table, { after, rows, done: false })
        yield* onProgress(bytes += page.bytes, ofBytes)
      }
      yield* this.positions.store(table, { after, rows, done: true })
      copied.push({ kind, table, rows, copied: rows - before })
    }
    return copied
  })

  /** Reads both sides and compares every row. `onDifference` gets the first ones of each table. */
  readonly verify = Effect.fnUntraced({ self: this }, function*(
    this: Migration,
    onProgress: OnProgress,
    onDifference: (difference: Difference) => Effect.Effect<void>
  ) {
    const ofBytes = yield* this.bytes
    const compared: Array<Compared> = []
    let bytes = 0
    for (const part of this.parts) {
      let [rows, differences, after] = [0, 0, ""]
      const report = (found: ReadonlyArray<Difference>) =>
        Effect.forEach(found, (difference) => differences++ < maxReported ? onDifference(difference) : Effect.void, {
          discard: true
        })
      for (;;) {
        const page = yield* part.page(after)
        if (page === undefined) break
        yield* report(yield* page.compare)
        rows += page.rows
        after = page.after
        yield* onProgress(bytes += page.bytes, ofBytes)
      }
      yield* report(yield* part.extra)
      compared.push({ kind: part.kind, table: part.table, rows, differences })
    }
    return compared
  })
}

/** What a migration stands on, beside the client and the database. */
export const layerServices = (
  prefix: string
): Layer.Layer<HeldShards | LogTime.LogTime | Persistence.BackingPersistence, never, KeyValue | Leases | Watch> =>
  Layer.mergeAll(HeldShards.layer, LogTime.layer(prefix), layerBackingPersistence({ prefix }))
