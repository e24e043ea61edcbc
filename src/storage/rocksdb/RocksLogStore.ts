/**
 * The durable log on RocksDB. One `append` is: hard state (when it changed), then truncation and entries, then one
 * sync. The order matters and atomicity does not: entries whose hard state was lost would be unexplained, a hard
 * state without its entries is merely ahead.
 */
import { Effect, Layer, Schedule, Semaphore } from "effect"
import { encodeEntry, encodeRecords } from "../../protocol/EntryRecord.ts"
import { CodecError } from "../../bytes/CodecError.ts"
import { entryBytes } from "../../raft/Config.ts"
import type { Entry, HardState, LogPoint } from "../../raft/Types.ts"
import { addIndex, LogIndex, minIndex, origin } from "../../raft/Types.ts"
import { behindLogKey, encodeRecord, logEnd, logKey, stateKeys } from "../Codec.ts"
import { DataDir } from "../DataDir.ts"
import type { DurableFloor, Vote } from "../DurableFloor.ts"
import { readFloor, writeFloor } from "../DurableFloor.ts"
import type { LogWrite, RecoveredLog } from "../LogStore.ts"
import { LogStore } from "../LogStore.ts"
import { entryOfRow } from "../LogCheck.ts"
import { LogScrub } from "../LogScrub.ts"
import { EntriesReadAtStart, recoverLog } from "../RecoveredLog.ts"
import type { Family, Operation } from "./Operation.ts"
import { closing } from "./Closing.ts"
import { RocksDb } from "./RocksDb.ts"
import { recoverState } from "./RocksStateStore.ts"
import type { StorageError } from "../StorageError.ts"
import { StorageCorruption } from "../StorageError.ts"

/**
 * Operations in one RocksDB batch: the binding marshals them on the main thread, a thousand in about half a
 * millisecond.
 */
const batchOperations = 1_000

/**
 * Bytes of entries after which the hard state is written to a table. It is a few rows in each term, and as long as one
 * of them is only in a write-ahead log, RocksDB keeps that file and all that follow, and reads them at the next start.
 */
const entryBytesBetweenFlushes = 16 * 1024 * 1024

/** How often the durable floor follows the log. */
const floorInterval = "1 second"

interface Batch {
  readonly family: Family
  readonly operations: Array<Operation>
}

const hardStateRecord = ({ commit, standing, term, votedFor }: HardState): Uint8Array =>
  encodeRecord({
    term,
    votedFor: votedFor ?? null,
    commit,
    ...(standing === undefined || standing === "voter" ? {} : { standing })
  })

/** The batches of some writes, in order, as few as the order allows. */
const batches = (writes: ReadonlyArray<LogWrite>): ReadonlyArray<Batch> => {
  const result: Array<Batch> = []
  const add = (family: Family, operation: Operation): void => {
    let batch = result[result.length - 1]
    if (batch === undefined || batch.family !== family || batch.operations.length >= batchOperations) {
      batch = { family, operations: [] }
      result.push(batch)
    }
    batch.operations.push(operation)
  }
  for (const { hardState, truncateFrom, entries } of writes) {
    if (hardState !== undefined) {
      add("raft_state", { _tag: "Put", key: stateKeys.hardState, value: hardStateRecord(hardState) })
    }
    if (truncateFrom !== undefined) add("raft_log", { _tag: "DeleteRange", start: logKey(truncateFrom), end: logEnd })
    encodeRecords(entries)
    for (const entry of entries) {
      add("raft_log", { _tag: "Put", key: logKey(entry.index), value: encodeEntry(entry) })
    }
  }
  return result
}

const make = Effect.gen(function*() {
  const database = yield* RocksDb
  const { path } = yield* DataDir
  let floor = yield* readFloor(path)
  yield* finishReset(database)
  const found = yield* recoverLog(database, path, floor, yield* EntriesReadAtStart)
  let recovered = found.log
  const { installed } = yield* recoverState(database, path)
  if (installed !== undefined && !covers(recovered, installed)) {
    yield* Effect.logWarning(
      `a snapshot through ${installed.index} was installed when the node stopped, and the log does not reach it: restarts it there`
    )
    yield* restartAfter(database, path, installed)
    floor = origin
    recovered = {
      ...recovered,
      compacted: installed,
      lastIndex: installed.index,
      bytes: 0,
      lastStampMs: 0,
      termRuns: []
    }
  }
  const { compacted } = recovered
  yield* finishCompaction(database, compacted)
  const scrub = new LogScrub(database, path, compacted, minIndex(found.trustedThrough, recovered.lastIndex))

  /** The last point that is synced. */
  let durable: LogPoint = {
    index: recovered.lastIndex,
    term: recovered.termRuns[recovered.termRuns.length - 1]?.term ?? compacted.term
  }

  /** The last vote that is synced. */
  let vote: Vote | undefined = recovered.hardState.term === 0 ? undefined : voteOf(recovered.hardState)

  const moveFloor = ({ index, term }: LogPoint): Effect.Effect<void, StorageError> =>
    Effect.suspend(() => {
      const next: DurableFloor = vote === undefined ? { index, term } : { index, term, vote }
      return Effect.map(writeFloor(path, next), () => {
        floor = next
      })
    })

  /**
   * Raising the floor and removing a part of the log exclude each other: a slow raise could land above a removed tail,
   * and a compaction could take the beginning of the log back to before a reset.
   */
  const floorLock = yield* Semaphore.make(1)

  /** The floor follows the log lazily; only here does it rise. */
  const raiseFloor = Semaphore.withPermit(
    floorLock,
    Effect.suspend(() =>
      floor === undefined || floor.index !== durable.index || floor.term !== durable.term ||
        floor.vote?.term !== vote?.term || floor.vote?.votedFor !== vote?.votedFor
        ? moveFloor(durable)
        : Effect.void
    )
  )

  /** Before a tail that the floor covers is removed, the floor goes below it, durably. */
  const lowerFloor = (writes: ReadonlyArray<LogWrite>): Effect.Effect<void, StorageError> => {
    let lowest = floor?.index ?? 0
    for (const { truncateFrom } of writes) {
      if (truncateFrom === undefined) continue
      scrub.truncatedFrom(truncateFrom)
      if (truncateFrom <= lowest) lowest = LogIndex(truncateFrom - 1)
    }
    if (floor === undefined || lowest === floor.index) return Effect.void
    return Effect.flatMap(
      lowest === 0 ? Effect.succeed(undefined) : database.get("raft_log", logKey(LogIndex(lowest))),
      (value): Effect.Effect<void, StorageError> => {
        const entry = value === undefined ? undefined : entryOfRow({ key: logKey(LogIndex(lowest)), value })
        return moveFloor(entry === undefined || entry instanceof CodecError ? compactedPoint : entry)
      }
    )
  }

  /** A removal that fails may have happened all the same: from before it on, the tail is not known to be durable. */
  const forgetTail = (writes: ReadonlyArray<LogWrite>): void => {
    for (const { truncateFrom } of writes) {
      if (truncateFrom !== undefined && truncateFrom <= durable.index) durable = floor ?? compactedPoint
    }
  }

  let compactedPoint = compacted

  /** Since the hard state was last flushed. */
  let appendedBytes = 0

  const releaseLogFiles = Effect.suspend(() => {
    if (appendedBytes < entryBytesBetweenFlushes) return Effect.void
    appendedBytes = 0
    return database.flush("raft_state")
  })

  const append = (writes: ReadonlyArray<LogWrite>): Effect.Effect<void, StorageError> => {
    if (writes.length === 0) return Effect.void
    const truncates = writes.some((write) => write.truncateFrom !== undefined)
    const written = Effect.map(database.writeAll(batches(writes)), () => {
      for (const { entries, hardState } of writes) {
        if (hardState !== undefined) vote = voteOf(hardState)
        for (const entry of entries) appendedBytes += entryBytes(entry)
        const last = entries[entries.length - 1]
        if (last !== undefined) durable = { index: last.index, term: last.term }
      }
    })
    if (!truncates) return written
    const removed = Effect.andThen(Effect.sync(() => forgetTail(writes)), written)
    // How low the floor has to go is decided once nobody else moves it, and what was written is known as written even when
    // the node is asked to stop in the middle: the floor that is raised last must not speak of entries that are gone.
    return Effect.uninterruptible(
      Semaphore.withPermit(floorLock, Effect.andThen(Effect.suspend(() => lowerFloor(writes)), removed))
    )
  }

  const read = Effect.fnUntraced(function*(from: LogIndex, through: LogIndex, maxBytes: number) {
    const entries: Array<Entry> = []
    if (from > through || from <= compactedPoint.index) return entries
    let bytes = 0
    let problem: string | undefined
    yield* database.scan(
      "raft_log",
      { gte: logKey(from), lt: logKey(addIndex(through, 1)), limit: through - from + 1 },
      (row) => {
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
    if (problem !== undefined) {
      return yield* new StorageCorruption({ path, detail: problem, safe: `log entries up to ${from - 1}` })
    }
    return entries
  })

  /** The point first: entries below it are removed by the next start, a log without a head would be refused. */
  const compact = Effect.fnUntraced(function*({ index, term }: LogPoint) {
    if (index <= compactedPoint.index) return
    yield* database.write("raft_state", [putPoint({ index, term })], "durable")
    compactedPoint = { index, term }
    scrub.compactedThrough(compactedPoint)
    yield* removeThrough(database, index)
  })

  const reset = Effect.fnUntraced(function*({ index, term }: LogPoint) {
    scrub.compactedThrough({ index, term })
    scrub.truncatedFrom(LogIndex(1))
    yield* restartAfter(database, path, { index, term })
    floor = origin
    compactedPoint = { index, term }
    durable = compactedPoint
    database.reclaimUnsafe("raft_log", logKey(LogIndex(1)), logEnd)
  })

  yield* database.failure.inBackground(
    "follow the log",
    Effect.repeat(Effect.andThen(raiseFloor, releaseLogFiles), Schedule.spaced(floorInterval))
  )
  yield* database.failure.inBackground("check the log", scrub.run)
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => database.failure.error === undefined ? closing(raiseFloor) : Effect.void)
  )

  return LogStore.of({
    recovered,
    append,
    read,
    compact: (through) => Semaphore.withPermit(floorLock, compact(through)),
    reset: (point) => Semaphore.withPermit(floorLock, reset(point)),
    failed: database.failure.failed
  })
})

const voteOf = ({ term, votedFor }: HardState): Vote => ({ term, votedFor })

const putPoint = (point: LogPoint): Operation => ({
  _tag: "Put",
  key: stateKeys.compacted,
  value: encodeRecord({ index: point.index, term: point.term })
})

/** Removes the entries up to `index`, and has their room given back. */
const removeThrough = (database: RocksDb["Service"], index: LogIndex): Effect.Effect<void, StorageError> => {
  const range = [logKey(LogIndex(1)), behindLogKey(index)] as const
  return Effect.map(
    database.removeRange("raft_log", ...range),
    () => database.reclaimUnsafe("raft_log", ...range)
  )
}

/**
 * A crash between the two steps of a compaction leaves entries below the point. They are removed only if they are
 * there: a removal at each start would have a compaction write the whole log again.
 */
const finishCompaction = Effect.fnUntraced(function*(database: RocksDb["Service"], { index }: LogPoint) {
  if (index === 0) return
  let leftBehind = false
  const range = { gte: logKey(LogIndex(1)), lt: behindLogKey(index), limit: 1, keysOnly: true }
  yield* database.scan("raft_log", range, () => (leftBehind = true))
  if (leftBehind) yield* removeThrough(database, index)
})

/** Whether a log is one that a snapshot up to `point` leaves behind: it holds that entry, or begins later. */
const covers = ({ compacted, lastIndex, termRuns }: RecoveredLog, point: LogPoint): boolean => {
  if (point.index <= compacted.index) return true
  if (point.index > lastIndex) return false
  let term = compacted.term
  for (const run of termRuns) if (run.firstIndex <= point.index) term = run.term
  return term === point.term
}

/** Replaces the log by "everything up to `point` is in the state". A crash on the way is finished by the next start. */
const restartAfter = Effect.fnUntraced(function*(database: RocksDb["Service"], path: string, point: LogPoint) {
  yield* writeFloor(path, origin)
  yield* database.write(
    "raft_state",
    [putPoint(point), { _tag: "Put", key: stateKeys.resetting, value: Uint8Array.of(1) }],
    "durable"
  )
  yield* finishReset(database)
})

/** Empties the log when a reset was written down, also one that a crash interrupted: the old entries contradict it. */
const finishReset = Effect.fnUntraced(function*(database: RocksDb["Service"]) {
  if ((yield* database.get("raft_state", stateKeys.resetting)) === undefined) return
  yield* database.write("raft_log", [{ _tag: "DeleteRange", start: logKey(LogIndex(1)), end: logEnd }], "durable")
  yield* database.write("raft_state", [{ _tag: "Delete", key: Buffer.from(stateKeys.resetting) }], "durable")
})

/** The log in the data directory of this node. */
export const layer = Layer.effect(LogStore, make)
