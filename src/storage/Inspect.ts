/** Reads the data directory of a stopped node without changing it, for `flaredb inspect`. */
import { Effect, Layer, Result } from "effect"
import { existsSync, readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { fileKind } from "../FileKind.ts"
import type { ClusterIdentity } from "../protocol/ClusterIdentity.ts"
import { decodeIdentityRow, identityRowKey } from "../protocol/ClusterIdentity.ts"
import { unreadText } from "../ErrorText.ts"
import type { Entry, LogPoint } from "../raft/Types.ts"
import { firstStateKey, stateEnd } from "../protocol/StateRows.ts"
import type { LogIndex } from "../raft/Types.ts"
import { addIndex } from "../raft/Types.ts"
import type { Marker } from "./Codec.ts"
import { markerOf } from "./DirectoryMarker.ts"
import type { DurableFloor } from "./DurableFloor.ts"
import { readFloor } from "./DurableFloor.ts"
import { lockHolder } from "./LockFile.ts"
import type { RecoveredLog } from "./LogStore.ts"
import type { Family } from "./rocksdb/Operation.ts"
import { requireUnused } from "./rocksdb/OpenFailure.ts"
import { RocksDb } from "./rocksdb/RocksDb.ts"
import type { Replaced } from "./rocksdb/StateFamilies.ts"
import { otherFamily, readReplaced, recoverState } from "./rocksdb/StateFamilies.ts"
import { exportOf } from "./rocksdb/WholeFamily.ts"
import type { StateExport } from "./StateStore.ts"
import { storedLog } from "./StoredLog.ts"
import type { OpenError, StorageError } from "./StorageError.ts"
import { DataDirRefused, StorageCorruption } from "./StorageError.ts"

/** Everything a directory says about itself. */
export interface Inspection {
  readonly path: string
  readonly marker: Marker
  readonly log: RecoveredLog
  readonly applied: LogPoint
  /** The identity of the cluster; `undefined` when none was applied yet. */
  readonly identity: ClusterIdentity | undefined
  readonly activeFamily: Family
  /** The state that the last snapshot replaced; `undefined` when none is kept. */
  readonly replaced: Replaced | undefined
  readonly floor: DurableFloor | undefined
  /** Up to `limit` entries from `from` on. */
  readonly entries: (from: LogIndex, limit: number) => Effect.Effect<ReadonlyArray<Entry>, StorageError>
}

const inspectOpen = Effect.fnUntraced(function*(path: string) {
  const database = yield* RocksDb
  const marker = yield* markerOf(path)
  const floor = yield* readFloor(path)
  const stored = storedLog(database, path, marker)
  const log = yield* stored.recover(floor)
  const state = yield* recoverState(database, path)
  const [row] = yield* database.getMany(state.family, [identityRowKey])
  const identity = row === undefined ? undefined : yield* Effect.fromResult(Result.mapError(
    decodeIdentityRow(row),
    ({ message }) => new StorageCorruption({ path, detail: message, safe: "nothing was changed" })
  ))
  const entries = (from: LogIndex, limit: number) =>
    stored.entries(from > log.compacted.index ? from : addIndex(log.compacted.index, 1), limit)
  const inspection: Inspection = {
    path,
    marker,
    log,
    applied: state.applied,
    identity,
    activeFamily: state.family,
    replaced: yield* readReplaced(database, path, state),
    floor,
    entries
  }
  return inspection
})

/** What is in the place of a data directory; `undefined` when it is one. A folder above may be closed to this user. */
const foundInstead = (path: string): { readonly found: string; readonly hint: string } | undefined => {
  const hint = "Give the --data-dir of a node, for example ./data/node-1."
  try {
    const stats = statSync(path, { throwIfNoEntry: false })
    if (stats === undefined) return { found: "nothing there", hint }
    if (!stats.isDirectory()) return { found: fileKind(stats), hint }
    return readdirSync(path).includes("CURRENT") ? undefined : { found: "no CURRENT file in it", hint }
  } catch (error) {
    return { found: unreadText(error), hint: "Run it as the user of the node, and look at the path." }
  }
}

/** Does `work` on the database of a directory, opened read-only. */
const opened = <A, E, R>(
  path: string,
  work: Effect.Effect<A, E, R>
): Effect.Effect<A, E | OpenError, Exclude<R, RocksDb>> =>
  Effect.suspend((): Effect.Effect<A, E | OpenError, Exclude<R, RocksDb>> => {
    const instead = foundInstead(path)
    return instead === undefined
      ? Effect.provide(work, Layer.fresh(RocksDb.layer({ path, create: false, readOnly: true })))
      : Effect.fail(
        new DataDirRefused({ path, reason: "foreign", expected: "a FlareDB data directory", ...instead })
      )
  })

/** The process that has a directory open, as far as this system tells. */
export const heldBy = (path: string): Effect.Effect<number | undefined> => Effect.sync(() => lockHolder(path))

/** The marker of a directory, also while a node uses it. */
export const inspectMarker = (path: string): Effect.Effect<Marker, OpenError> => opened(path, markerOf(path))

/** Opens `path` read-only and hands what it holds to `use`. */
export const inspect = <A, E, R>(
  path: string,
  use: (inspection: Inspection) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | OpenError, Exclude<R, RocksDb>> => opened(path, Effect.flatMap(inspectOpen(path), use))

/** A state of a stopped node, to be read to its end. */
export interface StoppedState extends StateExport {
  readonly marker: Marker
  /** The last entry of the log, whose entries behind `point` this state knows nothing of; 0 when it has none. */
  readonly lastIndex: number
}

const readStateOpen = Effect.fnUntraced(function*(path: string, replaced: boolean) {
  const database = yield* RocksDb
  const marker = yield* markerOf(path)
  const active = yield* recoverState(database, path)
  const kept = replaced ? yield* readReplaced(database, path, active) : undefined
  if (kept?.damage !== undefined) return yield* kept.damage
  const point = replaced ? kept?.point : active.applied
  if (point === undefined || point.index === 0) {
    return yield* new DataDirRefused({
      path,
      reason: replaced ? "nothing-replaced" : "nothing-applied",
      expected: replaced ? "a state that a snapshot replaced" : "a state with applied entries",
      found: "none",
      hint: replaced
        ? "No snapshot was installed here, or the next one has begun since and took its place."
        : "This node has applied nothing yet; back up another one."
    })
  }
  const family = replaced ? otherFamily(active.family) : active.family
  const state: StoppedState = {
    marker,
    point,
    lastIndex: yield* storedLog(database, path, marker).lastIndex,
    estimatedBytes: yield* database.approximateBytes(family, firstStateKey, stateEnd),
    next: exportOf(database, family)
  }
  return state
})

/**
 * Reads the applied state of a directory that no process uses, or the one that its last snapshot replaced. The log is
 * not looked at: a state can be saved whatever became of it.
 */
export const readState = <A, E, R>(
  path: string,
  replaced: boolean,
  use: (state: StoppedState) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | OpenError, Exclude<R, RocksDb>> =>
  Effect.suspend(() => existsSync(join(path, "CURRENT")) ? requireUnused(path) : Effect.void).pipe(
    Effect.andThen(opened(path, Effect.flatMap(readStateOpen(path, replaced), use)))
  )
