/**
 * The one door to RocksDB: scoped open and close, reads, and a single write gate. No other file imports the binding.
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
 */
import { Context, Effect, Layer } from "effect"
import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, rmSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import RocksDB, { ColumnFamily } from "rocksdb-native"
import type { OpenError } from "./StorageError.ts"
import { DataDirRefused, StorageCorruption, StorageIoError } from "./StorageError.ts"
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

/** Reads, of the newest state or of one moment. */
export interface Reader {
  readonly get: (family: Family, key: Uint8Array | string) => Effect.Effect<Uint8Array | undefined, StorageIoError>
  /** One round trip for all keys, and one moment. */
  readonly getMany: (
    family: Family,
    keys: ReadonlyArray<Uint8Array>
  ) => Effect.Effect<ReadonlyArray<Uint8Array | undefined>, StorageIoError>
  /** Rows in order until the range, the limit or `take` ends it: `take` answers whether to go on after a row. */
  readonly scan: (
    family: Family,
    range: RangeOptions,
    take: (row: Row) => boolean
  ) => Effect.Effect<void, StorageIoError>
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
}

export class RocksDb extends Context.Service<
  RocksDb,
  Reader & {
    readonly path: string
    /** One atomic batch in one family. `durable` returns after the sync that covers it and everything before it. */
    readonly write: (
      family: Family,
      operations: ReadonlyArray<Operation>,
      durability: "durable" | "lazy"
    ) => Effect.Effect<void, StorageIoError>
    /** Several batches in order, durable when it returns: one sync, and one more before a family's next batch. */
    readonly writeAll: (
      batches: ReadonlyArray<{ readonly family: Family; readonly operations: ReadonlyArray<Operation> }>
    ) => Effect.Effect<void, StorageIoError>
    readonly sync: Effect.Effect<void, StorageIoError>
    readonly withSnapshot: <A, E, R>(use: (reader: Reader) => Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
    readonly syncStats: () => SyncStats
  }
>()("flaredb/storage/RocksDb") {
  static readonly layer = (options: OpenOptions): Layer.Layer<RocksDb, OpenError> =>
    Layer.effect(RocksDb, open(options))
}

/** Rows fetched per trip to the thread pool; 512 block the event loop for about a millisecond. */
const iteratorCapacity = 512

/** A close that takes longer than this is reported and left behind: the process is about to end anyway. */
const closeTimeoutMs = 5_000

const ioError = (operation: string, path: string) => (cause: unknown): StorageIoError =>
  new StorageIoError({
    operation,
    path,
    cause: cause instanceof Error && cause.cause !== undefined ? cause.cause : cause
  })

/** Runs a promise to its end even when the fiber is interrupted: a write that began cannot be taken back. */
const promised = <A>(operation: string, path: string, run: () => Promise<A>): Effect.Effect<A, StorageIoError> =>
  Effect.uninterruptible(Effect.tryPromise({ try: run, catch: ioError(operation, path) }))

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
  private tail: Promise<void> = Promise.resolve()
  private failure: unknown
  private unsynced = false

  constructor(sessions: Record<Family, RocksDB>, wal: WalSync) {
    this.sessions = sessions
    this.wal = wal
  }

  enter(work: () => Promise<void>): Promise<void> {
    const turn = this.tail.then(async () => {
      if (this.failure !== undefined) throw this.failure
      try {
        await work()
      } catch (error) {
        this.failure = error
        throw error
      }
    })
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

const reader = (path: string, session: (family: Family) => RocksDB): Reader => ({
  get: (family, key) => {
    checkBytes("key", key)
    return Effect.map(promised("read", path, () => session(family).get(key)), (value) => value ?? undefined)
  },
  getMany: (family, keys) => {
    if (keys.length === 0) return Effect.succeed([])
    for (const key of keys) checkBytes("key", key)
    return promised("read", path, async () => {
      const batch = session(family).read({ capacity: keys.length })
      try {
        const values = keys.map((key) => batch.get(key))
        batch.tryFlush()
        return (await Promise.all(values)).map((value) => value ?? undefined)
      } finally {
        batch.destroy()
      }
    })
  },
  scan: (family, range, take) => {
    checkRange(range.gte, range.lt)
    const limit = range.limit ?? Number.MAX_SAFE_INTEGER
    if (limit < 1) return Effect.void
    return promised("scan", path, async () => {
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

/** Creates the directory and makes its name durable; RocksDB syncs what is inside, not the entry in the parent. */
export const createDirectory = (path: string): void => {
  mkdirSync(path, { recursive: true })
  const parent = openSync(dirname(resolve(path)), "r")
  try {
    fsyncSync(parent)
  } finally {
    closeSync(parent)
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

const open = Effect.fnUntraced(function*(options: OpenOptions) {
  const { path } = options
  const writeBufferSize = options.writeBufferBytes ?? 8 * 1024 * 1024
  const database = yield* Effect.acquireRelease(
    Effect.tryPromise({
      try: async () => {
        if (options.readOnly !== true) removeOldInfoLogs(path)
        const opened = new RocksDB(path, {
          // Point-in-time recovery: after a torn tail it opens with a clean prefix.
          walRecoveryMode: 2,
          maxBackgroundJobs: 4,
          writeBufferSize,
          createIfMissing: options.create,
          createMissingColumnFamilies: options.create,
          readOnly: options.readOnly === true,
          // The log is read by range, so a bloom filter would only cost memory.
          columnFamilies: [new ColumnFamily("raft_log", { writeBufferSize, filterPolicy: null }), ...families.slice(1)]
        })
        await opened.ready()
        return opened
      },
      catch: (cause) => openError(path, cause)
    }),
    (opened) => closeWithin(closeTimeoutMs, path, opened)
  )
  const sessions = Object.fromEntries(families.map((family) => [family, database.columnFamily(family)])) as Record<
    Family,
    RocksDB
  >
  const syncing = options.unsafeNoFsync !== true && options.readOnly !== true
  const wal = yield* Effect.acquireRelease(
    Effect.try({ try: () => new WalSync(database, syncing), catch: ioError("open", path) }),
    (sync) => Effect.sync(() => sync.close())
  )
  const gate = new WriteGate(sessions, wal)
  if (options.readOnly !== true) {
    yield* Effect.addFinalizer(() =>
      promised("sync at close", path, () => gate.enter(() => gate.sync())).pipe(
        Effect.catch((error) => Effect.logError(error.message))
      )
    )
  }

  return RocksDb.of({
    ...reader(path, (family) => sessions[family]),
    path,
    write: (family, operations, durability) => {
      for (const operation of operations) checkOperation(operation)
      return promised(
        "write",
        path,
        () =>
          gate.enter(() =>
            durability === "durable" ? gate.writeDurable(family, operations) : gate.writeLazy(family, operations)
          )
      )
    },
    writeAll: (batches) => {
      for (const { operations } of batches) {
        for (const operation of operations) checkOperation(operation)
      }
      return promised("write", path, () =>
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
    sync: promised("sync", path, () => gate.enter(() => gate.sync())),
    withSnapshot: (use) =>
      Effect.acquireUseRelease(
        Effect.sync(() => {
          const snapshot = database.snapshot()
          return { snapshot, sessions: new Map<Family, RocksDB>() }
        }),
        ({ snapshot, sessions: open }) =>
          use(reader(path, (family) => {
            const known = open.get(family)
            if (known !== undefined) return known
            const session = snapshot.columnFamily(family)
            open.set(family, session)
            return session
          })),
        ({ snapshot }) => Effect.promise(() => snapshot.close().catch(() => undefined))
      ),
    syncStats: () => wal.stats
  })
})

/** `close` of the binding waits for ever while an iterator or batch is alive; that would be our bug, and is reported. */
const closeWithin = (timeoutMs: number, path: string, database: RocksDB): Effect.Effect<void> =>
  Effect.promise(() => {
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<"late">((done) => {
      timer = setTimeout(() => done("late"), timeoutMs)
    })
    return Promise.race([database.close().then(() => "closed" as const, () => "closed" as const), timeout]).finally(
      () => clearTimeout(timer)
    )
  }).pipe(
    Effect.flatMap((outcome) =>
      outcome === "closed"
        ? Effect.void
        : Effect.logError(`closing ${path} took longer than ${timeoutMs} ms; left open`)
    )
  )
