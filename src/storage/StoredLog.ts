/** The log of a stopped node, whichever way its entries are stored, to be read without changing it. */
import { Effect } from "effect"
import { CodecError } from "../bytes/CodecError.ts"
import type { Entry, LogIndex } from "../raft/Types.ts"
import { LogIndex as index } from "../raft/Types.ts"
import type { Marker } from "./Codec.ts"
import { indexOfLogKey, logEnd, logKey } from "./Codec.ts"
import { hasSegments } from "./DirectoryMarker.ts"
import type { DurableFloor } from "./DurableFloor.ts"
import { entryOfRow } from "./LogCheck.ts"
import { readRecords } from "./LogRecords.ts"
import type { RecoveredLog } from "./LogStore.ts"
import { recoverLog } from "./RecoveredLog.ts"
import type { RocksDb } from "./rocksdb/RocksDb.ts"
import { readSegments } from "./segments/EntrySegments.ts"
import { findLog } from "./segments/FoundLog.ts"
import { SegmentBytes } from "./segments/SegmentBytes.ts"
import { readEntries } from "./segments/SegmentReads.ts"
import type { StorageError } from "./StorageError.ts"
import { StorageCorruption } from "./StorageError.ts"

export interface StoredLog {
  /** All of it, checked, when the floor is known to have been durable. */
  readonly recover: (floor: DurableFloor | undefined) => Effect.Effect<RecoveredLog, StorageError>
  /** Up to `limit` entries from `from` on, which is not compacted. */
  readonly entries: (from: LogIndex, limit: number) => Effect.Effect<ReadonlyArray<Entry>, StorageError>
  /** The last entry, as far as it can be told of a log that may be damaged; 0 when it has none. */
  readonly lastIndex: Effect.Effect<number, StorageError>
}

const corrupt = (path: string, { message }: CodecError): StorageCorruption =>
  new StorageCorruption({ path, detail: message, safe: "entries before it" })

const storedRows = (database: RocksDb["Service"], path: string): StoredLog => ({
  recover: (floor) =>
    Effect.gen(function*() {
      const records = yield* readRecords(database, path)
      return (yield* recoverLog(database, path, records, floor, Number.MAX_SAFE_INTEGER)).log
    }),
  entries: Effect.fnUntraced(function*(from, limit) {
    const found: Array<Entry> = []
    let problem: CodecError | undefined
    yield* database.scan("raft_log", { gte: logKey(from), lt: logEnd, limit }, (row) => {
      const entry = entryOfRow(row)
      if (entry instanceof CodecError) problem = entry
      else found.push(entry)
      return problem === undefined
    })
    return problem === undefined ? found : yield* corrupt(path, problem)
  }),
  lastIndex: Effect.suspend(() => {
    let last = 0
    const newest = { gte: logKey(index(1)), lt: logEnd, limit: 1, reverse: true, keysOnly: true }
    const takes = ({ key }: { readonly key: Uint8Array }) => {
      last = Math.max(0, indexOfLogKey(key))
      return false
    }
    return Effect.map(database.scan("raft_log", newest, takes), () => last)
  })
})

const storedSegments = (database: RocksDb["Service"], path: string): StoredLog => {
  const { promised } = database.work
  const found = Effect.gen(function*() {
    const records = yield* readRecords(database, path)
    const segmentBytes = yield* SegmentBytes
    return yield* promised("read the log", () => findLog(path, records, segmentBytes))
  })
  return {
    recover: (floor) =>
      Effect.gen(function*() {
        const records = yield* readRecords(database, path)
        return (yield* readSegments(database, path, records, floor)).log
      }),
    entries: Effect.fnUntraced(function*(from, limit) {
      const { check, segments } = yield* found
      const through = index(Math.min(check.last.index, from + limit - 1))
      const entries = yield* promised("read", () => readEntries(path, segments, from, through, Number.MAX_SAFE_INTEGER))
      return entries instanceof CodecError ? yield* corrupt(path, entries) : entries
    }),
    lastIndex: Effect.map(found, ({ check }) => check.last.index)
  }
}

/** The log of a directory, by its marker. */
export const storedLog = (database: RocksDb["Service"], path: string, marker: Marker): StoredLog =>
  hasSegments(marker) ? storedSegments(database, path) : storedRows(database, path)
