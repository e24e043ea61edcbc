/**
 * The durable log on RocksDB. One `append` is: hard state (when it changed), then truncation and entries, then one
 * sync. The order matters and atomicity does not: entries whose hard state was lost would be unexplained, a hard
 * state without its entries is merely ahead.
 */
import { Effect, Layer, Semaphore } from "effect"
import { coalescedSleep } from "../../CoalescedSleep.ts"
import { CodecError } from "../../bytes/CodecError.ts"
import { entryBytes } from "../../raft/Config.ts"
import type { Entry, LogPoint } from "../../raft/Types.ts"
import { addIndex, LogIndex, minIndex, origin } from "../../raft/Types.ts"
import { logEnd, logKey } from "../Codec.ts"
import { DataDir } from "../DataDir.ts"
import { readFloor } from "../DurableFloor.ts"
import type { LogWrite, RecoveredLog } from "../LogStore.ts"
import { LogStore } from "../LogStore.ts"
import { entryOfRow } from "../LogCheck.ts"
import { LogScrub } from "../LogScrub.ts"
import { EntriesReadAtStart, recoverLog } from "../RecoveredLog.ts"
import { closing } from "./Closing.ts"
import { batches } from "./LogBatches.ts"
import { LogFloor } from "./LogFloor.ts"
import { finishCompaction, finishReset, removeThrough, restartAfter, writeCompacted } from "./LogRemovals.ts"
import { RocksDb } from "./RocksDb.ts"
import { recoverState } from "./StateFamilies.ts"
import type { StorageError } from "../StorageError.ts"
import { StorageCorruption } from "../StorageError.ts"

/**
 * Bytes of entries after which the hard state is written to a table. It is a few rows in each term, and as long as one
 * of them is only in a write-ahead log, RocksDB keeps that file and all that follow, and reads them at the next start.
 */
const entryBytesBetweenFlushes = 16 * 1024 * 1024

/** How often the durable floor follows the log. */
const floorMs = 1_000

/** Bytes of rows that one trip to RocksDB should bring, by the largest of those read lately. */
const tripBytes = 2 * 1024 * 1024

/** Rows of one trip: to begin with, and at most. Each may have a megabyte where all before it were small. */
const firstRowsAtOnce = 8
const maxRowsAtOnce = 128

class RocksLog {
  private readonly database: RocksDb["Service"]
  private readonly path: string
  private readonly floor: LogFloor
  private readonly scrub: LogScrub
  private compacted: LogPoint
  /** Since the hard state was last flushed. */
  private appendedBytes = 0
  private rowsAtOnce = firstRowsAtOnce

  constructor(database: RocksDb["Service"], path: string, floor: LogFloor, scrub: LogScrub, compacted: LogPoint) {
    this.database = database
    this.path = path
    this.floor = floor
    this.scrub = scrub
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
    const written = Effect.map(this.database.writeAll(batches(writes)), () => this.wrote(writes))
    if (!truncates) return written
    const forgotten = Effect.sync(() => this.floor.forgetTail(writes, this.compacted))
    const removed = Effect.andThen(forgotten, written)
    // How low the floor has to go is decided under its lock. What was written is known as written even when the node
    // is asked to stop in the middle: the floor that is raised last must not speak of entries that are gone.
    return Effect.uninterruptible(
      Semaphore.withPermit(this.floor.lock, Effect.andThen(Effect.suspend(() => this.lowerFloor(writes)), removed))
    )
  }

  readonly read = Effect.fnUntraced({ self: this }, function*(
    this: RocksLog,
    from: LogIndex,
    through: LogIndex,
    maxBytes: number
  ) {
    const entries: Array<Entry> = []
    if (from > through || from <= this.compacted.index) return entries
    let bytes = 0
    let largest = 1
    let problem: string | undefined
    const { rowsAtOnce } = this
    yield* this.database.scan(
      "raft_log",
      { gte: logKey(from), lt: logKey(addIndex(through, 1)), limit: through - from + 1, rowsAtOnce },
      (row) => {
        largest = Math.max(largest, row.value.byteLength)
        const entry = entryOfRow(row)
        if (entry instanceof CodecError) problem = entry.message
        else if (entry.index !== from + entries.length) problem = `entry ${from + entries.length} is missing`
        else if (entries.length > 0 && bytes + row.value.byteLength > maxBytes) return false
        else {
          entries.push(entry)
          bytes += row.value.byteLength
        }
        return problem === undefined
      }
    )
    this.rowsAtOnce = Math.max(1, Math.min(maxRowsAtOnce, 2 * rowsAtOnce, Math.floor(tripBytes / largest)))
    if (problem !== undefined) {
      const safe = `log entries up to ${from - 1}`
      return yield* new StorageCorruption({ path: this.path, detail: problem, safe })
    }
    return entries
  })

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
    this.scrub.compactedThrough(this.compacted)
    yield* removeThrough(this.database, index)
  })

  private readonly restart = Effect.fnUntraced({ self: this }, function*(this: RocksLog, { index, term }: LogPoint) {
    this.scrub.compactedThrough({ index, term })
    this.scrub.truncatedFrom(LogIndex(1))
    yield* restartAfter(this.database, this.path, { index, term })
    this.compacted = { index, term }
    this.floor.restartedAfter(this.compacted)
    this.database.reclaimUnsafe("raft_log", logKey(LogIndex(1)), logEnd)
  })

  private wrote(writes: ReadonlyArray<LogWrite>): void {
    for (const write of writes) {
      this.floor.wrote(write)
      for (const entry of write.entries) this.appendedBytes += entryBytes(entry)
    }
  }

  private lowerFloor(writes: ReadonlyArray<LogWrite>): Effect.Effect<void, StorageError> {
    for (const { truncateFrom } of writes) if (truncateFrom !== undefined) this.scrub.truncatedFrom(truncateFrom)
    return this.floor.lower(writes, (index) => this.pointAt(index))
  }

  /** The point of an entry; where the log begins when that entry is not there, or not readable. */
  private pointAt(index: LogIndex): Effect.Effect<LogPoint, StorageError> {
    if (index === 0) return Effect.succeed(this.compacted)
    return Effect.map(this.database.get("raft_log", logKey(index)), (value) => {
      const entry = value === undefined ? undefined : entryOfRow({ key: logKey(index), value })
      return entry === undefined || entry instanceof CodecError ? this.compacted : entry
    })
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

/** The log on disk, its floor, and how far an earlier run's word is taken for it. A crash's work is finished first. */
const recover = Effect.fnUntraced(function*(database: RocksDb["Service"], path: string) {
  const floor = yield* readFloor(path)
  yield* finishReset(database)
  const { log, trustedThrough } = yield* recoverLog(database, path, floor, yield* EntriesReadAtStart)
  const { installed } = yield* recoverState(database, path)
  if (installed === undefined || covers(log, installed)) return { floor, log, trustedThrough }
  yield* Effect.logWarning(
    `a snapshot through ${installed.index} was installed when the node stopped, and the log does not reach it: ` +
      "restarts it there"
  )
  yield* restartAfter(database, path, installed)
  const restarted: RecoveredLog = {
    ...log,
    compacted: installed,
    lastIndex: installed.index,
    bytes: 0,
    lastTimestampMs: 0,
    termRuns: []
  }
  return { floor: origin, log: restarted, trustedThrough }
})

const make = Effect.gen(function*() {
  const database = yield* RocksDb
  const { path } = yield* DataDir
  const { floor: found, log: recovered, trustedThrough } = yield* recover(database, path)
  const { compacted, lastIndex } = recovered
  yield* finishCompaction(database, compacted)
  const scrub = new LogScrub(database, path, compacted, minIndex(trustedThrough, lastIndex))
  const floor = new LogFloor(path, found, recovered)
  const log = new RocksLog(database, path, floor, scrub, compacted)

  yield* database.failure.inBackground(
    "follow the log",
    Effect.forever(Effect.andThen(floor.raise, Effect.andThen(log.releaseLogFiles, coalescedSleep(floorMs))))
  )
  yield* database.failure.inBackground("check the log", scrub.run)
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => database.failure.error === undefined ? closing(floor.raise) : Effect.void)
  )

  return LogStore.of({
    recovered,
    append: (writes) => log.append(writes),
    read: log.read,
    compact: (through) => log.compact(through),
    reset: (point) => log.reset(point),
    failed: database.failure.failed
  })
})

/** The log in the data directory of this node. */
export const layer = Layer.effect(LogStore, make)
