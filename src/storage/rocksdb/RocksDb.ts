/**
 * The one door to RocksDB: scoped open and close, reads, and writes through a single gate. No file outside of this
 * folder knows the binding, which `NativeModule.ts` loads, and every key, value and range is checked before it gets
 * there.
 *
 * The first error of any operation is final, also of one that no caller waits for: `failure` has it, and later writes
 * are refused. The directory is looked after too, because RocksDB does not notice when its files are removed.
 */
import type { Scope } from "effect"
import { Context, Effect, Layer, Queue } from "effect"
import { coalescedSleep } from "../../CoalescedSleep.ts"
import type { Promised } from "../DiskWork.ts"
import { DiskWork } from "../DiskWork.ts"
import { FirstFailure } from "../FirstFailure.ts"
import { LockWatch } from "../LockFile.ts"
import type { OpenError, StorageError } from "../StorageError.ts"
import { failureIn } from "../StorageError.ts"
import * as StorageMetrics from "../StorageMetrics.ts"
import type { RocksDB } from "./Binding.ts"
import { wholeCompactionOptions } from "./BlobFiles.ts"
import { closing } from "./Closing.ts"
import type { OpenOptions, Sessions } from "./Database.ts"
import { openDatabase, sessionOf, sessionsOf } from "./Database.ts"
import { checkDirectory, CheckIntervalMs, liveFiles, requireComplete } from "./DirectoryCheck.ts"
import { bound } from "./KeyBounds.ts"
import { KeyFilters } from "./KeyFilters.ts"
import * as KeyScans from "./KeyScans.ts"
import type { Family, Operation } from "./Operation.ts"
import { checkBytes, checkRange, isState } from "./Operation.ts"
import type { FamilyChoice, RangeOptions, Reader, Row, Snapshot, View } from "./Reader.ts"
import { familyOf, OpenReads, reader } from "./Reader.ts"
import { Reclaimer } from "./Reclaimer.ts"
import * as RocksMetrics from "./RocksMetrics.ts"
import type { RowView } from "./RowView.ts"
import type { SyncStats } from "../SyncCount.ts"
import { WalSync } from "./WalSync.ts"
import type { RowStore } from "./WriteBackCache.ts"
import { defaultCacheLimits, WriteBackCache } from "./WriteBackCache.ts"
import type { Batches } from "./Writes.ts"
import { Writes } from "./Writes.ts"

export class RocksDb extends Context.Service<
  RocksDb,
  Reader & {
    readonly path: string
    /**
     * The first failure, after which nothing is written any more. Services that write files beside the database record
     * theirs here.
     */
    readonly failure: FirstFailure
    /** Work on the directory, also that of services with files beside the database. Closes wait for it. */
    readonly work: DiskWork
    /** One atomic batch in one family. `durable` returns after the sync that covers it and everything before it. */
    readonly write: (
      family: Family,
      operations: ReadonlyArray<Operation>,
      durability: "durable" | "lazy"
    ) => Effect.Effect<void, StorageError>
    /**
     * Changes of a state family, as one with what the same call says about the applied index. Done when memory has
     * them: every read sees them from then on, and they are written later, in order, see `WriteBackCache.ts`. Of the
     * commits that are written together only the last one's `end` is asked for what to put behind their operations.
     */
    readonly commit: (
      family: Family,
      operations: ReadonlyArray<Operation>,
      end?: () => ReadonlyArray<Operation>
    ) => Effect.Effect<void, StorageError>
    /**
     * Several batches in order, durable when it returns: one sync, and one more before a family's next batch. Alone
     * among the writes it may overtake what was committed to a state family: it is for what that is computed from.
     */
    readonly writeAll: (
      batches: Batches
    ) => Effect.Effect<void, StorageError>
    readonly sync: Effect.Effect<void, StorageError>
    /** Takes a snapshot of a state family, without writing what only memory has. The caller has to close it. */
    readonly view: (family: FamilyChoice) => Effect.Effect<View, StorageError>
    /**
     * Takes a snapshot with everything that was committed before the call, all of it in tables or logs. The caller has
     * to close it. `also` is called as the snapshot is taken.
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
    /**
     * Removes a range so that what is written to the family before and after it need not be written again when the room
     * is given back. Durable when it returns.
     */
    readonly removeRange: (family: Family, start: Uint8Array, end: Uint8Array) => Effect.Effect<void, StorageError>
    /** Has the room of a deleted range given back, in the background. The latest range of a family stands for all. */
    readonly reclaimUnsafe: (family: Family, start: Uint8Array, end: Uint8Array) => void
    /**
     * Gives back all room that a family does not need, at once: its tables are written again. It may take minutes, and
     * holds a thread meanwhile.
     */
    readonly compact: (family: Family) => Effect.Effect<void, StorageError>
    /** Writes what a family has in memory to a table. */
    readonly flush: (family: Family) => Effect.Effect<void, StorageError>
    readonly syncStats: () => SyncStats
  }
>()("flaredb/storage/RocksDb") {
  static readonly layer = (options: OpenOptions): Layer.Layer<RocksDb, OpenError> =>
    Layer.effect(RocksDb, open(options))
}

/**
 * Of each family: its keys begin with the byte of a kind, with a number below 2^53 or with a letter. The binding takes
 * no open range.
 */
const everyKey = [bound(Uint8Array.of(0)), bound(Uint8Array.of(0xff))] as const

const compactIn = (sessions: Sessions, promised: Promised): RocksDb["Service"]["compact"] => (family) =>
  promised("compact", async () => {
    await sessions[family].flush()
    await sessions[family].compactRange(...everyKey, wholeCompactionOptions)
  })

/** Looks at all tables every so many checks: RocksDB lists them, which takes longer the more there are. */
const checksBetweenTables = 10

/** Takes a snapshot of the database. Each family that is read holds it by itself, until all of it is closed. */
const snapshotOf = (database: RocksDB, promised: Promised): Snapshot => {
  const snapshot = database.snapshot()
  const open = new Map<Family, RocksDB>()
  const session = (family: Family) => {
    const known = open.get(family)
    if (known !== undefined) return known
    const opened = sessionOf(snapshot, family)
    open.set(family, opened)
    return opened
  }
  return {
    // A deletion need not wait for the reads of a snapshot.
    reader: reader(promised, session, new OpenReads()),
    // Each of these holds the snapshot by itself, and RocksDB keeps every value that it can see.
    close: Effect.promise(() => Promise.allSettled([...open.values(), snapshot].map((held) => held.close())))
  }
}

const viewOf = (rows: RowView, promised: Promised): View => ({
  getMany: (keys) => {
    for (const key of keys) checkBytes("key", key)
    return promised("read", () => rows.getMany(keys))
  },
  scan: (range, take) => {
    checkRange(range.gte, range.lt)
    return promised("scan", () => rows.scan(range, take))
  },
  close: Effect.promise(() => rows.close())
})

/** Looks after the directory within the scope, and measures what is in it. */
const watchDirectory = (
  database: RocksDB,
  wal: WalSync,
  sessions: Sessions,
  promised: Promised,
  failure: FirstFailure
): Effect.Effect<void, never, Scope.Scope> => {
  const { path } = database
  const files = liveFiles(path, sessions)
  const lock = new LockWatch(path)
  let checks = 0
  const check = Effect.suspend(() =>
    promised("check", () => checkDirectory(wal, lock, files, database, ++checks % checksBetweenTables === 0))
  )
  return Effect.flatMap(CheckIntervalMs, (everyMs) =>
    Effect.andThen(
      failure.inBackground("check", Effect.forever(Effect.andThen(check, coalescedSleep(everyMs)))),
      RocksMetrics.watch(path, sessions)
    ))
}

const openWalSync = Effect.fnUntraced(function*(database: RocksDB, enabled: boolean, work: DiskWork) {
  const { synced } = yield* StorageMetrics.make
  return yield* Effect.acquireRelease(
    Effect.try({
      try: () => new WalSync(database, enabled, synced),
      catch: (cause) => failureIn("open", database.path, cause)
    }),
    (sync) => Effect.promise(() => work.whenIdle(() => sync.close()))
  )
})

const open = Effect.fnUntraced(function*(options: OpenOptions) {
  const { path, readOnly = false } = options
  const failure = new FirstFailure(path)
  const work = new DiskWork(path, failure)
  const { promised } = work
  const database = yield* openDatabase(options, work)
  const sessions = sessionsOf(database)
  yield* requireComplete(path, sessions)
  const wal = yield* openWalSync(database, options.unsafeNoFsync !== true && !readOnly, work)
  const scans = yield* KeyScans.makeQueue
  const limits = { ...defaultCacheLimits, ...options.cacheLimits }
  const filtersOf = (family: Family) =>
    new KeyFilters(limits.filters, (firstByte) => Queue.offerUnsafe(scans, { family, firstByte }))
  const cacheOf = (family: Family, store: RowStore) => new WriteBackCache(store, limits, filtersOf(family))
  const writes = new Writes(sessions, wal, work, failure, cacheOf)
  if (!readOnly) {
    const synced = Effect.suspend(() => failure.error === undefined ? closing(writes.sync) : Effect.void)
    yield* Effect.addFinalizer(() => synced)
  }
  const reclaimer = yield* Reclaimer.make(sessions, promised, failure)
  if (!readOnly) yield* watchDirectory(database, wal, sessions, promised, failure)

  const reads = new OpenReads()
  const direct = reader(promised, (family) => sessions[family], reads)
  const getMany: Reader["getMany"] = (choice, keys) => {
    for (const key of keys) checkBytes("key", key)
    return Effect.suspend(() => {
      const family = familyOf(choice)
      if (readOnly || !isState(family)) return direct.getMany(family, keys)
      return promised("read", () => reads.counted(() => writes.cache(family).getMany(keys)))
    })
  }

  const view = (choice: FamilyChoice): Effect.Effect<View, StorageError> =>
    Effect.suspend(() => Effect.map(writes.openView(familyOf(choice)), (rows) => viewOf(rows, promised)))
  const stored = (family: Family) => ({
    flushed: writes.flushed,
    scan: (range: RangeOptions, take: (row: Row) => boolean) => direct.scan(family, range, take)
  })
  yield* KeyScans.run(scans, (family) => writes.cache(family).filters, stored, failure)

  return RocksDb.of({
    path,
    failure,
    work,
    get: direct.get,
    getMany,
    scan: (choice, range, take) => {
      checkRange(range.gte, range.lt)
      return Effect.suspend(() => {
        const family = familyOf(choice)
        if (readOnly || !isState(family)) return direct.scan(family, range, take)
        return Effect.acquireUseRelease(view(family), ({ scan }) => scan(range, take), ({ close }) => close)
      })
    },
    view,
    commit: (family, operations, end) => writes.commit(family, operations, end),
    write: (family, operations, durability) => writes.write(family, operations, durability),
    writeAll: (batches) => writes.writeAll(batches),
    sync: writes.sync,
    snapshot: (also) => Effect.map(writes.flushed, () => ({ ...snapshotOf(database, promised), also: also() })),
    readsSettled: reads.settled,
    approximateBytes: (family, start, end) => {
      checkRange(start, end)
      const range = [bound(start), bound(end)] as const
      return promised("estimate", () => sessions[family].approximateSize(...range, { includeMemtables: true }))
    },
    removeRange: (family, start, end) => writes.removeRange(family, start, end),
    compact: compactIn(sessions, promised),
    flush: (family) => promised("flush", () => sessions[family].flush()),
    reclaimUnsafe: (family, start, end) => reclaimer.reclaimUnsafe(family, start, end),
    syncStats: () => wal.stats
  })
})
