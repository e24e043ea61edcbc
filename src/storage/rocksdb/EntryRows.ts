/**
 * The entries of a log in rows of `raft_log`, as directories have them that a build before segments made. One `write`
 * is: hard state (when it changed), then truncation and entries, then one sync. The order matters and atomicity does
 * not: entries whose hard state was lost would be unexplained, a hard state without its entries is merely ahead.
 */
import { Effect } from "effect"
import { CodecError } from "../../bytes/CodecError.ts"
import type { Entry, LogPoint } from "../../raft/Types.ts"
import { addIndex, LogIndex, minIndex } from "../../raft/Types.ts"
import { behindLogKey, logEnd, logKey } from "../Codec.ts"
import type { DurableFloor } from "../DurableFloor.ts"
import type { EntryStore, FoundEntries } from "../EntryStore.ts"
import { entryOfRow } from "../LogCheck.ts"
import type { LogRecords } from "../LogRecords.ts"
import { LogScrub } from "../LogScrub.ts"
import type { LogWrite } from "../LogStore.ts"
import { EntriesReadAtStart, recoverLog } from "../RecoveredLog.ts"
import type { StorageError } from "../StorageError.ts"
import { StorageCorruption } from "../StorageError.ts"
import { batches } from "./LogBatches.ts"
import type { RocksDb } from "./RocksDb.ts"

/** Bytes of rows that one trip to RocksDB should bring, by the largest of those read lately. */
const tripBytes = 2 * 1024 * 1024

/** Rows of one trip: to begin with, and at most. Each may have a megabyte where all before it were small. */
const firstRowsAtOnce = 8
const maxRowsAtOnce = 128

class EntryRows implements EntryStore {
  private readonly database: RocksDb["Service"]
  private readonly path: string
  private readonly scrub: LogScrub
  private rowsAtOnce = firstRowsAtOnce

  constructor(database: RocksDb["Service"], path: string, scrub: LogScrub) {
    this.database = database
    this.path = path
    this.scrub = scrub
  }

  write(writes: ReadonlyArray<LogWrite>): Effect.Effect<void, StorageError> {
    for (const { truncateFrom } of writes) if (truncateFrom !== undefined) this.scrub.truncatedFrom(truncateFrom)
    return this.database.writeAll(batches(writes))
  }

  readonly read = Effect.fnUntraced({ self: this }, function*(
    this: EntryRows,
    from: LogIndex,
    through: LogIndex,
    maxBytes: number
  ) {
    const entries: Array<Entry> = []
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

  /** Has the room given back, too. */
  removeThrough(point: LogPoint): Effect.Effect<void, StorageError> {
    this.scrub.compactedThrough(point)
    const range = [logKey(LogIndex(1)), behindLogKey(point.index)] as const
    return Effect.map(
      this.database.removeRange("raft_log", ...range),
      () => this.database.reclaimUnsafe("raft_log", ...range)
    )
  }

  restart(point: LogPoint): Effect.Effect<void, StorageError> {
    this.scrub.compactedThrough(point)
    this.scrub.truncatedFrom(LogIndex(1))
    const [start, end] = [logKey(LogIndex(1)), logEnd]
    return Effect.map(
      this.database.write("raft_log", [{ _tag: "DeleteRange", start, end }], "durable"),
      () => this.database.reclaimUnsafe("raft_log", start, end)
    )
  }

  get watch(): Effect.Effect<void, StorageError> {
    return this.scrub.run
  }

  readonly close = Effect.void
}

/** The rows of this node's directory, for a start. It takes an earlier run's word for the older ones. */
export const findRows = Effect.fnUntraced(function*(
  database: RocksDb["Service"],
  path: string,
  records: LogRecords,
  floor: DurableFloor | undefined
) {
  const { log, trustedThrough } = yield* recoverLog(database, path, records, floor, yield* EntriesReadAtStart)
  const { compacted, lastIndex } = log
  const entries = new EntryRows(
    database,
    path,
    new LogScrub(database, path, compacted, minIndex(trustedThrough, lastIndex))
  )
  // What a compaction did not finish to remove. Where it did, nothing is written for it.
  let leftBehind = false
  const before = { gte: logKey(LogIndex(1)), lt: behindLogKey(compacted.index), limit: 1, keysOnly: true }
  if (compacted.index > 0) yield* database.scan("raft_log", before, () => (leftBehind = true))
  if (leftBehind) yield* entries.removeThrough(compacted)
  const found: FoundEntries = { log, entries }
  return found
})
