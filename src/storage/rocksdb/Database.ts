/** The database of the binding, opened with the settings of a node, and closed with its scope. */
import type { Scope } from "effect"
import { Effect, Fiber } from "effect"
import { readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { noteBlockedThread } from "../../BlockedThreads.ts"
import type { DiskWork } from "../DiskWork.ts"
import { inTime } from "../InTime.ts"
import type { OpenError, StorageError } from "../StorageError.ts"
import { failureIn } from "../StorageError.ts"
import type { RocksDB } from "./Binding.ts"
import { blobOptions } from "./BlobFiles.ts"
import { boundEncoding } from "./KeyBounds.ts"
import * as NativeModule from "./NativeModule.ts"
import { openError, requireUsable } from "./OpenFailure.ts"
import type { Family } from "./Operation.ts"
import { families, isState } from "./Operation.ts"
import type { CacheLimits } from "./WriteBackCache.ts"

export interface OpenOptions {
  readonly path: string
  /** Create the database when the directory has none. */
  readonly create: boolean
  /** Open while no other process has it, change nothing. */
  readonly readOnly?: boolean
  /** Leave syncing out: benchmarks only. */
  readonly unsafeNoFsync?: boolean
  /** Bytes of unflushed writes per family; tests make it small to see rotations. Default 8 MiB. */
  readonly writeBufferBytes?: number
  /** Other limits of the write-back caches of the state; tests make them small. */
  readonly cacheLimits?: Partial<CacheLimits>
  /** Tables that stay open; others are opened for each read of them. All by default. */
  readonly maxOpenTables?: number | undefined
}

/** A close that takes longer than this is reported and left behind: the process is about to end, as a rule. */
const closeTimeoutMs = 5_000

/** RocksDB keeps up to a thousand rotated info logs and deletes none while it is open. */
const removeOldInfoLogs = (path: string): void => {
  for (const name of readdirSync(path)) {
    if (name.startsWith("LOG.old.")) rmSync(join(path, name), { force: true })
  }
}

/** One session a column family. Their keys are bytes; the bounds of ranges are those of `KeyBounds.ts`. */
export type Sessions = Readonly<Record<Family, RocksDB>>

/** The sessions of a database or of a snapshot of it, which are the same type to the binding. */
export const sessionOf = (database: RocksDB, family: Family): RocksDB =>
  database.columnFamily(family, { keyEncoding: null })

export const sessionsOf = (database: RocksDB): Sessions =>
  Object.fromEntries(families.map((family) => [family, sessionOf(database, family)])) as Record<Family, RocksDB>

/**
 * Opens the database; refuses a directory that is no database of ours, or that another process uses. The end of the
 * scope closes it once no `work` is under way in it.
 */
export const openDatabase = Effect.fnUntraced(function*(
  { create, maxOpenTables, path, readOnly = false, writeBufferBytes = 8 * 1024 * 1024 }: OpenOptions,
  work: DiskWork
): Effect.fn.Return<RocksDB, OpenError, Scope.Scope> {
  const native = yield* NativeModule.load
  yield* requireUsable(path)
  const acquire = Effect.tryPromise({
    try: async () => {
      if (!readOnly) removeOldInfoLogs(path)
      const opened = new native.default(path, {
        // Point-in-time recovery: after a torn tail it opens with a clean prefix.
        walRecoveryMode: 2,
        maxBackgroundJobs: 4,
        // RocksDB takes ten of them for its other files.
        maxOpenFiles: maxOpenTables === undefined ? -1 : maxOpenTables + 10,
        writeBufferSize: writeBufferBytes,
        keyEncoding: boundEncoding,
        createIfMissing: create,
        createMissingColumnFamilies: create,
        readOnly,
        columnFamilies: families.map((family) =>
          new native.ColumnFamily(family, {
            writeBufferSize: writeBufferBytes,
            // The log is read by range, so a bloom filter would only cost memory.
            ...(family === "raft_log" ? { filterPolicy: null } : {}),
            ...(isState(family) ? blobOptions : {})
          })
        )
      })
      await opened.ready()
      return opened
    },
    catch: (cause) => openError(path, cause)
  })
  const slow = Effect.andThen(
    Effect.sleep(slowOpenMs),
    Effect.logWarning(
      `RocksDB has been opening ${path} for a while: it may have much to recover, or never come back from damage. ` +
        "A core at work for hours means the latter; see deploy/runbooks/lost-node.md"
    )
  )
  const saying = yield* Effect.forkChild(Effect.forever(slow))
  return yield* Effect.acquireRelease(acquire, (opened) => closeWithin(closeTimeoutMs, path, opened, work)).pipe(
    Effect.ensuring(Fiber.interrupt(saying))
  )
})

/** How often a start says that RocksDB is still busy. It recovers 50 MB of write-ahead log in a quarter of a second. */
const slowOpenMs = 30_000

/** `close` of the binding waits for ever while an iterator or batch is alive. That would be our bug: it is reported. */
const closeWithin = (timeoutMs: number, path: string, database: RocksDB, work: DiskWork): Effect.Effect<void> => {
  const close = async () => {
    const { promise: closed, resolve } = Promise.withResolvers<StorageError | undefined>()
    const isIdle = await work.whenIdle(() =>
      resolve(database.close().then(() => undefined, (error: unknown) => failureIn("close", path, error)))
    )
    const outcome = await inTime(closed, isIdle ? timeoutMs : 0)
    if (outcome === "late") closed.then(noteBlockedThread())
    return outcome
  }
  return Effect.flatMap(Effect.promise(close), (outcome) => {
    if (outcome === undefined) return Effect.void
    // Everything was synced before, or its failure has been reported.
    return Effect.logError(
      outcome === "late"
        ? `closing ${path} took longer than ${timeoutMs} ms; it stays open and locked until what is under way has ` +
          "ended, or this process"
        : outcome.message
    )
  })
}
