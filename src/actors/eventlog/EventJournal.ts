/**
 * Effect's `EventJournal` in FlareDB: what `EventLog` stands on. Processes that give the same name share a journal.
 *
 * - Entries are committed in one order for all processes, and get a sequence in it without gaps. An id comes after
 *   every id that the journal had when the write began, whatever the clocks of other processes say.
 * - What several fibers write at once is one transaction. The effect of a write runs once, before the commit.
 * - An import is stored only if no entry was added since it was compared with what is there; else it is compared again,
 *   and its effect runs again. It takes one step for each 240 entries; an import that ends in between goes on behind
 *   what is stored when the remote sends it again.
 * - `changes` also has what other processes write.
 * - `withLock` excludes fibers of this process. Other processes need no lock: what they append is seen at the commit.
 *
 * A write whose answer was lost is repeated until its result is known; it takes effect once. `writeMany` stores at most
 * 240 entries and 3 MiB, an entry has at most 1,000 KiB. Failures are `EventJournalError`, with a typed `cause`.
 */
import { Effect, Layer, PubSub, Semaphore } from "effect"
import type { Scope } from "effect"
import { EventJournal } from "effect/eventlog"
import type { KeyValue } from "../../client/KeyValue.ts"
import { LatestReads } from "../LatestReads.ts"
import { Watch } from "../../client/Watch.ts"
import { clearPrefix } from "../persistence/Clearing.ts"
import { defaultPrefix } from "../persistence/Keys.ts"
import { maxBytes } from "./AppendedRows.ts"
import { newIds } from "./EntryIds.ts"
import { failed, sizeProblem, stored, TooManyEntries } from "./Failures.ts"
import { JournalChanges } from "./JournalChanges.ts"
import { JournalImports } from "./JournalImports.ts"
import { JournalReader, ReadBudget } from "./JournalReader.ts"
import { entryBytes, JournalWriter, maxStepEntries } from "./JournalWriter.ts"
import { JournalUploads } from "./JournalUploads.ts"
import { JournalKeys } from "./Layout.ts"
import { acknowledgedFrom, position, raise, repeated } from "./Positions.ts"

type Service = EventJournal.EventJournal["Service"]
type Entry = EventJournal.Entry

/** Where a journal lies in the store, and how much of it one call may read. */
export interface EventJournalOptions {
  /** Journals of different names share nothing. Default `default`. */
  readonly name?: string | undefined
  /** Before every key. Default `fx/`. */
  readonly prefix?: string | undefined
  /**
   * Most bytes that one call reads into memory: `entries`, `entriesById`, and the stored entries that an import is
   * compared with. Beyond it the call fails. Default 256 MiB.
   */
  readonly maxReadBytes?: number | undefined
}

const defaultMaxReadBytes = 256 * 1024 * 1024

/** Why entries are not written in one step. */
const problemOf = (entries: ReadonlyArray<Entry>) => {
  const sizes = entries.map(entryBytes)
  const bytes = sizes.reduce((sum, size) => sum + size, 0)
  return entries.length > maxStepEntries || bytes > maxBytes
    ? new TooManyEntries({
      what: "the write",
      entries: entries.length,
      maxEntries: maxStepEntries,
      bytes,
      maxBytes
    })
    : entries.map((entry, i) => sizeProblem(`the event ${entry.event}`, sizes[i] as number)).find(Boolean)
}

const make = Effect.fnUntraced(function*(
  { maxReadBytes = defaultMaxReadBytes, name = "default", prefix = defaultPrefix }: EventJournalOptions
): Effect.fn.Return<Service, never, KeyValue | Watch | Scope.Scope> {
  const kv = yield* LatestReads
  const watch = yield* Watch
  const scope = yield* Effect.scope
  const keys = new JournalKeys(prefix, name)
  const writer = new JournalWriter(kv, keys)
  const reader = new JournalReader(kv, keys)
  const pubsub = yield* PubSub.unbounded<Entry>()
  const changes = new JournalChanges({ kv, watch, scope, keys, name, writer, reader, pubsub, maxReadBytes })
  const imports = new JournalImports({ kv, keys, writer, reader, maxReadBytes })
  const uploads = new JournalUploads({ kv, keys, writer, reader, maxReadBytes })
  const base = new TextEncoder().encode(keys.base)

  const writeMany: Service["writeMany"] = ({ effect, entries }) => {
    const method = "writeMany"
    const problem = problemOf(entries as unknown as ReadonlyArray<Entry>)
    if (problem !== undefined) return Effect.fail(failed(method)(problem))
    return Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const { latest } = yield* restore(stored(method, writer.end))
        const ids = newIds(entries.length, latest)
        const written = entries.map((entry, i) =>
          new EventJournal.Entry({ id: ids[i] as EventJournal.EntryId, ...entry }, { disableChecks: true })
        ) as unknown as Parameters<typeof effect>[0]
        const result = yield* restore(effect(written))
        yield* stored(method, writer.add(written))
        yield* PubSub.publishAll(pubsub, written)
        return result
      })
    )
  }

  const locks = new Map<string, Semaphore.Semaphore>()

  return EventJournal.EventJournal.of({
    entries: Effect.suspend(() => stored("entries", reader.all(new ReadBudget("the entries", maxReadBytes)))),
    entriesById: (ids) =>
      Effect.suspend(() => stored("entriesById", reader.byIds(ids, new ReadBudget("the entries", maxReadBytes)))),
    write: ({ effect, ...entry }) => writeMany({ entries: [entry], effect: (entries) => effect(entries[0]) }),
    writeMany,
    writeFromRemote: (options) => imports.run(options),
    withRemoteUncommited: (remoteId, f) => uploads.run(remoteId, f),
    writeRemoteAcks: ({ acks, firstSequence, remoteId }) =>
      acks.length === 0 ? Effect.void : Effect.asVoid(stored(
        "writeRemoteAcks",
        raise(kv, keys.downloaded(remoteId), (next) => acknowledgedFrom(next, acks, firstSequence))
      )),
    nextRemoteSequence: (remoteId) =>
      Effect.map(stored("nextRemoteSequence", position(kv, keys.downloaded(remoteId))), ({ value }) => value),
    changes: Effect.tap(PubSub.subscribe(pubsub), changes.follow),
    destroy: stored("destroy", Effect.ensuring(repeated(clearPrefix(kv, base)), Effect.sync(() => writer.forget()))),
    withLock: (storeId) => {
      const lock = locks.get(storeId) ?? Semaphore.makeUnsafe(1)
      locks.set(storeId, lock)
      return lock.withPermit
    }
  })
})

/**
 * Effect's `EventJournal`, kept in FlareDB; `EventLog.layer` makes a log of it.
 *
 * **When to use**
 *
 * For an event log whose entries several processes write and read.
 *
 * **Gotchas**
 *
 * A call that would read more than `maxReadBytes` fails: 256 MiB by default.
 */
export const layer = (
  options: EventJournalOptions = {}
): Layer.Layer<EventJournal.EventJournal, never, KeyValue | Watch> =>
  Layer.effect(EventJournal.EventJournal, make(options))
