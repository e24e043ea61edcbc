/**
 * The durable log, hard state and conf state of one node: a contract with a RocksDB layer (`rocksdb/RocksLogStore.ts`),
 * a memory layer (`memory/MemoryStore.ts`), and a conformance suite (`flaredb/testing`) that both pass.
 */
import { Context } from "effect"
import type { Effect } from "effect"
import type { ConfState, Entry, HardState, LogIndex, LogPoint, TermRun } from "../raft/Types.ts"
import type { StorageError } from "./StorageError.ts"

/**
 * What start-up found. An empty directory gives term 0, no entries, the point `origin`, and, where there are several
 * voters, an unknown membership.
 */
export interface RecoveredLog {
  readonly hardState: HardState
  /** The voters that the directory was made with. */
  readonly confState: ConfState
  /** The last entry removed by compaction; `origin` when nothing was. */
  readonly compacted: LogPoint
  /** The last index on disk; `compacted.index` when the log holds no entry. */
  readonly lastIndex: LogIndex
  /** Bytes of the entries on disk. */
  readonly bytes: number
  /** The timestamp of the last entry that has one; 0 when none has. */
  readonly lastTimestampMs: number
  /** Where each term begins, ascending, covering `compacted.index + 1 .. lastIndex`. */
  readonly termRuns: ReadonlyArray<TermRun>
}

/** One durable write; the parts take effect in the order of the fields. */
export interface LogWrite {
  readonly hardState: HardState | undefined
  /** Remove the log from this index on before writing `entries`. */
  readonly truncateFrom: LogIndex | undefined
  /** Consecutive; they follow what is left of the log. */
  readonly entries: ReadonlyArray<Entry>
}

export class LogStore extends Context.Service<LogStore, {
  /** What was on disk when the store opened, checked for gaps and checksums. */
  readonly recovered: RecoveredLog

  /**
   * Makes `writes` durable, in order, with one sync at the end. When it succeeds every byte survives
   * kill -9 and power loss. When it fails the outcome is unknown and the store accepts no further write.
   * Calls must not overlap: the persister has one write in flight.
   */
  readonly append: (writes: ReadonlyArray<LogWrite>) => Effect.Effect<void, StorageError>

  /**
   * Entries `from..through`, in order, at least one (if the range is not empty) and then as many as fit into
   * `maxBytes`; each checked against its checksum. A range that begins at or before the compaction point gives none.
   */
  readonly read: (
    from: LogIndex,
    through: LogIndex,
    maxBytes: number
  ) => Effect.Effect<ReadonlyArray<Entry>, StorageError>

  /** Removes the log up to and including `through`; durable no later than the next `append`. Never goes back. */
  readonly compact: (through: LogPoint) => Effect.Effect<void, StorageError>

  /**
   * Replaces the whole log by "everything up to `point` is in a snapshot". Durable when it succeeds. A start that
   * finds an imported state (`StateImport.finish`) and a log that does not reach its point, or contradicts it, does
   * this itself.
   */
  readonly reset: (point: LogPoint) => Effect.Effect<void, StorageError>

  /**
   * Fails once the store cannot keep its promises any more: after the first failure of any call, and when something
   * fails or is found lost between calls. Nothing is written from then on. Never succeeds; the node waits for it, and
   * stops.
   */
  readonly failed: Effect.Effect<never, StorageError>
}>()("flaredb/storage/LogStore") {}
