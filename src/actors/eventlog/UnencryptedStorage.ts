/**
 * The storage of Effect's unencrypted event log server, in FlareDB.
 *
 * - What a transaction writes is stored when its effect has succeeded, and only if no other server has written to the
 *   store since: the conflicts that its handlers were given are all that there were. Else the effect runs again, so a
 *   handler's own effects must stand being done twice. Effect's servers run one transaction for each write of a client.
 * - A transaction of up to 160 entries and 3 MiB is one step, also over several stores. A larger one is several, in
 *   order: when it ends in between, a client that writes again gets the entries that are stored.
 * - Sequences of a store have no gaps, whichever server gives them; several servers of one name are one server.
 * - `changes` reads what is there in pages and goes on with a watch: what any server stores comes once and in order.
 *   Compactors are given the entries of a page.
 *
 * An entry has at most 1,000 KiB. Effect leaves no room for failures here: they are defects, with a typed error.
 */
import { Effect, Layer, Stream } from "effect"
import type { Scope } from "effect"
import { EventJournal, EventLogServerUnencrypted } from "effect/eventlog"
import type { KeyValue, ReadFailure } from "../../client/KeyValue.ts"
import { LatestReads } from "../LatestReads.ts"
import { Watch } from "../../client/Watch.ts"
import { defaultPrefix } from "../persistence/Keys.ts"
import { firstSequence } from "./AppendedRows.ts"
import { concerns, EntryHistory, remoteEntryOf } from "./EntryHistory.ts"
import type { EventLogStorageOptions } from "./EncryptedStorage.ts"
import type { DuplicateEntry, InvalidId, RowTooLarge } from "./Failures.ts"
import { duplicate, idProblem, sizeProblem } from "./Failures.ts"
import { follow } from "./Follow.ts"
import type { StoreKeys } from "./Layout.ts"
import { ServerKeys } from "./Layout.ts"
import { entryBytes, LogTransactions } from "./LogTransaction.ts"
import { ServerRows } from "./ServerRows.ts"

type Service = EventLogServerUnencrypted.Storage["Service"]
type Entry = EventJournal.Entry
type RemoteEntry = EventJournal.RemoteEntry

/** The same for a server that can read the entries. */
export interface EventLogUnencryptedStorageOptions extends EventLogStorageOptions {
  /** Most bytes of stored entries that one write is compared with. Beyond it the write fails. Default 256 MiB. */
  readonly maxReadBytes?: number | undefined
}

const defaultMaxReadBytes = 256 * 1024 * 1024

const make = Effect.fnUntraced(function*(
  { maxReadBytes = defaultMaxReadBytes, name = "default", prefix = defaultPrefix }: EventLogUnencryptedStorageOptions
): Effect.fn.Return<Service, never, KeyValue | Watch | Scope.Scope> {
  const kv = yield* LatestReads
  const watch = yield* Watch
  const keys = new ServerKeys(prefix, "el", name)
  const server = new ServerRows(kv, keys)
  const transactions = yield* LogTransactions.make(kv)

  const history = new EntryHistory(kv, maxReadBytes)

  const write = Effect.fnUntraced(function*(
    store: StoreKeys,
    entries: ReadonlyArray<Entry>
  ): Effect.fn.Return<ReadonlyArray<RemoteEntry>, ReadFailure | InvalidId | RowTooLarge | DuplicateEntry> {
    for (const entry of entries) {
      const problem = idProblem(`the id of an event ${entry.event}`, entry.id) ??
        sizeProblem(`an event ${entry.event}`, entryBytes(entry))
      if (problem !== undefined) return yield* problem
    }
    const open = yield* transactions.store(store)
    // The transaction that it was a part of has ended: it is one of its own.
    if (open === undefined) return yield* transactions.run(write(store, entries))
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
        const entries = yield* history.read(store, oldest, batch)
        return [...entries, ...(open?.pending ?? []).filter(({ entry }) => concerns(entry, oldest, batch))]
      })),
    write: (storeId, entries) =>
      entries.length === 0 ? Effect.succeed([]) : Effect.orDie(transactions.run(write(keys.store(storeId), entries))),
    changes: ({ compactors, startSequence, storeId }) => {
      const { appended } = keys.store(storeId)
      const behind = startSequence > firstSequence ? appended.row(startSequence - 1) : undefined
      return follow({ kv, watch }, appended.rows, behind).pipe(
        Stream.mapEffect(({ backlog, rows }) => {
          const remoteEntries = rows.map(remoteEntryOf)
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

/**
 * Effect's storage for unencrypted event logs, kept in FlareDB; `EventLogServerUnencrypted.layer` serves it.
 *
 * **When to use**
 *
 * In a server that keeps event logs and handles their entries.
 */
export const layer = (
  options: EventLogUnencryptedStorageOptions = {}
): Layer.Layer<EventLogServerUnencrypted.Storage, never, KeyValue | Watch> =>
  Layer.effect(EventLogServerUnencrypted.Storage, make(options))
