/**
 * Moves the log of a stopped node from rows of RocksDB into segments, which makes a directory of format 6 of one of
 * format 4 or 5. Segments are written and synced first; then the marker says where the log is, in one durable write;
 * then the rows go. A move that was killed is done once more, from the beginning or from the last step on.
 */
import { Effect, Layer } from "effect"
import type { LogIndex } from "../raft/Types.ts"
import { addIndex, LogIndex as index } from "../raft/Types.ts"
import { logEnd, logKey } from "./Codec.ts"
import { hasSegments, markerOf, requireSegments } from "./DirectoryMarker.ts"
import { readFloor } from "./DurableFloor.ts"
import { inspect, inspectMarker } from "./Inspect.ts"
import { readRecords } from "./LogRecords.ts"
import { findRows } from "./rocksdb/EntryRows.ts"
import { RocksDb } from "./rocksdb/RocksDb.ts"
import { openSegments } from "./segments/EntrySegments.ts"
import { removeStraySegments } from "./segments/StraySegments.ts"
import type { OpenError } from "./StorageError.ts"

export interface MovedLog {
  /** Entries that were moved; 0 when the log was in segments before. */
  readonly entries: number
  /** Whether it was. */
  readonly before: boolean
}

/** Bytes of entries that are in memory at a time, or one entry. */
const bytesAtOnce = 4 * 1024 * 1024

/** Writes the entries of the rows into segments, and gives their number. */
const copyEntries = Effect.fnUntraced(function*(database: RocksDb["Service"], path: string) {
  const { promised } = database.work
  const records = yield* readRecords(database, path)
  const { entries, log } = yield* findRows(database, path, records, yield* readFloor(path))
  const segments = yield* openSegments(database, path, true, { segments: [], nextSequence: 1 }, log.compacted)
  let next: LogIndex = addIndex(log.compacted.index, 1)
  while (next <= log.lastIndex) {
    const part = yield* entries.read(next, log.lastIndex, bytesAtOnce)
    yield* promised("move the log", () => segments.append(part))
    next = addIndex(next, part.length)
  }
  yield* promised("move the log", () => segments.close())
  return log.lastIndex - log.compacted.index
}, Effect.scoped)

/** What a move that failed has written would keep a full disk full. It counts once the marker says so. */
const giveBack = (path: string): Effect.Effect<void> =>
  inspectMarker(path).pipe(
    Effect.flatMap((marker) => hasSegments(marker) ? Effect.void : removeStraySegments(path)),
    // The caller gets the error of the move; the next start or move removes what is left now.
    Effect.ignore
  )

const move = Effect.fnUntraced(function*(path: string) {
  const database = yield* RocksDb
  const before = hasSegments(yield* markerOf(path))
  let entries = 0
  if (!before) {
    yield* removeStraySegments(path)
    entries = yield* copyEntries(database, path)
    yield* requireSegments(database)
  }
  const rows = { _tag: "DeleteRange", start: logKey(index(1)), end: logEnd } as const
  yield* database.write("raft_log", [rows], "durable")
  yield* database.compact("raft_log")
  const moved: MovedLog = { entries, before }
  return moved
})

/** Fails when the directory is in use, or none that a node would open; nothing was changed then. */
export const moveLog = (path: string): Effect.Effect<MovedLog, OpenError> =>
  // It looks at all of the log without changing anything, and refuses what a node would refuse.
  Effect.andThen(
    inspect(path, () => Effect.void),
    Effect.onError(
      Effect.provide(move(path), Layer.fresh(RocksDb.layer({ path, create: false }))),
      () => giveBack(path)
    )
  )
