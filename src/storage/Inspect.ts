/** Reads the data directory of a stopped node without changing it, for `flaredb inspect`. */
import { Effect, Layer } from "effect"
import { existsSync, readdirSync, statSync } from "node:fs"
import type { ClusterIdentity } from "../codec/ClusterIdentity.ts"
import { decodeIdentityRow, identityRowKey } from "../codec/ClusterIdentity.ts"
import { CodecError } from "../codec/EntryRecord.ts"
import type { Entry, LogIndex, LogPoint } from "../raft/Types.ts"
import { addIndex } from "../raft/Types.ts"
import type { Marker } from "./Codec.ts"
import { decodeMarker, logEnd, logKey, stateKeys } from "./Codec.ts"
import type { DurableFloor } from "./DurableFloor.ts"
import { readFloor } from "./DurableFloor.ts"
import type { RecoveredLog } from "./LogStore.ts"
import { entryOfRow, recoverLog } from "./RecoveredLog.ts"
import type { Family } from "./RocksDb.ts"
import { RocksDb } from "./RocksDb.ts"
import { recoverState } from "./RocksStateStore.ts"
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
  readonly floor: DurableFloor | undefined
  /** Up to `limit` entries from `from` on. */
  readonly entries: (from: LogIndex, limit: number) => Effect.Effect<ReadonlyArray<Entry>, StorageError>
}

const inspectOpen = Effect.fnUntraced(function*(path: string) {
  const database = yield* RocksDb
  const record = yield* database.get("raft_state", stateKeys.marker)
  const marker = record === undefined ? new CodecError("the marker is missing from raft_state") : decodeMarker(record)
  if (marker instanceof CodecError) {
    return yield* new StorageCorruption({ path, detail: marker.message, safe: "nothing was changed" })
  }
  const floor = yield* readFloor(path)
  const log = yield* recoverLog(database, path, floor)
  const state = yield* recoverState(database, path)
  const [row] = yield* database.getMany(state.family, [identityRowKey])
  const identity = row === undefined ? undefined : decodeIdentityRow(row)
  if (identity instanceof CodecError) {
    return yield* new StorageCorruption({ path, detail: identity.message, safe: "nothing was changed" })
  }
  const entries = Effect.fnUntraced(function*(from: LogIndex, limit: number) {
    const found: Array<Entry> = []
    let problem: string | undefined
    const first = from > log.compacted.index ? from : addIndex(log.compacted.index, 1)
    yield* database.scan("raft_log", { gte: logKey(first), lt: logEnd, limit }, (row) => {
      const entry = entryOfRow(row)
      if (entry instanceof CodecError) problem = entry.message
      else found.push(entry)
      return problem === undefined
    })
    if (problem !== undefined) {
      return yield* new StorageCorruption({ path, detail: problem, safe: `entries before it` })
    }
    return found
  })
  const inspection: Inspection = {
    path,
    marker,
    log,
    applied: state.applied,
    identity,
    activeFamily: state.family,
    floor,
    entries
  }
  return inspection
})

/** Opens `path` read-only and hands what it holds to `use`. */
export const inspect = <A, E, R>(
  path: string,
  use: (inspection: Inspection) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | OpenError, R> =>
  Effect.suspend((): Effect.Effect<A, E | OpenError, R> => {
    const isDirectory = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
    return isDirectory && readdirSync(path).includes("CURRENT")
      ? Effect.flatMap(inspectOpen(path), use).pipe(
        Effect.provide(Layer.fresh(RocksDb.layer({ path, create: false, readOnly: true })))
      )
      : Effect.fail(
        new DataDirRefused({
          path,
          reason: "foreign",
          expected: "a FlareDB data directory",
          found: isDirectory ? "no CURRENT file in it" : existsSync(path) ? "a file" : "nothing there",
          hint: "Give the --data-dir of a node, for example ./data/node-1."
        })
      )
  })
