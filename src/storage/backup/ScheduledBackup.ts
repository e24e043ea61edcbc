/**
 * One backup of a schedule: taken, read back from the disk and checked, named, and only then older ones are removed.
 * Killed at any time it leaves the older backups as they were, and at most a file that the next one removes.
 */
import type { Stream } from "effect"
import { Effect } from "effect"
import { readdirSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import type { BackupHeader } from "../../protocol/BackupFile.ts"
import { syncFolder } from "../Folder.ts"
import type { RowsCheck } from "../RowsCheck.ts"
import type { BackupContents, BackupCorrupt } from "./BackupReader.ts"
import { backupHeaderIn, BackupIoError, readBackup } from "./BackupReader.ts"
import type { BackupExists, WriteBackupOptions } from "./BackupWriter.ts"
import { writeBackup } from "./BackupWriter.ts"
import { backupName, backupsIn, isPartial, unnamed } from "./BackupNames.ts"
import type { Keep } from "./Retention.ts"
import { expired } from "./Retention.ts"

export interface TakeOptions<E> {
  readonly folder: string
  /** The bytes of the backup. */
  readonly download: Stream.Stream<Uint8Array, E>
  readonly keep: Keep
  /** Looks into the rows when they are read back. */
  readonly check: (header: BackupHeader) => RowsCheck
  readonly onProgress?: NonNullable<WriteBackupOptions["onProgress"]> | undefined
}

export interface TakenBackup extends BackupContents {
  readonly name: string
  /** The names of those that were removed, for which retention has no use. */
  readonly removed: ReadonlyArray<string>
}

const attempt = <A>(operation: string, path: string, run: () => A): Effect.Effect<A, BackupIoError> =>
  Effect.try({ try: run, catch: (cause) => new BackupIoError({ operation, path, cause }) })

/** Removes what backups that were killed have left. Only who holds the folder's lock may do so. */
const clean = (folder: string): void => {
  for (const name of readdirSync(folder)) {
    if (name === unnamed || isPartial(name)) rmSync(join(folder, name), { force: true })
  }
}

/**
 * Removes older backups of the same cluster. One that was made again under the same name has another identity: what is
 * left of the first one stays. `name` stays whatever the clocks say.
 */
const retain = (folder: string, name: string, { clusterId, identity }: BackupHeader, keep: Keep) => {
  const own = backupsIn(folder).filter((backup) =>
    backup.clusterId === clusterId && backupHeaderIn(join(folder, backup.name))?.identity === identity
  )
  const removed = expired(own, keep).map((backup) => backup.name).filter((other) => other !== name)
  for (const other of removed) rmSync(join(folder, other), { force: true })
  if (removed.length > 0) syncFolder(folder)
  return removed
}

/** Takes one. The caller holds the folder's lock (`FolderLock.ts`). */
export const takeScheduled = Effect.fnUntraced(function*<E>(
  { check, download, folder, keep, onProgress }: TakeOptions<E>
): Effect.fn.Return<TakenBackup, BackupCorrupt | BackupExists | BackupIoError | E> {
  const path = join(folder, unnamed)
  yield* attempt("clean", folder, () => clean(folder))
  yield* writeBackup(path, download, { force: true, ...onProgress === undefined ? {} : { onProgress } })
  const contents = yield* readBackup(path, { check }).pipe(
    Effect.onExit((exit) => exit._tag === "Success" ? Effect.void : Effect.sync(() => rmSync(path, { force: true })))
  )
  const { clusterId, createdMs, revision } = contents.header
  const name = backupName(clusterId, createdMs, revision)
  yield* attempt("name", join(folder, name), () => {
    renameSync(path, join(folder, name))
    syncFolder(folder)
  })
  const removed = yield* attempt("remove older backups in", folder, () => retain(folder, name, contents.header, keep))
  return { ...contents, name, removed }
})
