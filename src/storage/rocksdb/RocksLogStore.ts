/**
 * The durable log of a data directory: entries in an `EntryStore`, all else in the database, and a floor beside both
 * that tells the next start how far the entries must reach.
 */
import { Effect, Layer, Semaphore } from "effect"
import { coalescedSleep } from "../../CoalescedSleep.ts"
import { entryBytes } from "../../raft/Config.ts"
import type { Entry, LogIndex, LogPoint } from "../../raft/Types.ts"
import { DataDir } from "../DataDir.ts"
import { hasSegments } from "../DirectoryMarker.ts"
import { readFloor } from "../DurableFloor.ts"
import type { EntryStore } from "../EntryStore.ts"
import { readRecords } from "../LogRecords.ts"
import type { LogWrite, RecoveredLog } from "../LogStore.ts"
import { LogStore } from "../LogStore.ts"
import { findSegments } from "../segments/EntrySegments.ts"
import type { StorageError } from "../StorageError.ts"
import { closing } from "./Closing.ts"
import { findRows } from "./EntryRows.ts"
import { LogFloor } from "./LogFloor.ts"
import { finishReset, restartAfter, restartFloor, writeCompacted } from "./LogRemovals.ts"
import { RocksDb } from "./RocksDb.ts"
import { recoverState } from "./StateFamilies.ts"

/**
 * Bytes of entries after which the hard state is written to a table. It is a few rows in each term, and as long as one
 * of them is only in a write-ahead log, RocksDB keeps that file and all that follow, and reads them at the next start.
 */
const entryBytesBetweenFlushes = 16 * 1024 * 1024

/** How often the durable floor follows the log. */
const floorMs = 1_000

class RocksLog {
  private readonly database: RocksDb["Service"]
  private readonly path: string
  private readonly entries: EntryStore
  private readonly floor: LogFloor
  private compacted: LogPoint
  /** Since the hard state was last flushed. */
  private appendedBytes = 0

  constructor(
    database: RocksDb["Service"],
    path: string,
    entries: EntryStore,
    floor: LogFloor,
    compacted: LogPoint
  ) {
    this.database = database
    this.path = path
    this.entries = entries
    this.floor = floor
    this.compacted = compacted
  }

  /** Writes the hard state to a table once enough entries came after it. */
  readonly releaseLogFiles: Effect.Effect<void, StorageError> = Effect.suspend(() => {
    if (this.appendedBytes < entryBytesBetweenFlushes) return Effect.void
    this.appendedBytes = 0
    return this.database.flush("raft_state")
  })

  append(writes: ReadonlyArray<LogWrite>): Effect.Effect<void, StorageError> {
    if (writes.length === 0) return Effect.void
    const truncates = writes.some((write) => write.truncateFrom !== undefined)
    const written = Effect.map(this.entries.write(writes), () => this.wrote(writes))
    if (!truncates) return written
    const forgotten = Effect.sync(() => this.floor.forgetTail(writes, this.compacted))
    const removed = Effect.andThen(forgotten, written)
    const lowered = Effect.suspend(() => this.floor.lower(writes, (index) => this.pointAt(index)))
    // How low the floor has to go is decided under its lock. What was written is known as written even when the node
    // is asked to stop in the middle: the floor that is raised last must not speak of entries that are gone.
    return Effect.uninterruptible(Semaphore.withPermit(this.floor.lock, Effect.andThen(lowered, removed)))
  }

  read(from: LogIndex, through: LogIndex, maxBytes: number): Effect.Effect<ReadonlyArray<Entry>, StorageError> {
    return Effect.suspend(() =>
      from > through || from <= this.compacted.index
        ? Effect.succeed([])
        : this.entries.read(from, through, maxBytes)
    )
  }

  compact(through: LogPoint): Effect.Effect<void, StorageError> {
    return Semaphore.withPermit(this.floor.lock, this.removeBeginning(through))
  }

  reset(point: LogPoint): Effect.Effect<void, StorageError> {
    return Semaphore.withPermit(this.floor.lock, this.restart(point))
  }

  /** The point first: entries below it are removed by the next start, a log without a head would be refused. */
  private readonly removeBeginning = Effect.fnUntraced({ self: this }, function*(
    this: RocksLog,
    { index, term }: LogPoint
  ) {
    if (index <= this.compacted.index) return
    yield* writeCompacted(this.database, { index, term })
    this.compacted = { index, term }
    yield* this.entries.removeThrough(this.compacted)
  })

  private readonly restart = Effect.fnUntraced({ self: this }, function*(this: RocksLog, { index, term }: LogPoint) {
    const floor = restartFloor(this.floor.durableVote)
    yield* restartAfter(this.database, this.path, this.entries, { index, term }, floor)
    this.compacted = { index, term }
    this.floor.restartedAfter(this.compacted, floor)
  })

  private wrote(writes: ReadonlyArray<LogWrite>): void {
    for (const write of writes) {
      this.floor.wrote(write)
      for (const entry of write.entries) this.appendedBytes += entryBytes(entry)
    }
  }

  /** The point of an entry; where the log begins when that entry is not there, or not readable. */
  private pointAt(index: LogIndex): Effect.Effect<LogPoint, StorageError> {
    return this.read(index, index, 0).pipe(
      Effect.map(([entry]) => entry ?? this.compacted),
      Effect.catchTag("StorageCorruption", () => Effect.succeed(this.compacted))
    )
  }
}

/** Whether a log is one that a snapshot up to `point` leaves behind: it holds that entry, or begins later. */
const covers = ({ compacted, lastIndex, termRuns }: RecoveredLog, point: LogPoint): boolean => {
  if (point.index <= compacted.index) return true
  if (point.index > lastIndex) return false
  let term = compacted.term
  for (const run of termRuns) if (run.firstIndex <= point.index) term = run.term
  return term === point.term
}

/** The log on disk and its floor. What a crash interrupted is finished first. */
const recover = Effect.fnUntraced(function*(database: RocksDb["Service"], { marker, path, syncs }: DataDir["Service"]) {
  const floor = yield* readFloor(path)
  const records = yield* readRecords(database, path)
  const { entries, log } = hasSegments(marker)
    ? yield* findSegments(database, path, syncs, records, floor)
    : yield* findRows(database, path, records, floor)
  if (records.resetting) yield* finishReset(database, entries, records.compacted)
  const { installed } = yield* recoverState(database, path)
  if (installed === undefined || covers(log, installed)) return { floor, log, entries }
  yield* Effect.logWarning(
    `a snapshot through ${installed.index} was installed when the node stopped, and the log does not reach it: ` +
      "restarts it there"
  )
  const restarting = restartFloor(floor?.vote)
  yield* restartAfter(database, path, entries, installed, restarting)
  const restarted: RecoveredLog = {
    ...log,
    compacted: installed,
    lastIndex: installed.index,
    bytes: 0,
    lastTimestampMs: 0,
    termRuns: []
  }
  return { floor: restarting, log: restarted, entries }
})

const make = Effect.gen(function*() {
  const database = yield* RocksDb
  const directory = yield* DataDir
  const { path } = directory
  const { entries, floor: found, log: recovered } = yield* recover(database, directory)
  const floor = new LogFloor(path, found, recovered)
  const log = new RocksLog(database, path, entries, floor, recovered.compacted)

  yield* database.failure.inBackground(
    "follow the log",
    Effect.forever(Effect.andThen(floor.raise, Effect.andThen(log.releaseLogFiles, coalescedSleep(floorMs))))
  )
  yield* database.failure.inBackground("check the log", entries.watch)
  yield* Effect.addFinalizer(() =>
    closing(
      Effect.andThen(
        entries.close,
        Effect.suspend(() => database.failure.error === undefined ? floor.raise : Effect.void)
      )
    )
  )

  return LogStore.of({
    recovered,
    append: (writes) => log.append(writes),
    read: (from, through, maxBytes) => log.read(from, through, maxBytes),
    compact: (through) => log.compact(through),
    reset: (point) => log.reset(point),
    failed: database.failure.failed
  })
})

/** The log in the data directory of this node. */
export const layer = Layer.effect(LogStore, make)
