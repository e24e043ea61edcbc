/**
 * The storage of Effect's unencrypted event log server, in FlareDB.
 *
 * - What a transaction writes is stored when its effect has succeeded, and only if no other server has written to the
 *   store since: the conflicts that its handlers were given are all that there were. Else the effect runs again, so a
 *   handler's own effects must stand being done twice. Effect's servers run one transaction for each write of a client.
 * - A transaction of up to 160 entries and 3 MiB is one step, also over several stores. A larger one is several, in
 *   order: when it ends in between, who writes again is told of the entries that are stored.
 * - Sequences of a store have no gaps, whichever server gives them; several servers of one name are one server.
 * - `changes` reads what is there in pages and goes on with a watch: what any server stores comes once and in order.
 *   Compactors are given the entries of a page.
 *
 * An entry has at most 1,000 KiB. Effect leaves no room for failures here: they are defects, with a typed error.
 */
import { Effect, Layer, Option, Stream } from "effect"
import type { Scope } from "effect"
import { EventJournal, EventLogServerUnencrypted } from "effect/eventlog"
import type { KeyValueEntry, ReadFailure, WriteFailure } from "../../client/KeyValue.ts"
import { KeyValue } from "../../client/KeyValue.ts"
import { Op } from "../../client/Txn.ts"
import { Watch } from "../../client/Watch.ts"
import { defaultPrefix } from "../persistence/Keys.ts"
import { firstSequence, maxOperations } from "./AppendedRows.ts"
import type { EventLogStorageOptions } from "./EncryptedStorage.ts"
import type { ReadTooLarge } from "./Failures.ts"
import { duplicate, idProblem, sizeProblem } from "./Failures.ts"
import { follow } from "./Follow.ts"
import { ReadBudget } from "./JournalReader.ts"
import type { StoreKeys } from "./Layout.ts"
import { groupPart, idPart, sequenceOfKey, ServerKeys } from "./Layout.ts"
import { entryBytes, LogTransactions } from "./LogTransaction.ts"
import { decodeEntry, decodeNumber } from "./Rows.ts"
import { ServerRows } from "./ServerRows.ts"

type Service = EventLogServerUnencrypted.Storage["Service"]
type Entry = EventJournal.Entry
type RemoteEntry = EventJournal.RemoteEntry

export interface EventLogUnencryptedStorageOptions extends EventLogStorageOptions {
  /** Most bytes of stored entries that one write is compared with. Beyond it the write fails. Default 256 MiB. */
  readonly maxReadBytes?: number | undefined
}

const defaultMaxReadBytes = 256 * 1024 * 1024

/** Reads of rows and of groups that are under way at a time, and rows of a page. */
const rowConcurrency = 64
const groupConcurrency = 16
const pageRows = 1_000

const make = Effect.fnUntraced(function*(
  { maxReadBytes = defaultMaxReadBytes, name = "default", prefix = defaultPrefix }: EventLogUnencryptedStorageOptions
): Effect.fn.Return<Service, never, KeyValue | Watch | Scope.Scope> {
  const kv = yield* KeyValue
  const watch = yield* Watch
  const keys = new ServerKeys(prefix, "el", name)
  const server = new ServerRows(kv, keys)
  const transactions = yield* LogTransactions.make(kv)

  const budgetOf = () => new ReadBudget("the stored entries that a write is compared with", maxReadBytes)

  /** Sequences of the entries below a prefix whose ids come after an id. */
  const sequencesAfter = Effect.fnUntraced(function*(
    below: string,
    id: Uint8Array,
    budget: ReadBudget
  ): Effect.fn.Return<ReadonlyArray<number>, ReadFailure | ReadTooLarge> {
    const sequences: Array<number> = []
    let cursor: Uint8Array | string | undefined = below + idPart(id)
    do {
      const page: Effect.Success<ReturnType<KeyValue["Service"]["scan"]>> = yield* kv.scan(below, {
        cursor,
        limit: pageRows,
        consistency: "linearizable"
      })
      for (const row of page.entries) {
        yield* budget.take(row)
        sequences.push(decodeNumber(row))
      }
      cursor = page.cursor
    } while (cursor !== undefined)
    return sequences
  })

  /** Sequences of those of these entries that are stored. */
  const sequencesOf = Effect.fnUntraced(function*(
    store: StoreKeys,
    entries: ReadonlyArray<Entry>
  ): Effect.fn.Return<ReadonlyArray<number>, WriteFailure> {
    const sequences: Array<number> = []
    for (let from = 0; from < entries.length; from += maxOperations) {
      const part = entries.slice(from, from + maxOperations)
      const { results } = yield* kv.transact(
        { do: part.map(({ id }) => Op.get(store.id(id))) },
        { consistency: "linearizable" }
      )
      for (const row of results) if (Option.isSome(row)) sequences.push(decodeNumber(row.value))
    }
    return sequences
  })

  /** The stored entries that a batch may be a copy of or in conflict with; all from an id on without one. */
  const history = Effect.fnUntraced(function*(
    store: StoreKeys,
    oldest: Entry,
    batch: ReadonlyArray<Entry> | undefined,
    budget: ReadBudget
  ): Effect.fn.Return<Array<RemoteEntry>, ReadFailure | WriteFailure | ReadTooLarge> {
    const groups = batch === undefined
      ? [store.ids]
      : new Set(batch.map(({ event, primaryKey }) => store.group(event, primaryKey)))
    const after = yield* Effect.forEach(groups, (group) => sequencesAfter(group, oldest.id, budget), {
      concurrency: groupConcurrency
    })
    const sequences = new Set([...(yield* sequencesOf(store, batch ?? [oldest])), ...after.flat()])
    const rows = yield* Effect.forEach(sequences, (sequence) => kv.get(store.appended.row(sequence)), {
      concurrency: rowConcurrency
    })
    const entries: Array<RemoteEntry> = []
    for (const row of rows) {
      if (Option.isNone(row)) continue
      yield* budget.take(row.value)
      entries.push(decoded(row.value))
    }
    return entries.sort((a, b) => a.remoteSequence - b.remoteSequence)
  })

  const write = Effect.fnUntraced(function*(store: StoreKeys, entries: ReadonlyArray<Entry>) {
    for (const entry of entries) {
      const problem = idProblem(`the id of an event ${entry.event}`, entry.id) ??
        sizeProblem(`an event ${entry.event}`, entryBytes(entry))
      if (problem !== undefined) return yield* problem
    }
    const open = yield* transactions.store(store)
    if (open === undefined) return []
    const ids = new Set(open.pending.map(({ entry }) => entry.idString))
    const written: Array<RemoteEntry> = []
    for (const entry of entries) {
      if (ids.has(entry.idString)) return yield* duplicate(entry.id)
      ids.add(entry.idString)
      const remoteSequence = open.behind.last + open.pending.length + written.length + 1
      written.push(new EventJournal.RemoteEntry({ remoteSequence, entry }, { disableChecks: true }))
    }
    open.pending.push(...written)
    return written
  })

  return EventLogServerUnencrypted.Storage.of({
    getId: server.remoteId,
    firstSequence,
    getOrCreateSessionAuthBinding: (publicKey, signingPublicKey) => server.binding(publicKey, signingPublicKey),
    entriesAfter: (storeId, oldest, batch) =>
      Effect.orDie(Effect.gen(function*() {
        const store = keys.store(storeId)
        // Its end is looked at first: whatever is stored after it is seen at the commit.
        const open = yield* transactions.store(store)
        const entries = yield* history(store, oldest, batch, budgetOf())
        return [...entries, ...(open?.pending ?? []).filter(({ entry }) => concerns(entry, oldest, batch))]
      })),
    write: (storeId, entries) =>
      entries.length === 0 ? Effect.succeed([]) : Effect.orDie(transactions.run(write(keys.store(storeId), entries))),
    changes: ({ compactors, startSequence, storeId }) => {
      const { appended } = keys.store(storeId)
      const behind = startSequence > firstSequence ? appended.row(startSequence - 1) : undefined
      return follow({ kv, watch }, appended.rows, behind).pipe(
        Stream.mapEffect(({ backlog, rows }) => {
          const remoteEntries = rows.map(decoded)
          return backlog
            ? EventLogServerUnencrypted.compactBacklog({ compactors, remoteEntries })
            : Effect.succeed(remoteEntries)
        }),
        Stream.flattenIterable
      )
    },
    withTransaction: transactions.run
  })
})

const decoded = (row: KeyValueEntry): RemoteEntry =>
  new EventJournal.RemoteEntry(
    { remoteSequence: sequenceOfKey(row.keyText), entry: decodeEntry(row) },
    { disableChecks: true }
  )

/** Whether an entry is a copy of one of a batch, or of its event and primary key and not older than all of it. */
const concerns = (entry: Entry, oldest: Entry, batch: ReadonlyArray<Entry> | undefined): boolean => {
  const isLater = EventJournal.Entry.Order(entry, oldest) >= 0
  if (batch === undefined) return isLater
  const group = groupPart(entry.event, entry.primaryKey)
  return batch.some((one) =>
    one.idString === entry.idString || (isLater && groupPart(one.event, one.primaryKey) === group)
  )
}

/** Effect's storage for unencrypted event logs, kept in FlareDB; `EventLogServerUnencrypted.layer` serves it. */
export const layer = (
  options: EventLogUnencryptedStorageOptions = {}
): Layer.Layer<EventLogServerUnencrypted.Storage, never, KeyValue | Watch> =>
  Layer.effect(EventLogServerUnencrypted.Storage, make(options))
