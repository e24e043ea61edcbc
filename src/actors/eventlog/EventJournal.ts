/**
 * Effect's `EventJournal` in FlareDB: what `EventLog` stands on. Processes that give the same name share a journal.
 *
 * - Entries are committed in one order for all processes, and get a sequence in it without gaps. An id comes after every
 *   id that the journal had when the write began, whatever the clocks of other processes say.
 * - What several fibers write at once is one transaction. The effect of a write runs once, before the commit.
 * - An import is stored only if no entry was added since it was compared with what is there; else it is compared again,
 *   and its effect runs again. It takes one step for each 240 entries; an import that ends in between goes on behind
 *   what is stored when the remote sends it again.
 * - `changes` tells what other processes write, too.
 * - `withLock` excludes fibers of this process. Other processes need no lock: what they append is seen at the commit.
 *
 * A write whose answer was lost is repeated until it is known; it takes effect once. `writeMany` stores at most 240
 * entries and 3 MiB, an entry has at most 1,000 KiB. Failures are `EventJournalError`, with a typed `cause`.
 */
import { Effect, Layer, Option, PubSub, Schedule, Semaphore, Stream } from "effect"
import type { Scope } from "effect"
import { EventJournal } from "effect/eventlog"
import type { KeyValueEntry } from "../../client/KeyValue.ts"
import { KeyValue } from "../../client/KeyValue.ts"
import { Watch } from "../../client/Watch.ts"
import { clearPrefix } from "../persistence/Clearing.ts"
import { defaultPrefix } from "../persistence/Keys.ts"
import { maxBytes } from "./AppendedRows.ts"
import { newIds } from "./EntryIds.ts"
import { failed, sizeProblem, stored, TooManyEntries } from "./Failures.ts"
import { follow } from "./Follow.ts"
import { JournalReader, ReadBudget } from "./JournalReader.ts"
import { entryBytes, JournalWriter, maxStepEntries } from "./JournalWriter.ts"
import { JournalImports } from "./JournalImports.ts"
import { JournalKeys } from "./Layout.ts"
import { acknowledgedFrom, position, raise, repeated } from "./Positions.ts"
import { decodeAdded, markOf } from "./Rows.ts"

type Service = EventJournal.EventJournal["Service"]
type Entry = EventJournal.Entry
type RemoteId = EventJournal.RemoteId

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

/** Pause before what others wrote is read again after a failure. */
const readAgainAfter = "200 millis"

/** Entries that `withRemoteUncommited` gives at a time. */
const uploadEntries = 1_000

const make = Effect.fnUntraced(function*(
  { maxReadBytes = defaultMaxReadBytes, name = "default", prefix = defaultPrefix }: EventJournalOptions
): Effect.fn.Return<Service, never, KeyValue | Watch | Scope.Scope> {
  const kv = yield* KeyValue
  const watch = yield* Watch
  const scope = yield* Effect.scope
  const keys = new JournalKeys(prefix, name)
  const writer = new JournalWriter(kv, keys)
  const reader = new JournalReader(kv, keys)
  const pubsub = yield* PubSub.unbounded<Entry>()
  const base = new TextEncoder().encode(keys.base)

  const writeMany: Service["writeMany"] = ({ effect, entries }) => {
    const method = "writeMany"
    const bytes = entries.reduce((sum, entry) => sum + entryBytes(entry as Entry), 0)
    const problem = entries.length > maxStepEntries || bytes > maxBytes
      ? new TooManyEntries({
        what: "the write",
        entries: entries.length,
        maxEntries: maxStepEntries,
        bytes,
        maxBytes
      })
      : entries.map((entry) => sizeProblem(`the event ${entry.event}`, entryBytes(entry as Entry))).find(Boolean)
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

  const imports = new JournalImports({ kv, keys, writer, reader, maxReadBytes })

  const withRemoteUncommited: Service["withRemoteUncommited"] = <A, E, R>(
    remoteId: RemoteId,
    f: (entries: readonly [Entry, ...ReadonlyArray<Entry>]) => Effect.Effect<A, E, R>
  ) =>
    Effect.gen(function*() {
      const method = "withRemoteUncommited"
      const key = keys.uploaded(remoteId)
      let { value: through } = yield* stored(method, position(kv, key))
      // What is added while it runs remains for the next time.
      const { last } = yield* stored(method, writer.end)
      let result = Option.none<A>()
      while (through < last) {
        const page = yield* stored(method, reader.addedBehind(through, { through: last, maxEntries: uploadEntries }))
        if (page.added.length === 0) break
        const others = page.added.filter(({ source }) => source === undefined || Buffer.compare(source, remoteId) !== 0)
        const budget = new ReadBudget("the entries to upload", maxReadBytes)
        const found = yield* stored(method, reader.byIds(others.flatMap(({ ids }) => ids), budget))
        const [first, ...rest] = found.filter((entry) => entry !== undefined).sort(EventJournal.Entry.Order)
        through = page.through
        const given: Effect.Effect<Option.Option<A>, E, R> = first === undefined
          ? Effect.succeed(result)
          : Effect.asSome(f([first, ...rest]))
        result = yield* Effect.uninterruptibleMask((restore) =>
          Effect.tap(restore(given), stored(method, raise(kv, key, () => page.through)))
        )
      }
      return result
    })

  /** Entries that other processes of this journal have written themselves. */
  const publishForeign = (row: KeyValueEntry) => {
    const { ids, source } = decodeAdded(row)
    if (source !== undefined || writer.isOwn(markOf(row))) return Effect.void
    const found = Effect.suspend(() => reader.byIds(ids, new ReadBudget("new entries", maxReadBytes)))
    return Effect.flatMap(
      Effect.retry(found, { schedule: Schedule.spaced(readAgainAfter), while: ({ _tag }) => _tag !== "ReadTooLarge" }),
      (entries) => PubSub.publishAll(pubsub, entries.filter((entry) => entry !== undefined))
    )
  }

  let following = false
  const followOthers = Effect.gen(function*() {
    if (following) return
    following = true
    const { last } = yield* writer.end
    yield* follow({ kv, watch }, keys.appended.rows, keys.appended.row(last)).pipe(
      Stream.runForEach(({ rows }) => Effect.forEach(rows, publishForeign, { discard: true })),
      Effect.tapCause((cause) => Effect.logWarning(`changes of the journal ${name} by others are not told`, cause)),
      Effect.ignoreCause,
      Effect.forkIn(scope)
    )
  }).pipe(
    Effect.catchCause((cause) => {
      following = false
      return Effect.logWarning(`changes of the journal ${name} by others are not told`, cause)
    })
  )

  const locks = new Map<string, Semaphore.Semaphore>()

  return EventJournal.EventJournal.of({
    entries: Effect.suspend(() => stored("entries", reader.all(new ReadBudget("the entries", maxReadBytes)))),
    entriesById: (ids) =>
      Effect.suspend(() => stored("entriesById", reader.byIds(ids, new ReadBudget("the entries", maxReadBytes)))),
    write: ({ effect, ...entry }) => writeMany({ entries: [entry], effect: (entries) => effect(entries[0]) }),
    writeMany,
    writeFromRemote: (options) => imports.run(options),
    withRemoteUncommited,
    writeRemoteAcks: ({ acks, firstSequence, remoteId }) =>
      acks.length === 0 ? Effect.void : Effect.asVoid(stored(
        "writeRemoteAcks",
        raise(kv, keys.downloaded(remoteId), (next) => acknowledgedFrom(next, acks, firstSequence))
      )),
    nextRemoteSequence: (remoteId) =>
      Effect.map(stored("nextRemoteSequence", position(kv, keys.downloaded(remoteId))), ({ value }) => value),
    changes: Effect.tap(PubSub.subscribe(pubsub), followOthers),
    destroy: stored("destroy", Effect.ensuring(repeated(clearPrefix(kv, base)), Effect.sync(() => writer.forget()))),
    withLock: (storeId) => {
      const lock = locks.get(storeId) ?? Semaphore.makeUnsafe(1)
      locks.set(storeId, lock)
      return lock.withPermit
    }
  })
})

/** Effect's `EventJournal`, kept in FlareDB; `EventLog.layer` makes a log of it. */
export const layer = (
  options: EventJournalOptions = {}
): Layer.Layer<EventJournal.EventJournal, never, KeyValue | Watch> =>
  Layer.effect(EventJournal.EventJournal, make(options))
