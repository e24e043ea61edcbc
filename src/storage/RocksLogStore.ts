/**
 * The durable log on RocksDB. One `append` is: hard state (when it changed), then truncation and entries, then one
 * sync. The order matters and atomicity does not: entries whose hard state was lost would be unexplained, a hard
 * state without its entries is merely ahead.
 */
import { Effect, Layer, Schedule, Semaphore } from "effect"
import { CodecError, encodeEntry } from "../codec/EntryRecord.ts"
import type { Entry, LogPoint } from "../raft/Types.ts"
import { addIndex, LogIndex, origin } from "../raft/Types.ts"
import { encodeRecord, logEnd, logKey, stateKeys } from "./Codec.ts"
import { DataDir } from "./DataDir.ts"
import { readFloor, writeFloor } from "./DurableFloor.ts"
import type { LogWrite } from "./LogStore.ts"
import { LogStore } from "./LogStore.ts"
import { entryOfRow, recoverLog } from "./RecoveredLog.ts"
import type { Family, Operation } from "./RocksDb.ts"
import { RocksDb } from "./RocksDb.ts"
import type { StorageError } from "./StorageError.ts"
import { StorageCorruption } from "./StorageError.ts"

/** Operations in one RocksDB batch: the binding marshals them on the main thread, a thousand in about half a millisecond. */
const batchOperations = 1_000

/** How often the durable floor follows the log. */
const floorInterval = "1 second"

interface Batch {
  readonly family: Family
  readonly operations: Array<Operation>
}

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
      const { term, votedFor, commit } = hardState
      const value = encodeRecord({ term, votedFor: votedFor ?? null, commit })
      add("raft_state", { _tag: "Put", key: stateKeys.hardState, value })
    }
    if (truncateFrom !== undefined) add("raft_log", { _tag: "DeleteRange", start: logKey(truncateFrom), end: logEnd })
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
  const recovered = yield* recoverLog(database, path, floor)
  const { compacted } = recovered
  if (compacted.index > 0) {
    // A crash between the two steps of a compaction leaves entries below the point; removing them again is harmless.
    yield* database.write("raft_log", [removeThrough(compacted.index)], "durable")
  }

  /** The last point that is synced. */
  let durable: LogPoint = {
    index: recovered.lastIndex,
    term: recovered.termRuns[recovered.termRuns.length - 1]?.term ?? compacted.term
  }

  const moveFloor = (point: LogPoint): Effect.Effect<void, StorageError> =>
    Effect.map(writeFloor(path, point), () => {
      floor = point
    })

  /** Raising the floor and removing a tail exclude each other, or a slow raise could land above a removed tail. */
  const floorLock = yield* Semaphore.make(1)

  /** The floor follows the log lazily; only here does it rise. */
  const raiseFloor = Semaphore.withPermit(
    floorLock,
    Effect.suspend(() =>
      floor === undefined || floor.index !== durable.index || floor.term !== durable.term
        ? moveFloor(durable)
        : Effect.void
    )
  )

  /** Before a tail that the floor covers is removed, the floor goes below it, durably. */
  const lowerFloor = (writes: ReadonlyArray<LogWrite>): Effect.Effect<void, StorageError> => {
    let lowest = floor?.index ?? 0
    for (const { truncateFrom } of writes) {
      if (truncateFrom !== undefined && truncateFrom <= lowest) lowest = LogIndex(truncateFrom - 1)
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

  let compactedPoint = compacted

  const append = (writes: ReadonlyArray<LogWrite>): Effect.Effect<void, StorageError> => {
    if (writes.length === 0) return Effect.void
    const truncates = writes.some((write) => write.truncateFrom !== undefined)
    const written = Effect.map(database.writeAll(batches(writes)), () => {
      for (const { entries, truncateFrom } of writes) {
        const last = entries[entries.length - 1]
        if (last !== undefined) durable = { index: last.index, term: last.term }
        else if (truncateFrom !== undefined && truncateFrom <= durable.index) durable = floor ?? compactedPoint
      }
    })
    return truncates ? Semaphore.withPermit(floorLock, Effect.andThen(lowerFloor(writes), written)) : written
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
    yield* database.write("raft_log", [removeThrough(index)], "lazy")
  })

  const reset = Effect.fnUntraced(function*({ index, term }: LogPoint) {
    yield* moveFloor(origin)
    yield* database.write(
      "raft_state",
      [putPoint({ index, term }), { _tag: "Put", key: stateKeys.resetting, value: Uint8Array.of(1) }],
      "durable"
    )
    compactedPoint = { index, term }
    durable = compactedPoint
    yield* finishReset(database)
  })

  yield* raiseFloor.pipe(
    Effect.repeat(Schedule.spaced(floorInterval)),
    Effect.tapCause((cause) => Effect.logError("the durable floor could not be written", cause)),
    Effect.forkScoped
  )
  yield* Effect.addFinalizer(() => Effect.ignore(raiseFloor))

  return LogStore.of({
    recovered,
    append,
    read,
    compact,
    reset: (point) => Semaphore.withPermit(floorLock, reset(point))
  })
})

const putPoint = (point: LogPoint): Operation => ({
  _tag: "Put",
  key: stateKeys.compacted,
  value: encodeRecord(point)
})

const removeThrough = (index: LogIndex): Operation => ({
  _tag: "DeleteRange",
  start: logKey(LogIndex(1)),
  end: logKey(addIndex(index, 1))
})

/** Empties the log when a reset was written down, also one that a crash interrupted: the old entries contradict it. */
const finishReset = Effect.fnUntraced(function*(database: RocksDb["Service"]) {
  if ((yield* database.get("raft_state", stateKeys.resetting)) === undefined) return
  yield* database.write("raft_log", [{ _tag: "DeleteRange", start: logKey(LogIndex(1)), end: logEnd }], "durable")
  yield* database.write("raft_state", [{ _tag: "Delete", key: Buffer.from(stateKeys.resetting) }], "durable")
})

/** The log in the data directory of this node. */
export const layer = Layer.effect(LogStore, make)
