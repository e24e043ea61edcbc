/** Compares what RocksDB counts on with what its directory has: it does not notice when its files are removed. */
import { Context, Effect } from "effect"
import { closeSync, fstatSync, openSync, readSync } from "node:fs"
import { join } from "node:path"
import type { LockWatch } from "../LockFile.ts"
import type { OpenError } from "../StorageError.ts"
import { DataDirLost, lostFrom } from "../StorageError.ts"
import type { LiveFileSource } from "./LiveFiles.ts"
import { missingManifest, missingTable, missingWal, tablesIn } from "./LiveFiles.ts"
import type { RocksDB } from "./Binding.ts"
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

/** Bytes at the end of RocksDB's info log in which the reason of a failure is looked for. */
const reasonBytes = 256 * 1024

/** The end of a file; empty where it cannot be read. */
const endOf = (path: string, bytes: number): string => {
  try {
    const file = openSync(path, "r")
    try {
      const end = Buffer.alloc(bytes)
      return end.toString("utf8", 0, readSync(file, end, 0, bytes, Math.max(0, fstatSync(file).size - bytes)))
    } finally {
      closeSync(file)
    }
  } catch {
    return ""
  }
}

/** What RocksDB wrote of the last flush or compaction that failed; on a full disk it may have had no room to. */
const backgroundReason = (path: string): string => {
  const text = endOf(join(path, "LOG"), reasonBytes)
  const [, kind, reason] = [...text.matchAll(/background (flush|compaction) error: (.*), Accumulated/g)].at(-1) ?? []
  return kind === undefined ? "a flush or compaction failed; LOG may say why" : `a ${kind} failed: ${reason}`
}

/** Why RocksDB will not write what it has in memory, or merge its tables. It counts for all families at the root. */
const backgroundFailure = async (path: string, database: RocksDB): Promise<Error | undefined> =>
  Number(await database.getProperty("rocksdb.background-errors") ?? 0) === 0
    ? undefined
    : new Error(backgroundReason(path))

/** Fails when files that RocksDB counts on are gone, or its background work failed. */
export const checkDirectory = async (
  wal: WalSync,
  lock: LockWatch,
  files: LiveFileSource,
  database: RocksDB,
  tablesToo: boolean
): Promise<void> => {
  const { path } = files
  await wal.check()
  const missing = missingManifest(path) ?? await missingWal(files, wal.known) ??
    (tablesToo ? await missingTable(files) : undefined)
  if (missing !== undefined) throw lostFrom(path, missing)
  const unlocked = lock.problem()
  if (unlocked !== undefined) throw new DataDirLost({ path, detail: unlocked })
  const failure = await backgroundFailure(path, database)
  if (failure !== undefined) throw failure
}
