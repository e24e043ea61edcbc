/** The entries of a log in segments beside the database, and its hard state in there. */
import { Effect } from "effect"
import { CodecError } from "../../bytes/CodecError.ts"
import { coalescedSleep } from "../../CoalescedSleep.ts"
import type { Entry, HardState, LogPoint } from "../../raft/Types.ts"
import { addIndex } from "../../raft/Types.ts"
import { hardStateRecord, stateKeys } from "../Codec.ts"
import type { DurableFloor } from "../DurableFloor.ts"
import type { EntryStore, FoundEntries } from "../EntryStore.ts"
import type { LogRecords } from "../LogRecords.ts"
import { requireWhole } from "../LogRecords.ts"
import type { LogWrite, RecoveredLog } from "../LogStore.ts"
import type { RocksDb } from "../rocksdb/RocksDb.ts"
import type { StorageError } from "../StorageError.ts"
import { lostFrom, StorageCorruption } from "../StorageError.ts"
import * as StorageMetrics from "../StorageMetrics.ts"
import { SyncCount } from "../SyncCount.ts"
import { SyncPace } from "../SyncPace.ts"
import { findLog } from "./FoundLog.ts"
import { SegmentBytes } from "./SegmentBytes.ts"
import type { FoundSegments, SegmentLogOptions } from "./SegmentLog.ts"
import { SegmentLog } from "./SegmentLog.ts"

/** How often the files are looked for. */
const checkMs = 1_000

const isPlain = ({ hardState, truncateFrom }: LogWrite): boolean =>
  hardState === undefined && truncateFrom === undefined

/** The entries of writes that do nothing else. */
const entriesOf = (writes: ReadonlyArray<LogWrite>): ReadonlyArray<Entry> =>
  writes.length === 1 ? (writes[0] as LogWrite).entries : writes.flatMap(({ entries }) => entries)

const entryStore = (database: RocksDb["Service"], log: SegmentLog): EntryStore => {
  const { failure, path, work: { promised } } = database

  const appendInOrder = async (writes: ReadonlyArray<LogWrite>): Promise<void> => {
    for (const { entries, truncateFrom } of writes) {
      if (truncateFrom !== undefined) await log.truncate(addIndex(truncateFrom, -1))
      if (entries.length > 0) await log.append(entries)
    }
    await log.sync()
  }

  /** Before all entries, also those that were asked for before it: a hard state without entries is merely ahead. */
  const writeHardState = (hardState: HardState): Effect.Effect<void, StorageError> => {
    const put = { _tag: "Put", key: stateKeys.hardState, value: hardStateRecord(hardState) } as const
    return database.writeAll([{ family: "raft_state", operations: [put] }])
  }

  return {
    write: (writes) =>
      Effect.suspend(() => {
        // Ends without a turn of the event loop when the disk is fast.
        if (writes.every(isPlain)) return promised("append", () => log.append(entriesOf(writes)))
        const hardState = writes.findLast((write) => write.hardState !== undefined)?.hardState
        const before = hardState === undefined ? Effect.void : writeHardState(hardState)
        return Effect.andThen(before, promised("append", () => appendInOrder(writes)))
      }),
    read: (from, through, maxBytes) =>
      Effect.flatMap(
        promised("read", () => log.read(from, through, maxBytes)),
        (found): Effect.Effect<ReadonlyArray<Entry>, StorageError> =>
          found instanceof CodecError
            ? Effect.fail(
              new StorageCorruption({ path, detail: found.message, safe: `log entries up to ${addIndex(from, -1)}` })
            )
            : Effect.succeed(found)
      ),
    removeThrough: ({ index }) => promised("compact", () => log.removeThrough(index)),
    restart: (point) => promised("reset", () => log.restart(point)),
    watch: Effect.forever(
      Effect.andThen(
        coalescedSleep(checkMs),
        Effect.suspend(() => {
          const missing = log.missing()
          return missing === undefined
            ? Effect.void
            : Effect.fail(lostFrom(path, missing))
        })
      )
    ),
    close: Effect.suspend(() => failure.error === undefined ? promised("close", () => log.close()) : Effect.void)
  }
}

/** What the segments hold, by the records of the database, checked. Changes nothing. */
export const readSegments = Effect.fnUntraced(function*(
  database: RocksDb["Service"],
  path: string,
  records: LogRecords,
  floor: DurableFloor | undefined
) {
  const segmentBytes = yield* SegmentBytes
  const found = yield* database.work.promised("read the log", () => findLog(path, records, segmentBytes))
  const { check } = found
  yield* requireWhole(path, records, check, floor)
  const { compacted, confState, hardState } = records
  const log: RecoveredLog = {
    hardState,
    confState,
    compacted,
    lastIndex: check.last.index,
    bytes: check.bytes,
    lastTimestampMs: check.lastTimestampMs,
    termRuns: check.termRuns
  }
  return { log, found }
})

/** The segments of a directory, to be written. Its files are open until the scope ends, unless it is closed before. */
export const openSegments = Effect.fnUntraced(function*(
  database: RocksDb["Service"],
  path: string,
  syncs: boolean,
  found: Pick<FoundSegments, "nextSequence" | "segments">,
  last: LogPoint
) {
  const { work } = database
  const { synced } = yield* StorageMetrics.make
  const options: SegmentLogOptions = {
    folder: path,
    segmentBytes: yield* SegmentBytes,
    inBackground: (making) => work.background("make a segment", making),
    syncs: { count: new SyncCount(synced), pace: new SyncPace(), enabled: syncs }
  }
  return yield* Effect.acquireRelease(
    Effect.sync(() => new SegmentLog(options, found, last)),
    (log) => Effect.promise(() => work.whenIdle(() => log.abandon()))
  )
})

/** The segments of this node's directory, for a start. */
export const findSegments = Effect.fnUntraced(function*(
  database: RocksDb["Service"],
  path: string,
  syncs: boolean,
  records: LogRecords,
  floor: DurableFloor | undefined
) {
  const { found, log } = yield* readSegments(database, path, records, floor)
  if (found.unfinishedBytes > 0) {
    yield* Effect.logInfo(`the log ends with an unfinished write of ${found.unfinishedBytes} bytes: leaves it out`)
  }
  const segments = yield* openSegments(database, path, syncs, found, found.check.last)
  yield* database.work.promised("take over the log", () => segments.takeOver(found))
  const entries: FoundEntries = { log, entries: entryStore(database, segments) }
  return entries
})
