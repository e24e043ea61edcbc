/**
 * The one door to RocksDB: scoped open and close, reads, and a single write gate. No other file uses the binding,
 * which `NativeModule.ts` loads.
 *
 * The binding checks nothing: a wrong argument stores garbage or poisons the database, so every key, value
 * and range is checked here first. It also applies two batches in flight in either order, so all writes of a node go
 * through one gate, one batch at a time.
 *
 * The gate has two kinds of writes. A *durable* one is synced before the gate opens again. A *lazy* one (the
 * applied state, which can always be computed again from the durable log) is not; but two unsynced batches could end up
 * in two WAL files, and a power loss could keep the later and lose the earlier one, because RocksDB has no continuity
 * check between them. So a lazy write that finds the one before it unsynced syncs first. A durable write after a
 * lazy one needs no such care: losing the lazy one alone only means applying again.
 *
 * What was deleted still takes room until RocksDB compacts it, and a log file lives as long as any family has a write
 * in it that is in no table yet. So whoever deletes a range asks to have it reclaimed: in the background, one at a
 * time, all families are flushed and the range is compacted.
 *
 * Commits to a state family gather in memory first (`StateRows.ts`). Whatever else is written, scanned or synced lets
 * them be written before, so that nobody can tell; except an append to the log.
 *
 * The first error of any operation is final, also of one that no caller waits for: `failure` has it, and later writes
 * are refused. The directory is looked after too, because RocksDB does not notice when its files are removed.
 */
import { Context, Effect, Layer, Queue } from "effect"
import { readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import type RocksDB from "rocksdb-native"
import { unusableFile } from "./DirectoryFiles.ts"
import { FirstFailure } from "./FirstFailure.ts"
import type { LiveFileSource } from "./LiveFiles.ts"
import { missingManifest, missingTable, missingWal, tablesIn } from "./LiveFiles.ts"
import { bound, boundEncoding } from "./KeyBounds.ts"
import * as NativeModule from "./NativeModule.ts"
import type { OpenError, StorageError } from "./StorageError.ts"
import { defaultRowLimits, StateRows } from "./StateRows.ts"
import { DataDirLost, DataDirRefused, failureIn, StorageCorruption, StorageIoError } from "./StorageError.ts"
import * as StorageMetrics from "./StorageMetrics.ts"
import type { SyncStats } from "./WalSync.ts"
import { WalSync } from "./WalSync.ts"

/** The column families of a node (DESIGN §6). */
export const families = ["raft_log", "raft_state", "state_a", "state_b"] as const
export type Family = (typeof families)[number]

export type Operation =
  | { readonly _tag: "Put"; readonly key: Uint8Array | string; readonly value: Uint8Array }
  | { readonly _tag: "Delete"; readonly key: Uint8Array }
  | { readonly _tag: "DeleteRange"; readonly start: Uint8Array; readonly end: Uint8Array }

export interface RangeOptions {
  readonly gte: Uint8Array
  readonly lt: Uint8Array
  readonly limit?: number
  readonly reverse?: boolean
  readonly keysOnly?: boolean
}

export interface Row {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** A family, or where to look which one it is at the moment the read begins. */
export type FamilyChoice = Family | (() => Family)

/** Reads, of the newest state or of one moment. */
export interface Reader {
  readonly get: (
    family: FamilyChoice,
    key: Uint8Array | string
  ) => Effect.Effect<Uint8Array | undefined, StorageError>
  /** One round trip for all keys, and one moment. */
  readonly getMany: (
    family: FamilyChoice,
    keys: ReadonlyArray<Uint8Array>
  ) => Effect.Effect<ReadonlyArray<Uint8Array | undefined>, StorageError>
  /** Rows in order until the range, the limit or `take` ends it: `take` answers whether to go on after a row. */
  readonly scan: (
    family: FamilyChoice,
    range: RangeOptions,
    take: (row: Row) => boolean
  ) => Effect.Effect<void, StorageError>
}

/** Reads of one moment, for as long as it is open. */
export interface Snapshot {
  readonly reader: Reader
  readonly close: Effect.Effect<void>
}

export interface OpenOptions {
  readonly path: string
  /** Create the database when the directory has none. */
  readonly create: boolean
  /** Open beside nobody else, change nothing. */
  readonly readOnly?: boolean
  /** Leave syncing out: benchmarks only. */
  readonly unsafeNoFsync?: boolean
  /** Bytes of unflushed writes per family; tests make it small to see rotations. Default 8 MiB. */
  readonly writeBufferBytes?: number
  /** Tables that stay open; others are opened anew for each read of them. All by default. */
  readonly maxOpenTables?: number | undefined
}

export class RocksDb extends Context.Service<
  RocksDb,
  Reader & {
    readonly path: string
    /**
     * The first failure, after which nothing is written any more. Whoever writes files beside the database records its
     * own.
     */
    readonly failure: FirstFailure
    /** One atomic batch in one family. `durable` returns after the sync that covers it and everything before it. */
    readonly write: (
      family: Family,
      operations: ReadonlyArray<Operation>,
      durability: "durable" | "lazy"
    ) => Effect.Effect<void, StorageError>
    /**
     * Changes of a state family, as one with what the same call says about the applied index. Done when memory has
     * them: every read sees them from then on, and they are written soon, in order, see `StateRows.ts`.
     */
    readonly commit: (family: Family, operations: ReadonlyArray<Operation>) => Effect.Effect<void, StorageError>
    /**
     * Several batches in order, durable when it returns: one sync, and one more before a family's next batch. Alone
     * among the writes it may overtake what was committed to a state family: it is for what that is computed from.
     */
    readonly writeAll: (
      batches: ReadonlyArray<{ readonly family: Family; readonly operations: ReadonlyArray<Operation> }>
    ) => Effect.Effect<void, StorageError>
    readonly sync: Effect.Effect<void, StorageError>
    /**
     * Fixes a moment with everything that was committed before the call; whoever calls it has to close it. `also` is
     * asked at that very moment.
     */
    readonly snapshot: <A>(also: () => A) => Effect.Effect<Snapshot & { readonly also: A }, StorageError>
    /** Succeeds once every read that had begun when it was called, other than of snapshots, has ended. */
    readonly readsSettled: Effect.Effect<void>
    /** About how many bytes a range has on disk and in memory; far off for small ranges. */
    readonly approximateBytes: (
      family: Family,
      start: Uint8Array,
      end: Uint8Array
    ) => Effect.Effect<number, StorageError>
    /** Has the room of a deleted range given back, in the background. The latest range of a family stands for all. */
    readonly reclaimUnsafe: (family: Family, start: Uint8Array, end: Uint8Array) => void
    /**
     * Writes what a family has in memory to a table. A range deletion that shares a table with rows it leaves has a
     * compaction of the range write those anew.
     */
    readonly flush: (family: Family) => Effect.Effect<void, StorageError>
    readonly syncStats: () => SyncStats
  }
>()("flaredb/storage/RocksDb") {
  static readonly layer = (options: OpenOptions): Layer.Layer<RocksDb, OpenError> =>
    Layer.effect(RocksDb, open(options))
}

/** Rows fetched per trip to the thread pool; 512 block the event loop for about a millisecond. */
const iteratorCapacity = 512

/**
 * Least time between two rounds of reclaiming: each writes what is in memory to the disk, and holds a thread meanwhile.
 */
const reclaimPause = "5 seconds"

/** How often the directory is looked at. The WAL in use is, with each sync. */
const checkInterval = "1 second"

/** Looks at all tables every so many checks: RocksDB lists them, which takes longer the more there are. */
const checksBetweenTables = 10

/** A close that takes longer than this is reported and left behind: the process is about to end anyway. */
const closeTimeoutMs = 5_000

/** Runs a promise to its end even when the fiber is interrupted: a write that began cannot be taken back. */
type Promised = <A>(operation: string, run: () => Promise<A>) => Effect.Effect<A, StorageError>

const promisedIn = (path: string, failure: FirstFailure): Promised => (operation, run) =>
  Effect.uninterruptible(
    Effect.tryPromise({
      try: run,
      catch: (cause) => {
        const error = failureIn(operation, path, cause)
        failure.record(error)
        return error
      }
    })
  )

const isState = (family: Family): boolean => family === "state_a" || family === "state_b"

const checkBytes = (what: string, bytes: Uint8Array | string): void => {
  if (typeof bytes !== "string" && !(bytes instanceof Uint8Array)) throw new TypeError(`${what} is not bytes`)
  if (what === "key" && bytes.length === 0) throw new RangeError("a key must not be empty")
}

const checkRange = (start: Uint8Array, end: Uint8Array): void => {
  checkBytes("key", start)
  checkBytes("key", end)
  if (Buffer.compare(start, end) >= 0) throw new RangeError("a range must end after it starts")
}

const checkOperation = (operation: Operation): void => {
  if (operation._tag === "DeleteRange") return checkRange(operation.start, operation.end)
  checkBytes("key", operation.key)
  if (operation._tag === "Put") checkBytes("value", operation.value)
}

/** One batch at a time, in the order of the calls; after the first failure none. */
class WriteGate {
  private readonly sessions: Record<Family, RocksDB>
  private readonly wal: WalSync
  private readonly failure: FirstFailure
  private tail: Promise<void> = Promise.resolve()
  private unsynced = false

  constructor(sessions: Record<Family, RocksDB>, wal: WalSync, failure: FirstFailure) {
    this.sessions = sessions
    this.wal = wal
    this.failure = failure
  }

  enter(work: () => Promise<void>): Promise<void> {
    const turn = this.tail.then(async () => {
      if (this.failure.error !== undefined) throw this.failure.error
      try {
        await work()
      } catch (cause) {
        const error = failureIn("write", this.wal.path, cause)
        this.failure.record(error)
        throw error
      }
    })
    // Only for the order of the writes: the caller has the error, and so has `failure`.
    this.tail = turn.catch(() => undefined)
    return turn
  }

  async writeDurable(family: Family, operations: ReadonlyArray<Operation>): Promise<void> {
    await this.apply(family, operations)
    await this.sync()
  }

  async writeLazy(family: Family, operations: ReadonlyArray<Operation>): Promise<void> {
    if (this.unsynced) await this.sync()
    await this.apply(family, operations)
    this.unsynced = true
  }

  async sync(): Promise<void> {
    await this.wal.sync()
    this.unsynced = false
  }

  async apply(family: Family, operations: ReadonlyArray<Operation>): Promise<void> {
    const batch = this.sessions[family].write({ capacity: Math.max(32, operations.length) })
    try {
      for (const operation of operations) {
        if (operation._tag === "Put") batch.tryPut(operation.key, operation.value)
        else if (operation._tag === "Delete") batch.tryDelete(operation.key)
        else batch.tryDeleteRange(operation.start, operation.end)
      }
      await batch.flush()
    } finally {
      batch.destroy()
    }
    this.wal.wrote()
  }
}

/** The reads that are under way, so that what none of them can see any more may be deleted. */
class OpenReads {
  private readonly open = new Set<Promise<unknown>>()

  counted<A>(read: () => Promise<A>): Promise<A> {
    const reading = read()
    const ended = () => {
      this.open.delete(reading)
    }
    this.open.add(reading)
    reading.then(ended, ended)
    return reading
  }

  /** Ends with the reads that are under way now. */
  readonly settled: Effect.Effect<void> = Effect.promise(() => Promise.allSettled(this.open).then(() => undefined))
}

const multiGet = async (
  session: RocksDB,
  keys: ReadonlyArray<Uint8Array>
): Promise<ReadonlyArray<Uint8Array | undefined>> => {
  const batch = session.read({ capacity: keys.length })
  try {
    const values = keys.map((key) => batch.get(key))
    batch.tryFlush()
    return (await Promise.all(values)).map((value) => value ?? undefined)
  } finally {
    batch.destroy()
  }
}

const reader = (promised: Promised, sessionOf: (family: Family) => RocksDB, reads: OpenReads): Reader => {
  const session = (family: FamilyChoice) => sessionOf(typeof family === "function" ? family() : family)
  return readerOf(session, (operation, read) => promised(operation, () => reads.counted(read)))
}

const readerOf = (
  session: (family: FamilyChoice) => RocksDB,
  counted: Promised
): Reader => ({
  get: (family, key) => {
    checkBytes("key", key)
    return Effect.map(counted("read", () => session(family).get(key)), (value) => value ?? undefined)
  },
  getMany: (family, keys) => {
    if (keys.length === 0) return Effect.succeed([])
    for (const key of keys) checkBytes("key", key)
    return counted("read", () => multiGet(session(family), keys))
  },
  scan: (family, range, take) => {
    checkRange(range.gte, range.lt)
    const limit = range.limit ?? Number.MAX_SAFE_INTEGER
    if (limit < 1) return Effect.void
    return counted("scan", async () => {
      const iterator = session(family).iterator(
        { gte: range.gte, lt: range.lt },
        {
          capacity: Math.min(limit + 1, iteratorCapacity),
          ...(limit === Number.MAX_SAFE_INTEGER ? {} : { limit }),
          ...(range.reverse === true ? { reverse: true } : {}),
          ...(range.keysOnly === true ? { values: false } : {})
        }
      )
      // Leaving the loop early destroys the iterator; a live one would keep `close` waiting for ever.
      for await (const { key, value } of iterator) {
        if (!take({ key, value: value ?? empty })) break
      }
    })
  }
})

const empty = new Uint8Array(0)

/** RocksDB keeps up to a thousand rotated info logs and deletes none while it is open. */
const removeOldInfoLogs = (path: string): void => {
  for (const name of readdirSync(path)) {
    if (name.startsWith("LOG.old.")) rmSync(join(path, name), { force: true })
  }
}

/** What RocksDB says when it cannot open, as the error that tells what to do. */
const openError = (path: string, cause: unknown): OpenError => {
  const message = cause instanceof Error ? cause.message : String(cause)
  if (/lock file|lock hold/i.test(message)) {
    return new DataDirRefused({
      path,
      reason: "locked",
      expected: "a directory no other process uses",
      found: message,
      hint: "Another FlareDB process runs on this directory; stop it, or start this node with its own --data-dir."
    })
  }
  if (/is not a directory|Not a directory/i.test(message)) {
    return new DataDirRefused({
      path,
      reason: "not-a-directory",
      expected: "a directory",
      found: message,
      hint: "Give another --data-dir, or move the file away."
    })
  }
  if (/Column famil/i.test(message)) {
    return new DataDirRefused({
      path,
      reason: "foreign",
      expected: `the column families ${families.join(", ")}`,
      found: message,
      hint: "This is another program's database; give another --data-dir."
    })
  }
  if (/corrupt|checksum|mismatch|CURRENT|MANIFEST|No such file|ahead of WALs|Footer/i.test(message)) {
    return new StorageCorruption({
      path,
      detail: message,
      safe: "nothing can be read here; the other nodes hold every acknowledged write"
    })
  }
  return new StorageIoError({ operation: "open", path, cause })
}

/**
 * Refuses a directory that another process has open; RocksDB takes its lock before it reads anything, and not at all
 * when it opens read-only. So it is asked to open without the families, which it refuses once it has the lock. Only
 * its info log changes.
 */
export const requireUnused = (path: string): Effect.Effect<void, OpenError> =>
  Effect.gen(function*() {
    const unusable = yield* Effect.try({ try: () => unusableFile(path), catch: (cause) => openError(path, cause) })
    if (unusable !== undefined) return yield* unusable
    const native = yield* NativeModule.load
    const opened = yield* Effect.tryPromise({
      try: async () => {
        const probe = new native.default(path, { createIfMissing: false })
        await probe.ready()
        await probe.close()
      },
      catch: (cause) => cause
    }).pipe(Effect.result)
    if (opened._tag === "Success") return yield* openError(path, new Error("Column families are missing"))
    if (/Column families not opened/.test(String(opened.failure))) return
    return yield* openError(path, opened.failure)
  })

/** What RocksDB counts on, to be compared with what its directory has. */
const liveFiles = (path: string, sessions: Record<Family, RocksDB>): LiveFileSource => ({
  path,
  tables: async () => {
    const properties = await Promise.all(families.map((family) => sessions[family].getProperty("rocksdb.sstables")))
    return properties.flatMap((property = "") => tablesIn(property))
  },
  oldestWal: async () => Number(await sessions.raft_log.getProperty("rocksdb.min-log-number-to-keep") ?? 0)
})

/** Flushes and compactions that failed in the background, of all families. */
const backgroundErrors = async (sessions: Record<Family, RocksDB>): Promise<number> => {
  const counts = await Promise.all(families.map((family) => sessions[family].getProperty("rocksdb.background-errors")))
  return counts.reduce((sum, count = "0") => sum + Number(count), 0)
}

/** Fails when files that RocksDB counts on are gone, or its background work failed. */
const checkDirectory = async (
  wal: WalSync,
  files: LiveFileSource,
  sessions: Record<Family, RocksDB>,
  tablesToo: boolean
): Promise<void> => {
  const { path } = files
  await wal.check()
  const missing = missingManifest(path) ?? await missingWal(files, wal.known) ??
    (tablesToo ? await missingTable(files) : undefined)
  if (missing !== undefined) throw new DataDirLost({ path, detail: `${missing} is not there any more` })
  const errors = await backgroundErrors(sessions)
  if (errors > 0) throw new Error(`RocksDB reports ${errors} failed flushes or compactions; its LOG says why`)
}

const open = Effect.fnUntraced(function*(options: OpenOptions) {
  const { path } = options
  const native = yield* NativeModule.load
  const unusable = yield* Effect.try({ try: () => unusableFile(path), catch: (cause) => openError(path, cause) })
  if (unusable !== undefined) return yield* unusable
  const failure = new FirstFailure(path)
  const promised = promisedIn(path, failure)
  const writeBufferSize = options.writeBufferBytes ?? 8 * 1024 * 1024
  const database = yield* Effect.acquireRelease(
    Effect.tryPromise({
      try: async () => {
        if (options.readOnly !== true) removeOldInfoLogs(path)
        const opened = new native.default(path, {
          // Point-in-time recovery: after a torn tail it opens with a clean prefix.
          walRecoveryMode: 2,
          maxBackgroundJobs: 4,
          // RocksDB takes ten of them for its other files.
          maxOpenFiles: options.maxOpenTables === undefined ? -1 : options.maxOpenTables + 10,
          writeBufferSize,
          keyEncoding: boundEncoding,
          createIfMissing: options.create,
          createMissingColumnFamilies: options.create,
          readOnly: options.readOnly === true,
          // The log is read by range, so a bloom filter would only cost memory.
          columnFamilies: [
            new native.ColumnFamily("raft_log", { writeBufferSize, filterPolicy: null }),
            ...families.slice(1)
          ]
        })
        await opened.ready()
        return opened
      },
      catch: (cause) => openError(path, cause)
    }),
    (opened) => closeWithin(closeTimeoutMs, path, opened)
  )
  const sessions = Object.fromEntries(
    families.map((family) => [family, database.columnFamily(family, { keyEncoding: null })])
  ) as Record<
    Family,
    RocksDB
  >
  const metrics = yield* StorageMetrics.make
  const syncing = options.unsafeNoFsync !== true && options.readOnly !== true
  const wal = yield* Effect.acquireRelease(
    Effect.try({
      try: () => new WalSync(database, syncing, metrics.synced),
      catch: (cause) => failureIn("open", path, cause)
    }),
    (sync) => Effect.sync(() => sync.close())
  )
  const gate = new WriteGate(sessions, wal, failure)
  const reads = new OpenReads()
  const direct = reader(promised, (family) => sessions[family], reads)
  const rowsOf = new Map<Family, StateRows>()
  const rows = (family: Family): StateRows => {
    const known = rowsOf.get(family)
    if (known !== undefined) return known
    const made = new StateRows({
      write: (operations) => gate.enter(() => gate.writeLazy(family, operations)),
      read: (keys) => multiGet(sessions[family], keys)
    }, defaultRowLimits)
    rowsOf.set(family, made)
    return made
  }
  const drain = async (): Promise<void> => {
    for (const made of rowsOf.values()) await made.drain()
  }
  const drained = promised("write", drain)
  const sync = promised("sync", async () => {
    await drain()
    await gate.enter(() => gate.sync())
  })
  if (options.readOnly !== true) {
    yield* Effect.addFinalizer(() => Effect.suspend(() => failure.error === undefined ? closing(sync) : Effect.void))
  }

  /** Deleted ranges whose room is to be given back, the latest of each family. */
  const deleted = new Map<Family, { readonly start: Uint8Array; readonly end: Uint8Array }>()
  const deletions = yield* Queue.sliding<void>(1)
  const reclaim = Effect.suspend(() => {
    const ranges = [...deleted]
    deleted.clear()
    return promised("reclaim", async () => {
      for (const family of families) await sessions[family].flush()
      for (const [family, { end, start }] of ranges) await sessions[family].compactRange(bound(start), bound(end))
    })
  })
  if (options.readOnly !== true) {
    yield* Queue.take(deletions).pipe(
      Effect.andThen(reclaim),
      Effect.andThen(Effect.sleep(reclaimPause)),
      Effect.forever,
      (reclaiming) => failure.inBackground("reclaim", reclaiming)
    )
    const files = liveFiles(path, sessions)
    let checks = 0
    yield* Effect.suspend(() =>
      promised("check", () => checkDirectory(wal, files, sessions, ++checks % checksBetweenTables === 0))
    ).pipe(
      Effect.andThen(Effect.sleep(checkInterval)),
      Effect.forever,
      (checking) => failure.inBackground("check", checking)
    )
  }

  return RocksDb.of({
    get: direct.get,
    getMany: (choice, keys) => {
      for (const key of keys) checkBytes("key", key)
      return Effect.suspend(() => {
        const family = typeof choice === "function" ? choice() : choice
        if (options.readOnly === true || !isState(family)) return direct.getMany(family, keys)
        const values = rows(family).getMany(keys)
        return Array.isArray(values)
          ? Effect.succeed(values)
          : promised("read", () => reads.counted(() => values))
      })
    },
    scan: (family, range, take) => Effect.andThen(drained, direct.scan(family, range, take)),
    path,
    failure,
    commit: (family, operations) => {
      if (!isState(family)) throw new TypeError(`${family} is no state family`)
      for (const operation of operations) checkOperation(operation)
      return Effect.suspend(() => {
        if (failure.error !== undefined) return Effect.fail(failure.error)
        const waiting = rows(family).commit(operations)
        return waiting === undefined ? Effect.void : promised("write", () => waiting)
      })
    },
    write: (family, operations, durability) => {
      for (const operation of operations) checkOperation(operation)
      return promised("write", async () => {
        await drain()
        await gate.enter(() =>
          durability === "durable" ? gate.writeDurable(family, operations) : gate.writeLazy(family, operations)
        )
        rowsOf.get(family)?.forget()
      })
    },
    writeAll: (batches) => {
      for (const { operations } of batches) {
        for (const operation of operations) checkOperation(operation)
      }
      return promised("write", () =>
        gate.enter(async () => {
          // Between two families order is enough. Within one, a power loss that kept the later batch of two WAL files
          // would leave a gap, so the earlier one is made durable first.
          const unsynced = new Set<Family>()
          for (const { family, operations } of batches) {
            if (unsynced.has(family)) {
              await gate.sync()
              unsynced.clear()
            }
            await gate.apply(family, operations)
            unsynced.add(family)
          }
          await gate.sync()
        }))
    },
    sync,
    snapshot: (also) =>
      Effect.map(drained, () => {
        const snapshot = database.snapshot()
        const open = new Map<Family, RocksDB>()
        const session = (family: Family) => {
          const known = open.get(family)
          if (known !== undefined) return known
          const opened = snapshot.columnFamily(family, { keyEncoding: null })
          open.set(family, opened)
          return opened
        }
        return {
          also: also(),
          // Whoever reads a snapshot is not in the way of a deletion.
          reader: reader(promised, session, new OpenReads()),
          // Each of these holds the snapshot by itself, and RocksDB keeps every value that it can see.
          close: Effect.promise(() => Promise.allSettled([...open.values(), snapshot].map((held) => held.close())))
        }
      }),
    readsSettled: reads.settled,
    approximateBytes: (family, start, end) => {
      checkRange(start, end)
      return promised(
        "estimate",
        () => sessions[family].approximateSize(bound(start), bound(end), { includeMemtables: true })
      )
    },
    flush: (family) => promised("flush", () => sessions[family].flush()),
    reclaimUnsafe: (family, start, end) => {
      checkRange(start, end)
      deleted.set(family, { start, end })
      Queue.offerUnsafe(deletions, undefined)
    },
    syncStats: () => wal.stats
  })
})

/**
 * Work that is left for the close. There is no caller who could be told of its failure: it is logged, and the close
 * itself fails with it, so that a process ends with an exit code other than 0.
 */
export const closing = (work: Effect.Effect<void, StorageError>): Effect.Effect<void> =>
  work.pipe(Effect.tapError((error) => Effect.logFatal(`at close: ${error.message}`)), Effect.orDie)

/**
 * `close` of the binding waits for ever while an iterator or batch is alive; that would be our bug, and is reported.
 */
const closeWithin = (timeoutMs: number, path: string, database: RocksDB): Effect.Effect<void> =>
  Effect.promise(() => {
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<"late">((done) => {
      timer = setTimeout(() => done("late"), timeoutMs)
    })
    const closed = database.close().then(() => "closed" as const, (error: unknown) => failureIn("close", path, error))
    return Promise.race([closed, timeout]).finally(() => clearTimeout(timer))
  }).pipe(
    Effect.flatMap((outcome) => {
      if (outcome === "closed") return Effect.void
      // Everything was synced before, or its failure has been reported.
      return Effect.logError(
        outcome === "late" ? `closing ${path} took longer than ${timeoutMs} ms; left open` : outcome.message
      )
    })
  )
