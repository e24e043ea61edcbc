/**
 * The applied state machine on disk: an ordered map of bytes with the applied index inside it. A contract with a
 * RocksDB layer (`rocksdb/RocksStateStore.ts`), a memory layer (`memory/MemoryStore.ts`), and a conformance suite
 * (`flaredb/testing`) that both pass.
 *
 * There are two places for a state, one of them active. A snapshot is imported into the other one while the active one
 * goes on as before; one durable write then makes it the active one. What a crash leaves of an import is discarded by
 * the next start, so there is always one whole state. The state that was replaced stays in its place until the next
 * import begins, so that an operator can go back.
 *
 * Keys begin with 0x01 to 0xfe; `protocol/StateRows.ts` has the limits of a row.
 */
import { Context } from "effect"
import type { Effect, Scope } from "effect"
import type { FeatureLevel } from "../protocol/FeatureLevel.ts"
import type { StateRow } from "../protocol/StateRows.ts"
import type { LogPoint } from "../raft/Types.ts"
import type { StorageError } from "./StorageError.ts"

export type { StateRow } from "../protocol/StateRows.ts"

/** One change of the map. `start < end` always holds for `deleteRange`; `end` is not included. */
export type StateChange =
  | { readonly _tag: "Put"; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly _tag: "Delete"; readonly key: Uint8Array }
  | { readonly _tag: "DeleteRange"; readonly start: Uint8Array; readonly end: Uint8Array }

/** Which rows to read: a range of keys, and how many. */
export interface ScanOptions {
  /** First key, included. Never empty. */
  readonly gte: Uint8Array
  /** End key, not included. Never empty. */
  readonly lt: Uint8Array
  /** Most rows to return, ≥ 1. */
  readonly limit: number
  /**
   * Ends with the row that takes keys and values to this many bytes, ≥ 1. Then not much more than that is read either,
   * however large the rows behind it are. Rows of one snapshot only in a view, or where nothing is committed meanwhile.
   */
  readonly maxBytes?: number
  readonly reverse?: boolean
  /** Leave the values out (each row's value is empty). */
  readonly keysOnly?: boolean
}

/** Reads of one snapshot: later commits are not seen. */
export interface StateView {
  /** Values in the order of `keys`; `undefined` where there is none. One round trip to the engine. */
  readonly getMany: (
    keys: ReadonlyArray<Uint8Array>
  ) => Effect.Effect<ReadonlyArray<Uint8Array | undefined>, StorageError>
  /** Rows in byte order of their keys. */
  readonly scan: (options: ScanOptions) => Effect.Effect<ReadonlyArray<StateRow>, StorageError>
}

/** The whole state at one applied point, pulled in parts by its reader: a snapshot that is sent, or a backup. */
export interface StateExport {
  /** The last entry whose effects are in it. */
  readonly point: LogPoint
  /** About how many bytes the rows have, for progress; an estimate that may be far off for a small state. */
  readonly estimatedBytes: number
  /**
   * The next rows in byte order of their keys: at least one, then until they have `maxBytes`. None at the end. One
   * call at a time; the state in memory is never more than a few rows beyond `maxBytes`.
   */
  readonly next: (maxBytes: number) => Effect.Effect<ReadonlyArray<StateRow>, StorageError>
}

/** An import that is not finished. No read sees its rows until then; closing its scope before that discards them. */
export interface StateImport {
  /**
   * Adds rows that were not there yet. One call at a time; a megabyte or so per call keeps other writes from waiting.
   */
  readonly write: (rows: ReadonlyArray<StateRow>) => Effect.Effect<void, StorageError>
  /**
   * Makes what was written the state of this store, applied up to `point`: durable when it succeeds, and seen by every
   * read that begins afterwards; a view that is open keeps its snapshot. No `commit` may run beside it. The disk
   * remembers `point` until the log covers it: see `LogStore.reset`.
   */
  readonly finish: (point: LogPoint) => Effect.Effect<void, StorageError>
}

/** The state that the last import took the place of. */
export interface ReplacedState {
  /** The data directory it is in, for an operator who goes back to it. */
  readonly path: string
  readonly point: LogPoint
  /** About how many bytes it takes; see `StateExport.estimatedBytes`. */
  readonly estimatedBytes: number
  /** How many rows it has, counted up to `limit`: a page at a time, so that other work goes on. */
  readonly countRows: (limit: number) => Effect.Effect<number, StorageError>
}

/**
 * The rows of a state machine on disk, with the last entry whose effects they hold.
 *
 * **When to use**
 *
 * In a state machine that is written against `StateMachine` itself. `RowMachine` uses it for you.
 *
 * **Details**
 *
 * Rows are written in batches together with the applied index, and not synced: the log is.
 */
export class StateStore extends Context.Service<
  StateStore,
  StateView & {
    /** The data directory, for messages. */
    readonly path: string

    /** The last entry whose effects the store held when it opened; `origin` when fresh. */
    readonly recovered: LogPoint

    /**
     * Applies `changes` in order and moves the applied point to `applied`, all or nothing. Not synced: the
     * log that produced it is durable, and after power loss the state is a prefix of the commits.
     */
    readonly commit: (changes: ReadonlyArray<StateChange>, applied: LogPoint) => Effect.Effect<void, StorageError>

    /** Runs `use` on a view, a snapshot (`getMany` alone already is one). */
    readonly withView: <A, E, R>(
      use: (view: StateView) => Effect.Effect<A, E, R>
    ) => Effect.Effect<A, E | StorageError, R>

    /**
     * Marks the directory, durably, as one that only releases with this feature level can read: an older one refuses it
     * before it looks at anything else. Nothing lowers the mark.
     */
    readonly requireLevel: (level: FeatureLevel) => Effect.Effect<void, StorageError>

    /** Makes all commits so far durable. */
    readonly sync: Effect.Effect<void, StorageError>

    /** A consistent view of everything, until the scope closes. Commits go on meanwhile, and are not in it. */
    readonly export: Effect.Effect<StateExport, StorageError, Scope.Scope>

    /** Begins an import into the place that is not active, which is emptied first. Waits while another one is open. */
    readonly import: Effect.Effect<StateImport, StorageError, Scope.Scope>

    /** `undefined` when no import took the place of a state, or the next one has begun. */
    readonly replaced: Effect.Effect<ReplacedState | undefined, StorageError>

    /**
     * Fails once the store cannot keep its promises any more, also when that is found between calls: a commit may be
     * written after it succeeded. Never succeeds; the node waits for it, and stops.
     */
    readonly failed: Effect.Effect<never, StorageError>
  }
>()("flaredb/storage/StateStore") {}
