/**
 * The applied state machine on disk: an ordered map of bytes with the applied index inside
 * it. A contract with a RocksDB layer (`RocksStateStore.ts`), a memory layer
 * (`MemoryStore.ts`), and a conformance suite (`flaredb/testing`) that both pass.
 */
import { Context } from "effect"
import type { Effect } from "effect"
import type { LogPoint } from "../raft/Types.ts"
import type { StorageError } from "./StorageError.ts"

/** One change of the map. `start < end` always holds for `deleteRange`; `end` is not included. */
export type StateChange =
  | { readonly _tag: "Put"; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly _tag: "Delete"; readonly key: Uint8Array }
  | { readonly _tag: "DeleteRange"; readonly start: Uint8Array; readonly end: Uint8Array }

export interface ScanOptions {
  /** First key, included. Never empty. */
  readonly gte: Uint8Array
  /** End key, not included. Never empty. */
  readonly lt: Uint8Array
  /** Most rows to return, ≥ 1. */
  readonly limit: number
  readonly reverse?: boolean
  /** Leave the values out (each row's value is empty). */
  readonly keysOnly?: boolean
}

export interface StateRow {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** Reads of one moment: later commits are not seen. */
export interface StateView {
  /** Values in the order of `keys`; `undefined` where there is none. One round trip to the engine. */
  readonly getMany: (
    keys: ReadonlyArray<Uint8Array>
  ) => Effect.Effect<ReadonlyArray<Uint8Array | undefined>, StorageError>
  /** Rows in byte order of their keys. */
  readonly scan: (options: ScanOptions) => Effect.Effect<ReadonlyArray<StateRow>, StorageError>
}

export class StateStore extends Context.Service<
  StateStore,
  StateView & {
    /** The last entry whose effects the store held when it opened; `origin` when fresh. */
    readonly recovered: LogPoint

    /**
     * Applies `changes` in order and moves the applied point to `applied`, all or nothing. Not synced: the
     * log that produced it is durable, and after power loss the state is a prefix of the commits.
     */
    readonly commit: (changes: ReadonlyArray<StateChange>, applied: LogPoint) => Effect.Effect<void, StorageError>

    /** Runs `use` on a view fixed at one moment (`getMany` alone already is one). */
    readonly withView: <A, E, R>(
      use: (view: StateView) => Effect.Effect<A, E, R>
    ) => Effect.Effect<A, E | StorageError, R>

    /** Makes all commits so far durable. */
    readonly sync: Effect.Effect<void, StorageError>
  }
>()("flaredb/storage/StateStore") {}
