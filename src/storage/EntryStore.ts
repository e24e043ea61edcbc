/**
 * Where the entries of a log are stored: in segments (`segments/`), or, in directories that an earlier build made, in
 * rows of RocksDB (`rocksdb/EntryRows.ts`). What the log promises is made of it in `rocksdb/RocksLogStore.ts`, which
 * never lets two calls that write run at once, but for `removeThrough` beside a `write`.
 */
import type { Effect } from "effect"
import type { Entry, LogIndex, LogPoint } from "../raft/Types.ts"
import type { LogWrite, RecoveredLog } from "./LogStore.ts"
import type { StorageError } from "./StorageError.ts"

export interface EntryStore {
  /** See `LogStore.append`: hard states, too, and they become durable before the entries behind them. */
  readonly write: (writes: ReadonlyArray<LogWrite>) => Effect.Effect<void, StorageError>
  /** See `LogStore.read`, for a range that begins behind the compacted entries. */
  readonly read: (
    from: LogIndex,
    through: LogIndex,
    maxBytes: number
  ) => Effect.Effect<ReadonlyArray<Entry>, StorageError>
  /** Removes what is only of use for entries up to `point`, behind which the log is known to begin. */
  readonly removeThrough: (point: LogPoint) => Effect.Effect<void, StorageError>
  /** Removes all entries, durably. The log goes on behind `point`. */
  readonly restart: (point: LogPoint) => Effect.Effect<void, StorageError>
  /** Looks after what is stored, in the background, and fails with what it finds. */
  readonly watch: Effect.Effect<void, StorageError>
  /** What is left to be done at the end. */
  readonly close: Effect.Effect<void, StorageError>
}

/** A log as a start found it. */
export interface FoundEntries {
  readonly log: RecoveredLog
  readonly entries: EntryStore
}
