/**
 * Whose data a directory holds. The marker in `raft_state` names cluster, node, voters and format; a node that
 * finds another one refuses to start, with both values in the message, because running on another node's log
 * would break every promise that node made.
 */
import { Clock, Context, Effect, Layer } from "effect"
import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileKind } from "../FileKind.ts"
import type { Marker } from "./Codec.ts"
import { LogIndex, Term } from "../raft/Types.ts"
import { encodeRecord, hardStateRecord, stateKeys } from "./Codec.ts"
import { missingMarker, NewFormat, readMarker } from "./DirectoryMarker.ts"
import { createDirectory, openToOthers } from "./Folder.ts"
import * as NativeModule from "./rocksdb/NativeModule.ts"
import { RocksDb } from "./rocksdb/RocksDb.ts"
import type { OpenError } from "./StorageError.ts"
import { DataDirRefused, FolderError, StorageCorruption, StorageIoError } from "./StorageError.ts"

export interface DataDirOptions {
  readonly path: string
  readonly clusterId: string
  readonly nodeId: number
  /** Ascending. */
  readonly voters: ReadonlyArray<number>
  /** Leave syncing out: benchmarks only. */
  readonly unsafeNoFsync?: boolean
  /** See `RocksDb.OpenOptions`. */
  readonly writeBufferBytes?: number
  /** See `RocksDb.OpenOptions`. */
  readonly maxOpenTables?: number | undefined
}

/**
 * Stands in the directory while the first start creates the database. A crash in there leaves a half-made database
 * without a marker, which this file tells from somebody else's.
 */
const creatingFile = "flaredb-creating"

const refuse = (
  path: string,
  reason: DataDirRefused["reason"],
  expected: string,
  found: string,
  hint: string
): DataDirRefused => new DataDirRefused({ path, reason, expected, found, hint })

/** Looks at the directory before RocksDB does: `true` when a database has to be created in it. */
const prepare = (path: string): Effect.Effect<boolean, OpenError> =>
  Effect.suspend((): Effect.Effect<boolean, OpenError> => {
    try {
      const stats = existsSync(path) ? statSync(path) : undefined
      if (stats?.isDirectory() === false) {
        const hint = "Give another --data-dir, or move it away."
        return Effect.fail(refuse(path, "not-a-directory", "a directory", fileKind(stats), hint))
      }
      createDirectory(path)
      const names = readdirSync(path)
      if (names.includes(creatingFile)) return Effect.succeed(true)
      if (names.includes("CURRENT")) return Effect.succeed(false)
      if (names.length > 0) {
        return Effect.fail(refuse(
          path,
          "foreign",
          "an empty directory or a FlareDB data directory",
          `${names.length} other files (${names.slice(0, 3).join(", ")})`,
          "If this directory held FlareDB data, its CURRENT file is gone: see deploy/runbooks/lost-node.md. " +
            "Otherwise give another --data-dir."
        ))
      }
      writeFileSync(join(path, creatingFile), "", { mode: 0o600 })
      return Effect.succeed(true)
    } catch (cause) {
      if (cause instanceof FolderError) return Effect.fail(cause)
      return Effect.fail(new StorageIoError({ operation: "prepare the data directory", path, cause }))
    }
  })

/** How a marker contradicts the options of the node. */
const compare = (options: DataDirOptions, marker: Marker): DataDirRefused | undefined => {
  const { path } = options
  if (marker.clusterId !== options.clusterId) {
    return refuse(
      path,
      "cluster-id",
      `cluster "${options.clusterId}"`,
      `cluster "${marker.clusterId}"`,
      "Give the cluster id the directory was made with, or another --data-dir."
    )
  }
  if (marker.nodeId !== options.nodeId) {
    return refuse(
      path,
      "node-id",
      `node ${options.nodeId}`,
      `node ${marker.nodeId}`,
      "This is another node's data; give this node its own --data-dir."
    )
  }
  if (marker.voters.join() !== [...options.voters].join()) {
    return refuse(
      path,
      "voters",
      `voters ${options.voters.join(", ")}`,
      `voters ${marker.voters.join(", ")}`,
      "Membership is fixed when a cluster is made; give the same nodes as then."
    )
  }
  return undefined
}

/** The database of one node, opened and known to be its own. */
export class DataDir extends Context.Service<DataDir, {
  readonly path: string
  readonly marker: Marker
  /** `false`: syncing is left out, for benchmarks. */
  readonly syncs: boolean
}>()("flaredb/storage/DataDir") {
  /** Checks or, when the database was just created, writes the marker of a database that is open. */
  static readonly layerOpened = (
    options: DataDirOptions,
    created: boolean
  ): Layer.Layer<DataDir, OpenError, RocksDb> => Layer.effect(DataDir, own(options, created))

  /** Creates or opens the directory, checks or writes its marker, and gives the database behind it. */
  static readonly layer = (options: DataDirOptions): Layer.Layer<DataDir | RocksDb, OpenError> =>
    Layer.unwrap(Effect.map(Effect.andThen(NativeModule.load, prepare(options.path)), (create) =>
      Layer.provideMerge(
        Layer.tap(
          DataDir.layerOpened(options, create),
          () =>
            Effect.suspend(() => {
              rmSync(join(options.path, creatingFile), { force: true })
              const open = openToOthers(options.path)
              return open === undefined ? Effect.void : Effect.logWarning(open)
            })
        ),
        RocksDb.layer({
          path: options.path,
          create,
          unsafeNoFsync: options.unsafeNoFsync === true,
          maxOpenTables: options.maxOpenTables,
          ...(options.writeBufferBytes === undefined ? {} : { writeBufferBytes: options.writeBufferBytes })
        })
      )))
}

const own = Effect.fnUntraced(function*(options: DataDirOptions, create: boolean) {
  const { path } = options
  const syncs = options.unsafeNoFsync !== true
  const database = yield* RocksDb
  if (!syncs) {
    yield* Effect.logWarning("running without fsync: a power loss will lose acknowledged writes (benchmarks only)")
  }
  const record = yield* database.get("raft_state", stateKeys.marker)
  if (record === undefined && !create) {
    return yield* new StorageCorruption({
      path,
      detail: missingMarker,
      safe: "nothing is known about this directory"
    })
  }
  if (record !== undefined) {
    const marker = yield* readMarker(path, record)
    const refusal = compare(options, marker)
    if (refusal !== undefined) return yield* refusal
    return DataDir.of({ path, marker, syncs })
  }
  const marker: Marker = {
    formatVersion: yield* NewFormat,
    clusterId: options.clusterId,
    nodeId: options.nodeId,
    voters: options.voters,
    createdMs: yield* Clock.currentTimeMillis
  }
  yield* database.write(
    "raft_state",
    [
      // An empty directory is a new cluster's, or its data was lost: the node does not vote before it knows which. See
      // `raft/Join.ts`.
      {
        _tag: "Put",
        key: stateKeys.hardState,
        value: hardStateRecord({
          term: Term(0),
          votedFor: undefined,
          commit: LogIndex(0),
          ...(options.voters.length > 1 ? { membership: "unknown" } : {})
        })
      },
      { _tag: "Put", key: stateKeys.confState, value: encodeRecord({ voters: options.voters }) },
      { _tag: "Put", key: stateKeys.activeFamily, value: encodeRecord({ family: "state_a" }) },
      { _tag: "Put", key: stateKeys.marker, value: encodeRecord(marker) }
    ],
    "durable"
  )
  return DataDir.of({ path, marker, syncs })
})
