/**
 * `Storage.withTransaction` of the unencrypted server: what is written inside waits, and is stored when the effect has
 * succeeded, if no server has appended to a store since its end was looked at. Else the effect runs again.
 *
 * In one process the transactions of a store follow one another: the first store that one uses is locked for it. Servers
 * beside each other are told apart at the commit.
 */
import { Context, Data, Effect, Option, RcMap, Random, Semaphore } from "effect"
import type { Scope } from "effect"
import type { EventJournal } from "effect/eventlog"
import type { KeyValue, ReadFailure, WriteFailure } from "../../client/KeyValue.ts"
import { Compare, Op } from "../../client/Txn.ts"
import type { Tail } from "./AppendedRows.ts"
import { AppendedRows, Marks, maxBytes } from "./AppendedRows.ts"
import { duplicate, LogContended, PartlyStored } from "./Failures.ts"
import type { StoreKeys } from "./Layout.ts"
import { idPart, sequenceOfKey } from "./Layout.ts"
import { encodeEntry, encodeNumber } from "./Rows.ts"

type RemoteEntry = EventJournal.RemoteEntry

/** Entries that are stored in one step: each has three rows and a condition. */
const maxStepEntries = 160

/** Times that an effect runs because other servers append, and the longest pause between two, in milliseconds. */
const maxAttempts = 20
const longestPauseMs = 64

/** Bytes of an entry's rows, about. */
export const entryBytes = ({ event, payload, primaryKey }: EventJournal.Entry): number =>
  payload.byteLength + 3 * (event.length + primaryKey.length) + 512

/** A store as a transaction knows it. */
export interface OpenStore {
  readonly keys: StoreKeys
  readonly rows: AppendedRows
  /** The end that what is written goes behind. */
  readonly behind: Tail
  readonly pending: Array<RemoteEntry>
}

/** Others appended to a store: the effect has to run again. */
class Overtaken extends Data.TaggedError("Overtaken")<{ readonly rows: string }> {}

/** The transaction that is open, in this fiber. */
class OpenLog extends Context.Service<OpenLog, {
  readonly stores: Map<string, OpenStore>
  readonly scope: Scope.Scope
}>()("flaredb/actors/OpenLog") {}

export class LogTransactions {
  private readonly kv: KeyValue["Service"]
  private readonly locks: RcMap.RcMap<string, Semaphore.Semaphore>
  private readonly marks = new Marks()
  /** The ends of stores as this process knows them. */
  private readonly known = new Map<string, Tail>()

  constructor(kv: KeyValue["Service"], locks: RcMap.RcMap<string, Semaphore.Semaphore>) {
    this.kv = kv
    this.locks = locks
  }

  /** Runs an effect as one transaction; an inner one is part of the outer one. What cannot be stored is a defect. */
  readonly run = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.flatMap(Effect.serviceOption(OpenLog), (outer) =>
      Option.isSome(outer) ? attempt(outer.value.stores, effect) : this.outermost(effect))

  /** The store in the open transaction. */
  readonly store = Effect.fnUntraced({ self: this }, function*(
    this: LogTransactions,
    keys: StoreKeys
  ): Effect.fn.Return<OpenStore, ReadFailure, OpenLog> {
    const { scope, stores } = yield* OpenLog
    const there = stores.get(keys.base)
    if (there !== undefined) return there
    // A second store is not locked: two transactions could wait for each other.
    if (stores.size === 0) {
      const lock = yield* Effect.provideService(RcMap.get(this.locks, keys.base), ScopeTag, scope)
      yield* Effect.provideService(Effect.acquireRelease(lock.take(1), () => lock.release(1)), ScopeTag, scope)
    }
    const rows = new AppendedRows(this.kv, keys.appended, (row) => sequenceOfKey(row.keyText))
    const behind = this.known.get(keys.base) ?? (yield* rows.tail)
    const store: OpenStore = { keys, rows, behind, pending: [] }
    stores.set(keys.base, store)
    return store
  })
}
