/** Compares what RocksDB counts on with what its directory has: it does not notice when its files are removed. */
import { Context, Effect } from "effect"
import type { LockWatch } from "../LockFile.ts"
import type { OpenError } from "../StorageError.ts"
import { DataDirLost, lostFrom } from "../StorageError.ts"
import type { LiveFileSource } from "./LiveFiles.ts"
import { missingManifest, missingTable, missingWal, tablesIn } from "./LiveFiles.ts"
import type { Sessions } from "./Database.ts"
import { openError } from "./OpenFailure.ts"
import { families } from "./Operation.ts"
import type { WalSync } from "./WalSync.ts"

/** Milliseconds between two looks at the directory. The WAL in use is looked at with each sync. */
export const CheckIntervalMs: Context.Reference<number> = Context.Reference<number>(
  "flaredb/storage/CheckIntervalMs",
  { defaultValue: () => 1_000 }
)

/** What RocksDB counts on, to be compared with what its directory has. */
export const liveFiles = (path: string, sessions: Sessions): LiveFileSource => ({
  path,
  tables: async () => {
    const properties = await Promise.all(families.map((family) => sessions[family].getProperty("rocksdb.sstables")))
    return properties.flatMap((property = "") => tablesIn(property))
  },
  oldestWal: async () => Number(await sessions.raft_log.getProperty("rocksdb.min-log-number-to-keep") ?? 0)
})

/** Refuses a directory that lacks a file: RocksDB looks for its tables when it opens, and not for its blob files. */
export const requireComplete = (path: string, sessions: Sessions): Effect.Effect<void, OpenError> =>
  Effect.tryPromise({
    try: async () => {
      const missing = await missingTable(liveFiles(path, sessions))
      if (missing !== undefined) throw new Error(`No such file: ${missing}`)
    },
    catch: (cause) => openError(path, cause)
  })

/** Flushes and compactions that failed in the background, of all families. */
const backgroundErrors = async (sessions: Sessions): Promise<number> => {
  const counts = await Promise.all(families.map((family) => sessions[family].getProperty("rocksdb.background-errors")))
  return counts.reduce((sum, count = "0") => sum + Number(count), 0)
}

/** Fails when files that RocksDB counts on are gone, or its background work failed. */
export const checkDirectory = async (
  wal: WalSync,
  lock: LockWatch,
  files: LiveFileSource,
  sessions: Sessions,
  tablesToo: boolean
): Promise<void> => {
  const { path } = files
  await wal.check()
  const missing = missingManifest(path) ?? await missingWal(files, wal.known) ??
    (tablesToo ? await missingTable(files) : undefined)
  if (missing !== undefined) throw lostFrom(path, missing)
  const unlocked = lock.problem()
  if (unlocked !== undefined) throw new DataDirLost({ path, detail: unlocked })
  const errors = await backgroundErrors(sessions)
  if (errors > 0) throw new Error(`RocksDB reports ${errors} failed flushes or compactions; its LOG says why`)
}
