/**
 * `Storage.withTransaction` of the unencrypted server: what is written inside waits, and is stored when the effect has
 * succeeded, if no server has appended to a store since its end was looked at. Else the effect runs again.
 *
 * In one process the transactions of a store follow one another: the first store that one uses is locked for it.
 * Servers beside each other are told apart at the commit.
 */
import { Context, Effect, Option, Random, RcMap, Scope, Semaphore } from "effect"
import type { EventJournal } from "effect/eventlog"
import type { KeyValue, ReadFailure, WriteFailure } from "../../client/KeyValue.ts"
import { Compare, Op } from "../../client/Txn.ts"
import type { Tail } from "./AppendedRows.ts"
import { AppendedRows, Marks, maxBytes } from "./AppendedRows.ts"
import type { DuplicateEntry } from "./Failures.ts"
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
  behind: Tail
  readonly pending: Array<RemoteEntry>
}

interface OpenTransaction {
  readonly stores: Map<string, OpenStore>
  readonly scope: Scope.Scope
  /** Until its effect has ended, which fibers of the effect may outlive. */
  isOpen: boolean
}

/**
 * The transactions that this fiber, or the one that forked it, was in, one of each storage: what is written to another
 * one is no part of it.
 */
const OpenLogs = Context.Reference<ReadonlyMap<object, OpenTransaction>>("flaredb/actors/OpenLogs", {
  defaultValue: () => new Map()
})

/** Entries of a store that are stored in the same step as those of others. */
interface Part {
  readonly store: OpenStore
  readonly entries: Array<RemoteEntry>
}

export class LogTransactions {
  private readonly kv: KeyValue["Service"]
  private readonly locks: RcMap.RcMap<string, Semaphore.Semaphore>
  private readonly marks = new Marks()

  private constructor(kv: KeyValue["Service"], locks: RcMap.RcMap<string, Semaphore.Semaphore>) {
    this.kv = kv
    this.locks = locks
  }

  static make(kv: KeyValue["Service"]): Effect.Effect<LogTransactions, never, Scope.Scope> {
    return Effect.map(
      RcMap.make({ lookup: (_store: string) => Semaphore.make(1) }),
      (locks) => new LogTransactions(kv, locks)
    )
  }

  /** Runs an effect as one transaction; an inner one is part of the outer one. What cannot be stored is a defect. */
  readonly run = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.flatMap(OpenLogs, (others) => {
      const outer = others.get(this)
      return outer?.isOpen === true ? inner(outer, effect) : this.outermost(effect, others)
    })

  /** The store in the open transaction; nothing outside of one. */
  readonly store = Effect.fnUntraced(
    { self: this },
    function*(this: LogTransactions, keys: StoreKeys): Effect.fn.Return<OpenStore | undefined, ReadFailure> {
      const open = (yield* OpenLogs).get(this)
      if (open?.isOpen !== true) return undefined
      const { scope, stores } = open
      const there = stores.get(keys.base)
      if (there !== undefined) return there
      // A second store is not locked: two transactions could wait for each other.
      if (stores.size === 0) yield* Scope.provide(this.lock(keys.base), scope)
      const rows = new AppendedRows(this.kv, keys.appended, (row) => sequenceOfKey(row.keyText))
      const store: OpenStore = { keys, rows, behind: yield* rows.tail, pending: [] }
      stores.set(keys.base, store)
      // It may have ended meanwhile, without this fiber.
      return open.isOpen ? store : undefined
    }
  )

  private lock(store: string): Effect.Effect<void, never, Scope.Scope> {
    return Effect.flatMap(
      RcMap.get(this.locks, store),
      (lock) => Effect.asVoid(Effect.acquireRelease(lock.take(1), () => lock.release(1), { interruptible: true }))
    )
  }

  private outermost<A, E, R>(
    effect: Effect.Effect<A, E, R>,
    others: ReadonlyMap<object, OpenTransaction>
  ): Effect.Effect<A, E, R> {
    const once = Effect.scopedWith((scope) => {
      const stores = new Map<string, OpenStore>()
      const open: OpenTransaction = { stores, scope, isOpen: true }
      return Effect.flatMap(
        Effect.provideService(effect, OpenLogs, new Map([...others, [this, open]])).pipe(
          Effect.ensuring(Effect.sync(() => open.isOpen = false))
        ),
        (result) => Effect.map(Effect.orDie(this.commit([...stores.values()])), (stored) => ({ stored, result }))
      )
    })
    return Effect.gen(function*() {
      for (let attempt = 1; attempt <= maxAttempts; attempt++) {
        const { result, stored } = yield* once
        if (stored) return result
        yield* Effect.sleep(yield* Random.nextIntBetween(0, Math.min(2 ** attempt, longestPauseMs)))
      }
      return yield* Effect.die(new LogContended({ rows: "the stores of the transaction", attempts: maxAttempts }))
    })
  }

  /** Stores what was written. False when nothing was, because others appended. */
  private readonly commit = Effect.fnUntraced({ self: this }, function*(
    this: LogTransactions,
    stores: ReadonlyArray<OpenStore>
  ): Effect.fn.Return<boolean, ReadFailure | WriteFailure | DuplicateEntry | PartlyStored> {
    const entries = stores.reduce((sum, { pending }) => sum + pending.length, 0)
    let stored = 0
    for (const parts of stepsOf(stores)) {
      const tail = yield* this.append(parts)
      if (Option.isNone(tail)) {
        if (stored > 0) return yield* new PartlyStored({ stored, entries })
        yield* this.refuseDuplicates(parts)
        return false
      }
      for (const { entries, store } of parts) {
        const last = store.behind.last + entries.length
        store.behind = { last, row: undefined, key: store.keys.appended.row(last), revision: tail.value.revision }
        stored += entries.length
      }
    }
    return true
  })

  private append(parts: ReadonlyArray<Part>): Effect.Effect<Option.Option<Tail>, WriteFailure> {
    const mark = this.marks.next()
    const [first, ...others] = parts as readonly [Part, ...ReadonlyArray<Part>]
    const { behind, keys, rows } = first.store
    const last = behind.last + first.entries.length
    return rows.append({
      behind,
      last,
      lastKey: keys.appended.row(last),
      mark,
      if: [
        ...others.flatMap(({ store }) => store.rows.isLast(store.behind)),
        ...parts.flatMap(({ entries, store }) => entries.map(({ entry }) => Compare.missing(store.keys.id(entry.id))))
      ],
      do: parts.flatMap(({ entries, store }) => entries.flatMap((entry) => rowsOf(store.keys, entry, mark)))
    })
  }

  /** Fails when an entry is stored already, and that is why nothing was. */
  private readonly refuseDuplicates = Effect.fnUntraced({ self: this }, function*(
    this: LogTransactions,
    parts: ReadonlyArray<Part>
  ): Effect.fn.Return<void, ReadFailure | DuplicateEntry> {
    for (const { entries, store } of parts) {
      if ((yield* store.rows.tail).last !== store.behind.last) return
      for (const { entry } of entries) {
        if (Option.isSome(yield* this.kv.get(store.keys.id(entry.id)))) return yield* duplicate(entry.id)
      }
    }
  })
}

/** Takes back what an inner transaction wrote when it fails. */
const inner = <A, E, R>({ stores }: OpenTransaction, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const lengths = new Map([...stores].map(([base, { pending }]) => [base, pending.length]))
    return Effect.onError(effect, () =>
      Effect.sync(() => {
        for (const [base, { pending }] of stores) pending.length = lengths.get(base) ?? 0
      }))
  })

const rowsOf = (keys: StoreKeys, { entry, remoteSequence }: RemoteEntry, mark: Uint8Array) => [
  Op.put(keys.appended.row(remoteSequence), encodeEntry(entry, mark)),
  Op.put(keys.id(entry.id), encodeNumber(remoteSequence)),
  Op.put(keys.group(entry.event, entry.primaryKey) + idPart(entry.id), encodeNumber(remoteSequence))
]

/** What is pending, in steps that a transaction holds. */
const stepsOf = (stores: ReadonlyArray<OpenStore>): ReadonlyArray<ReadonlyArray<Part>> => {
  const steps: Array<Array<Part>> = []
  let count = 0
  let bytes = 0
  for (const store of stores) {
    for (const entry of store.pending) {
      const size = entryBytes(entry.entry)
      if (steps.length === 0 || count >= maxStepEntries || bytes + size > maxBytes) {
        steps.push([])
        count = 0
        bytes = 0
      }
      count++
      bytes += size
      const step = steps[steps.length - 1] as Array<Part>
      const part = step.at(-1)
      if (part?.store === store) part.entries.push(entry)
      else step.push({ store, entries: [entry] })
    }
  }
  return steps
}
