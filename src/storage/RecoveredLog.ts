/** Reads a log whose entries are rows of `raft_log`, and checks that it makes sense. */
import { Context, Effect } from "effect"
import { CodecError } from "../bytes/CodecError.ts"
import type { LogPoint } from "../raft/Types.ts"
import { addIndex, LogIndex } from "../raft/Types.ts"
import { logEnd, logKey } from "./Codec.ts"
import type { DurableFloor } from "./DurableFloor.ts"
import { entryAt, entryOfRow, LogCheck } from "./LogCheck.ts"
import type { LogRecords } from "./LogRecords.ts"
import { requireWhole } from "./LogRecords.ts"
import { termRunsOf } from "./LogTerms.ts"
import type { RecoveredLog } from "./LogStore.ts"
import type { Reader } from "./rocksdb/Reader.ts"
import type { RocksDb } from "./rocksdb/RocksDb.ts"
import type { StorageError } from "./StorageError.ts"

/** Rows of the log that a start has in memory at a time. Each may have a megabyte. */
const rowsAtOnce = 64

/** Has `check` take the rest of the log. */
const readOn = (reader: Reader, check: LogCheck): Effect.Effect<LogCheck, StorageError> => {
  const range = { gte: logKey(addIndex(check.last.index, 1)), lt: logEnd, rowsAtOnce }
  return Effect.as(reader.scan("raft_log", range, (row) => check.takesRow(row)), check)
}

/**
 * How many of the entries that the floor covers a start reads: the newest, which followers and the state machine will
 * want. What is older is checked later. A short log is read whole.
 */
export const EntriesReadAtStart: Context.Reference<number> = Context.Reference<number>(
  "flaredb/storage/EntriesReadAtStart",
  { defaultValue: () => 10_000 }
)

/**
 * The log read from behind `trusted` on, which the floor covers. The floor says that everything up to it was written
 * and synced by an earlier run, in order, and it is lowered before a tail goes. So that part is whole, unless the disk
 * has lost or changed what it had kept. `undefined` when anything looks like it: the whole log tells what is wrong.
 */
const readBehind = Effect.fnUntraced(function*(reader: Reader, compacted: LogPoint, trusted: LogIndex) {
  const entry = yield* entryAt(reader, trusted)
  if (entry instanceof CodecError) return undefined
  const termRuns = yield* termRunsOf(reader, compacted, entry)
  if (termRuns === undefined) return undefined
  const check = yield* readOn(reader, new LogCheck(entry, termRuns))
  return check.problem === undefined ? check : undefined
})

/** Entries that are read at first when a timestamp is looked for, and at a time later: the first may be large. */
const timestampPage = 2
const maxTimestampPage = 512

/** The timestamp of the last entry after `compacted` and up to `last` that has one; 0 when none has. */
const lastTimestamp = Effect.fnUntraced(function*(reader: Reader, compacted: LogIndex, last: LogIndex) {
  const first = addIndex(compacted, 1)
  let end = last
  for (let limit = timestampPage; end > compacted; limit = Math.min(limit * 2, maxTimestampPage)) {
    const timestamps: Array<number> = []
    const range = { gte: logKey(first), lt: logKey(addIndex(end, 1)), limit, reverse: true }
    yield* reader.scan("raft_log", range, (row) => {
      const entry = entryOfRow(row)
      timestamps.push(entry instanceof CodecError ? 0 : entry.timestampMs)
      return entry instanceof CodecError || entry.timestampMs === 0
    })
    const timestampMs = timestamps[timestamps.length - 1]
    if (timestampMs === undefined || timestampMs !== 0) return timestampMs ?? 0
    end = addIndex(end, -timestamps.length)
  }
  return 0
})

/** A log as a start found it. */
export interface FoundLog {
  readonly log: RecoveredLog
  /** Up to where it was not read, but is what an earlier run wrote; `log.compacted.index` where all of it was read. */
  readonly trustedThrough: LogIndex
}

/**
 * Everything start-up needs to know. The log must reach `floor`. Of what that covers the newest `readEntries` are read;
 * what is older has to be checked later (`LogScrub.ts`), and `bytes` is about right then.
 */
export const recoverLog = Effect.fnUntraced(function*(
  database: Pick<RocksDb["Service"], "approximateBytes" | "get" | "getMany" | "scan">,
  path: string,
  records: LogRecords,
  floor: DurableFloor | undefined,
  readEntries: number
) {
  const { compacted, resetting } = records
  let trustedThrough = compacted.index
  let check = new LogCheck(compacted)
  if (!resetting) {
    const trusted = LogIndex(Math.max(compacted.index, (floor?.index ?? 0) - readEntries))
    const behind = trusted > compacted.index ? yield* readBehind(database, compacted, trusted) : undefined
    if (behind !== undefined) trustedThrough = trusted
    check = behind ?? (yield* readOn(database, check))
  }
  yield* requireWhole(path, records, check, floor)
  const firstKey = logKey(addIndex(compacted.index, 1))
  const log: RecoveredLog = {
    hardState: records.hardState,
    confState: records.confState,
    compacted,
    lastIndex: check.last.index,
    bytes: trustedThrough > compacted.index
      ? yield* database.approximateBytes("raft_log", firstKey, logEnd)
      : check.bytes,
    lastTimestampMs: check.lastTimestampMs || (yield* lastTimestamp(database, compacted.index, trustedThrough)),
    termRuns: check.termRuns
  }
  const found: FoundLog = { log, trustedThrough }
  return found
})
