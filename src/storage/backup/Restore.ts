/**
 * Makes the data directory of a new cluster's node from a backup.
 *
 * What the node then is: a voter whose log begins behind the entry that the backup was taken at, with that entry's
 * term and nothing promised to anybody in it. Nodes restored from one file begin at the same place with the same
 * state, as if all of them had installed the same snapshot; the first election is in the term after it. That it is a
 * new cluster, under a name of its own, is what makes this safe: no node of the old one, which may know more entries
 * and later terms, will ever talk to it.
 *
 * Kept as it is: keys, revisions, history, leases with what is left of their time, everything of other state machines.
 * Dropped: the identity of the cluster, because what is restored is another one with a history of its own, and its
 * first leader gives it another identity; and the sessions of clients, which speak of a cluster that went on after the
 * backup; a client that still believes in its session learns that it has expired.
 */
import { Clock, Effect, Layer } from "effect"
import { existsSync, lstatSync, readdirSync, renameSync, rmdirSync, rmSync, statSync } from "node:fs"
import { basename, dirname, join, resolve } from "node:path"
import { fileKind } from "../../FileKind.ts"
import { isIdentityRow } from "../../protocol/ClusterIdentity.ts"
import type { BackupHeader } from "../../protocol/BackupFile.ts"
import { LogIndex, Term } from "../../raft/Types.ts"
import type { BackupContents, BackupCorrupt } from "./BackupReader.ts"
import { BackupIoError, readBackup } from "./BackupReader.ts"
import { removeLeftovers } from "./Leftovers.ts"
import type { DataDirOptions } from "../DataDir.ts"
import { createDirectory, syncFolder } from "../Folder.ts"
import { LogStore } from "../LogStore.ts"
import type { RowsCheck } from "../RowsCheck.ts"
import * as RocksStorage from "../rocksdb/RocksStorage.ts"
import type { StateRow } from "../StateStore.ts"
import { StateStore } from "../StateStore.ts"
import type { OpenError, StorageError } from "../StorageError.ts"
import { DataDirRefused } from "../StorageError.ts"

export interface RestoreOptions extends DataDirOptions {
  /** The backup. */
  readonly file: string
  /** Whether a row of the backup's state machine is carried over. */
  readonly keeps: (header: BackupHeader, row: StateRow) => boolean
  /** Looks into the rows of the backup, when it is checked and once more when it is restored. */
  readonly check: (header: BackupHeader) => RowsCheck
  /** The file was read to its end and found whole just now, so it need not be checked once more. Default false. */
  readonly checked?: boolean
  /** Told how far the reader is in the file: first while it is checked, then while it is restored. */
  readonly onProgress?: (step: "check" | "restore", bytes: number, ofBytes: number) => Effect.Effect<void>
}

/** What was restored. */
export interface Restored extends BackupContents {
  /** Rows that were carried over. */
  readonly rows: number
}

export type RestoreError = BackupCorrupt | BackupIoError | OpenError

/** Fills empty stores with what the backup holds, so that a node starts behind it. */
export const restoreInto = Effect.fnUntraced(function*(
  options: Pick<RestoreOptions, "check" | "file" | "keeps" | "onProgress">
): Effect.fn.Return<Restored, BackupCorrupt | BackupIoError | StorageError, LogStore | StateStore> {
  const log = yield* LogStore
  const state = yield* StateStore
  let rows = 0
  const contents = yield* Effect.scoped(
    Effect.gen(function*() {
      const incoming = yield* state.import
      const read = yield* readBackup<StorageError>(options.file, {
        check: options.check,
        onRows: (part, header) => {
          const kept = part.filter((row) => !isIdentityRow(row.key) && options.keeps(header, row))
          rows += kept.length
          return kept.length === 0 ? Effect.void : incoming.write(kept)
        },
        onProgress: (bytes, ofBytes) => options.onProgress?.("restore", bytes, ofBytes) ?? Effect.void
      })
      yield* incoming.finish(pointOf(read.header))
      return read
    })
  )
  const point = pointOf(contents.header)
  yield* log.reset(point)
  yield* log.append([{
    hardState: { term: point.term, votedFor: undefined, commit: point.index },
    truncateFrom: undefined,
    entries: []
  }])
  return { ...contents, rows }
})

const pointOf = ({ index, term }: BackupHeader) => ({ index: LogIndex(index), term: Term(term) })

/** What of a directory keeps a backup from being restored there; `undefined` when it is empty, or not there yet. */
const occupied = (path: string): readonly [reason: DataDirRefused["reason"], found: string] | undefined => {
  // Of links, the last step gives the directory its name, which would take the place of the link.
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (stats === undefined) return undefined
  if (!stats.isDirectory()) return ["not-a-directory", fileKind(stats)]
  // It can be neither removed nor replaced: a folder in it can.
  if (stats.dev !== statSync(dirname(resolve(path))).dev) return ["not-a-directory", "the root of a file system"]
  const names = readdirSync(path)
  return names.length === 0
    ? undefined
    : ["not-empty", `${names.length} files (${names.slice(0, 3).join(", ")})`]
}

const attempt = <A>(operation: string, path: string, run: () => A): Effect.Effect<A, BackupIoError> =>
  Effect.try({ try: run, catch: (cause) => new BackupIoError({ operation, path, cause }) })

/** Refuses a directory that holds anything, or that this user cannot look into. */
const requireEmpty = (path: string): Effect.Effect<void, DataDirRefused | BackupIoError> =>
  Effect.flatMap(
    attempt("read", path, () => occupied(path)),
    (found) =>
      found === undefined ? Effect.void : Effect.fail(
        new DataDirRefused({
          path,
          reason: found[0],
          expected: "no directory, or an empty one",
          found: found[1],
          hint:
            "A backup is restored into a directory that it makes; move this one away, or give another --data-dir, " +
            "for example a folder in it."
        })
      )
  )

/**
 * Restores the backup into a new data directory. Everything is checked before anything is written; the directory
 * appears under its name when it is complete.
 */
export const restore = Effect.fnUntraced(function*(options: RestoreOptions): Effect.fn.Return<Restored, RestoreError> {
  const { path } = options
  yield* requireEmpty(path)
  if (options.checked !== true) {
    yield* readBackup(options.file, {
      check: options.check,
      onProgress: (bytes, ofBytes) => options.onProgress?.("check", bytes, ofBytes) ?? Effect.void
    })
  }
  const parent = dirname(resolve(path))
  const leftovers = `${basename(resolve(path))}.restoring-`
  const temporary = join(parent, `${leftovers}${process.pid}`)
  const nowMs = yield* Clock.currentTimeMillis
  const filled = Effect.scoped(
    Effect.flatMap(
      Layer.build(Layer.fresh(RocksStorage.layer({ ...options, path: temporary }))),
      (services) => Effect.provideContext(restoreInto(options), services)
    )
  )
  const prepared = attempt("create", parent, () => {
    createDirectory(parent)
    removeLeftovers(parent, leftovers, nowMs)
    // A restore that was killed in a container had the same process id as the next one may have.
    rmSync(temporary, { recursive: true, force: true })
  })
  return yield* prepared.pipe(
    Effect.andThen(filled),
    Effect.tap(() => requireEmpty(path)),
    Effect.tap(() =>
      attempt("name", path, () => {
        if (existsSync(path)) rmdirSync(path)
        renameSync(temporary, path)
        syncFolder(parent)
      })
    ),
    Effect.onExit((exit) =>
      exit._tag === "Success" ? Effect.void : Effect.sync(() => rmSync(temporary, { recursive: true, force: true }))
    )
  )
})
