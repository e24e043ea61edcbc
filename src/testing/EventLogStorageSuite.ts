/**
 * What Effect's event log servers rely on in their storages, and promises beyond it: several servers of one name are
 * one server, and a reader of one hears of what was written at the other.
 */
import type { Scope } from "effect"
import { Context, Effect, Fiber, Layer, Stream } from "effect"
import { EventLogServerEncrypted, EventLogServerUnencrypted } from "effect/eventlog"
import type { EventJournal, EventLogEncryption, EventLogMessage } from "effect/eventlog"
import { same } from "./Checks.ts"
import type { ConformanceCase } from "./Conformance.ts"
import { entryAt } from "./EventJournalSuite.ts"

interface SuiteOptions<Storage> {
  /** A storage of this name. The suite builds it more than once, as several servers do; a name is used by one case. */
  readonly storage: (name: string) => Layer.Layer<Storage, unknown>
  /** Whether two storages of one name, built apart, hold the same. Default `true`; Effect's in memory do not. */
  readonly shared?: boolean | undefined
  /** Whether `changes` of one tells what was written at another. Default `true`; none of Effect's does. */
  readonly tellsOthers?: boolean | undefined
  /** Whether `changes` tells everything once. Default `true`; Effect's SQL repeats what is stored while it reads. */
  readonly once?: boolean | undefined
  /** Whether what is told apart by two names is told apart by their slashes. Default `true`; Effect's joins them. */
  readonly apart?: boolean | undefined
}

/** The storage to hold against the cases. */
export type EventLogEncryptedSuiteOptions = SuiteOptions<EventLogServerEncrypted.Storage>
/** The storage to hold against the cases. */
export type EventLogUnencryptedSuiteOptions = SuiteOptions<EventLogServerUnencrypted.Storage>

type Encrypted = EventLogServerEncrypted.Storage["Service"]
type Unencrypted = EventLogServerUnencrypted.Storage["Service"]
type Entry = EventJournal.Entry
type Batch = EventLogEncryption.EncryptedBatch

/** Rows of a store that takes several pages to read. */
const manyRows = 520

const storeId = (name: string) => name as EventLogMessage.StoreId
const bytes = (...values: ReadonlyArray<number>) => Uint8Array.from(values)
const idsOf = (entries: ReadonlyArray<Entry>) => entries.map(({ idString }) => idString)

const users = <Id, Storage>(options: SuiteOptions<Id>, tag: Context.Key<Id, Storage>) => {
  const open = (name: string) =>
    Effect.map(Layer.build(Layer.fresh(options.storage(name))), (context) => Context.get(context, tag))
  /** A case on a storage of its own, opened by two servers where storages are shared. */
  const make = (
    name: string,
    run: (storage: Storage, other: Storage) => Effect.Effect<void, unknown, Scope.Scope>
  ): ConformanceCase => ({
    name,
    effect: Effect.scoped(Effect.gen(function*() {
      const storage = yield* open(name)
      yield* run(storage, options.shared === false ? storage : yield* open(name))
    }))
  })
  return { make, open }
}

/** Both kinds keep an id and the keys of identities. */
const commonCases = <Id, Storage extends Pick<Encrypted, "getId" | "getOrCreateSessionAuthBinding">>(
  options: SuiteOptions<Id>,
  tag: Context.Key<Id, Storage>
): ReadonlyArray<ConformanceCase> => {
  const { make, open } = users(options, tag)
  return [
    make("a server has an id, which others of its name have too", (storage, other) =>
      Effect.gen(function*() {
        const id = yield* storage.getId
        yield* same([id.byteLength, yield* other.getId, yield* storage.getId], [16, id, id], "the id")
        if (options.shared === false) return
        const another = yield* (yield* open("another server's id")).getId
        yield* same(Buffer.compare(id, another) === 0, false, "whether a server of another name has the same")
      })),
    make("an identity keeps the signing key that it came with first", (storage, other) =>
      Effect.gen(function*() {
        const [a, b] = [bytes(1, 2, 3, 0xff), bytes(4)]
        yield* same(yield* storage.getOrCreateSessionAuthBinding("one", a), a, "the first")
        yield* same(yield* other.getOrCreateSessionAuthBinding("one", b), a, "another one, later")
        yield* same(yield* other.getOrCreateSessionAuthBinding("one/", b), b, "of another identity")
        const long = "long".repeat(40)
        yield* same(yield* storage.getOrCreateSessionAuthBinding(long, b), b, "of a long name")
      }))
  ]
}

let nonces = 0

const batchOf = (entries: ReadonlyArray<Entry>, content = bytes(7, 8, 9)): Batch => {
  nonces++
  return {
    entryIds: entries.map(({ id }) => id) as unknown as Batch["entryIds"],
    iv: bytes(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, nonces >> 8, nonces & 0xff),
    encryptedBatch: content as Uint8Array<ArrayBuffer>
  }
}

/** What the storage of an event log server has to do that cannot read the entries. */
export const eventLogEncryptedCases = (options: EventLogEncryptedSuiteOptions): ReadonlyArray<ConformanceCase> => {
  const { make, open } = users(options, EventLogServerEncrypted.Storage)
  const store = storeId("store")
  const entries = (count: number, from = 0) => Array.from({ length: count }, (_, i) => entryAt(from + i))
  const take = (storage: Encrypted, from: number, count: number, identity = "one", id = store) =>
    Stream.runCollect(Stream.take(storage.changes(identity, id, from), count))

  return [
    ...commonCases(options, EventLogServerEncrypted.Storage),
    make(
      "batches get the sequences of their entries, and are read from any of them on",
      (storage, other) =>
        Effect.gen(function*() {
          const first = storage.firstSequence ?? 0
          const [a, b, c] = [batchOf(entries(3)), batchOf(entries(1, 10)), batchOf(entries(2, 20))]
          const stored = yield* storage.write("one", store, [a, b])
          const expected = [{ sequence: first, ...a }, { sequence: first + 3, ...b }, { sequence: first + 4, ...c }]
          yield* same(stored, expected.slice(0, 2), "what was stored")
          yield* same(yield* other.write("one", store, [c]), expected.slice(2), "what the other server stored")
          yield* same(yield* storage.write("one", store, []), [], "a write of nothing")
          for (
            const [from, skipped] of [[0, 0], [first + 2, 0], [first + 3, 1], [first + 4, 2], [first + 5, 2]] as const
          ) {
            yield* same(yield* take(other, from, 3 - skipped), expected.slice(skipped), `changes from ${from}`)
          }
        })
    ),
    make("a batch is stored unless all of its entries are", (storage, other) =>
      Effect.gen(function*() {
        const first = storage.firstSequence ?? 0
        const [a, b, c] = entries(3) as [Entry, Entry, Entry]
        const [ab, bc] = [batchOf([a, b]), batchOf([b, c])]
        yield* same((yield* storage.write("one", store, [ab])).length, 1, "a first batch")
        yield* same(yield* other.write("one", store, [batchOf([b]), ab, batchOf([b, a])]), [], "what is known")
        yield* same(yield* storage.write("one", store, [bc, bc]), [{ sequence: first + 2, ...bc }], "half of it known")
        const acks = yield* other.entrySequences("one", store, [c.id, entryAt(5).id, b.id, a.id])
        yield* same(
          acks.map(({ entryId, sequence }) => [Buffer.from(entryId).toString("hex"), sequence]).toSorted(),
          [[a, first], [b, first + 1], [c, first + 3]].map(([entry, sequence]) => [
            Buffer.from((entry as Entry).id).toString("hex"),
            sequence
          ]).toSorted(),
          "where each entry was first stored"
        )
      })),
    make(
      "changes goes on with what any server writes, without a gap or a repetition",
      (storage, other) =>
        Effect.gen(function*() {
          const second = options.tellsOthers === false ? storage : other
          const count = 60
          yield* storage.write("one", store, [batchOf(entries(1))])
          // What is repeated was emitted before.
          const read = () => {
            let last = -1
            const isNew = ({ sequence }: { readonly sequence: number }) => sequence > last
            return storage.changes("one", store, 0).pipe(
              Stream.filter((batch) => options.once !== false || isNew(batch)),
              Stream.tap(({ sequence }) => Effect.sync(() => last = sequence)),
              Stream.take(count),
              Stream.runCollect
            )
          }
          const readers = yield* Effect.forEach([0, 1], () => Effect.forkChild(read()))
          yield* Effect.forEach(
            Array.from({ length: count - 1 }),
            (_, i) => (i % 2 === 0 ? storage : second).write("one", store, [batchOf(entries(1, 100 + i))]),
            { concurrency: 6 }
          )
          const first = storage.firstSequence ?? 0
          for (const reader of readers) {
            const read = yield* Fiber.join(reader)
            yield* same(
              read.map(({ sequence }) => sequence),
              Array.from({ length: count }, (_, i) => first + i),
              "order"
            )
            yield* same(new Set(read.map(({ entryIds }) => entryIds.join())).size, count, "batches")
          }
        })
    ),
    make(
      "a reader of a sequence that is not there yet gets the batch that holds it",
      (storage, other) =>
        Effect.gen(function*() {
          const first = storage.firstSequence ?? 0
          yield* storage.write("one", store, [batchOf(entries(1))])
          const reader = yield* Effect.forkChild(take(storage, first + 2, 1))
          yield* Effect.sleep(50)
          const batch = batchOf(entries(3, 10))
          yield* (options.tellsOthers === false ? storage : other).write("one", store, [batch])
          yield* same(yield* Fiber.join(reader), [{ sequence: first + 1, ...batch }], "what is read")
        })
    ),
    make("a store of many batches is written and read", (storage, other) =>
      Effect.gen(function*() {
        const batches = Array.from({ length: manyRows }, (_, i) => batchOf(entries(2, 2 * i), new Uint8Array(2_000)))
        const stored = yield* storage.write("one", store, batches)
        yield* same(stored.length, manyRows, "stored")
        const read = yield* take(other, 0, manyRows)
        yield* same(read.map(({ sequence }) => sequence), stored.map(({ sequence }) => sequence), "sequences")
        yield* same(read.map(({ iv }) => iv), batches.map(({ iv }) => iv), "in the order of the write")
        const acks = yield* other.entrySequences("one", store, entries(2 * manyRows).map(({ id }) => id))
        yield* same(acks.length, 0, "other ids")
      })),
    make("stores of other identities and of other ids are kept apart", (storage) =>
      Effect.gen(function*() {
        const [a] = entries(1) as [Entry]
        const names: ReadonlyArray<readonly [string, string]> = [
          ["one", "store"],
          ["one", "store/"],
          ["two", "store"],
          ["long".repeat(400), "store"],
          ...(options.apart === false ? [] : [["one/store", ""], ["one", "store//"], ["", "one/store"]] as const)
        ]
        const batches = names.map((name) => [name, batchOf([a])] as const)
        for (const [[identity, id], batch] of batches) {
          const stored = yield* storage.write(identity, storeId(id), [batch])
          yield* same(stored.map(({ sequence }) => sequence), [storage.firstSequence ?? 0], `${identity} ${id}`)
        }
        for (const [[identity, id], batch] of batches) {
          const [read] = yield* take(storage, 0, 1, identity, storeId(id))
          yield* same(read?.iv, batch.iv, `what ${identity} ${id} reads`)
        }
        if (options.shared === false) return
        const another = yield* open("another server's stores")
        yield* same(yield* another.entrySequences("one", store, [a.id]), [], "at a server of another name")
      }))
  ]
}

/** The same for a server that can read them. */
export const eventLogUnencryptedCases = (options: EventLogUnencryptedSuiteOptions): ReadonlyArray<ConformanceCase> => {
  const { make, open } = users(options, EventLogServerUnencrypted.Storage)
  const store = storeId("store")
  const entries = (count: number, from = 0) => Array.from({ length: count }, (_, i) => entryAt(from + i))
  const none = new Map<string, never>()
  const take = (storage: Unencrypted, startSequence: number, count: number, id = store, compactors = none) =>
    Stream.runCollect(Stream.take(storage.changes({ storeId: id, startSequence, compactors }), count))
  const plain = (stored: ReadonlyArray<EventJournal.RemoteEntry>) =>
    stored.map(({ entry, remoteSequence }) => [remoteSequence, entry.idString])
  const write = (storage: Unencrypted, written: ReadonlyArray<Entry>, id = store) =>
    storage.withTransaction(storage.write(id, written))

  return [
    ...commonCases(options, EventLogServerUnencrypted.Storage),
    make(
      "entries get sequences in their order, and are read from any of them on",
      (storage, other) =>
        Effect.gen(function*() {
          const first = storage.firstSequence ?? 0
          const [a, b, c] = [entryAt(3, "x", "", bytes()), entryAt(1, "y", "k".repeat(2_000)), entryAt(2)] as const
          yield* same(
            plain(yield* storage.write(store, [a, b])),
            [[first, a.idString], [first + 1, b.idString]],
            "stored"
          )
          yield* same(plain(yield* write(other, [c])), [[first + 2, c.idString]], "stored by the other server")
          yield* same(yield* storage.write(store, []), [], "a write of nothing")
          const read = yield* take(other, 0, 3)
          yield* same(read.map(({ entry }) => entry), [a, b, c], "the entries")
          for (const from of [1, 2]) {
            yield* same(plain(yield* take(storage, first + from, 3 - from)), plain(read).slice(from), `from ${from}`)
          }
        })
    ),
    make("an entry that is stored is not stored again", (storage, other) =>
      Effect.gen(function*() {
        const [a, b] = entries(2) as [Entry, Entry]
        yield* write(storage, [a])
        const exit = yield* Effect.exit(write(other, [b, a]))
        yield* same(exit._tag, "Failure", "a write of both")
        yield* write(other, [b])
        yield* same(plain(yield* take(storage, 0, 2)).map(([, id]) => id), idsOf([a, b]), "what is stored")
      })),
    make(
      "history has the copies of a batch's entries and what may conflict with them",
      (storage, other) =>
        Effect.gen(function*() {
          const [a, b, c] = entries(3, 10) as [Entry, Entry, Entry]
          const [early, otherKey, otherEvent] = [entryAt(1), entryAt(30, "event", "other"), entryAt(31, "other")]
          const stored = yield* write(storage, [c, early, otherKey, otherEvent, a])
          const [inC, , inOtherKey, inOtherEvent, inA] = plain(stored)
          const after = (oldest: Entry, batch?: readonly [Entry, ...ReadonlyArray<Entry>]) =>
            Effect.map(other.withTransaction(other.entriesAfter(store, oldest, batch)), plain)
          yield* same(yield* after(b), [inC, inOtherKey, inOtherEvent], "all after an entry")
          yield* same(yield* after(a), [inC, inOtherKey, inOtherEvent, inA], "all from an entry on")
          // A storage may give more than what shares an id, or event and primary key, with the batch.
          const [ofB, ofAll] = [yield* after(b, [b]), yield* after(a, [a, b, otherEvent])]
          const concerns = (ids: ReadonlyArray<unknown>, given: ReadonlyArray<ReadonlyArray<unknown>>) =>
            given.filter(([, id]) => ids.includes(id))
          yield* same(concerns(idsOf([a, c]), ofB), [inC], "of one entry")
          yield* same(concerns(idsOf([a, c, otherEvent]), ofAll), [inC, inOtherEvent, inA], "of several entries")
        })
    ),
    make(
      "a transaction that fails leaves nothing, and one inside another is part of it",
      (storage) =>
        Effect.gen(function*() {
          const [a, b, c] = entries(3) as [Entry, Entry, Entry]
          const failed = yield* Effect.flip(
            storage.withTransaction(Effect.andThen(storage.write(store, [a]), Effect.fail("no" as const)))
          )
          // Effect's in memory takes nothing back, and waits for itself.
          if (options.shared === false) return
          yield* same(failed, "no", "its failure")
          const stored = yield* storage.withTransaction(Effect.gen(function*() {
            const one = yield* storage.write(store, [b])
            const two = yield* storage.withTransaction(storage.write(store, [c]))
            return [...one, ...two]
          }))
          const first = storage.firstSequence ?? 0
          yield* same(plain(stored), [[first, b.idString], [first + 1, c.idString]], "both writes")
          yield* same(plain(yield* take(storage, 0, 2)), plain(stored), "what is stored")
        })
    ),
    make(
      "servers that write at once give each sequence once, and lose nothing",
      (storage, other) =>
        Effect.gen(function*() {
          const written = entries(48)
          const stored = yield* Effect.forEach(written, (entry, i) => {
            const one = i % 2 === 0 ? storage : other
            return one.withTransaction(Effect.gen(function*() {
              const history = yield* one.entriesAfter(store, entry, [entry])
              return { conflicts: history.length, stored: yield* one.write(store, [entry]) }
            }))
          }, { concurrency: options.shared === false ? 1 : 6 })
          const first = storage.firstSequence ?? 0
          const read = plain(yield* take(storage, 0, written.length))
          yield* same(read.map(([sequence]) => sequence), written.map((_, i) => first + i), "sequences")
          yield* same(read.map(([, id]) => id).toSorted(), idsOf(written).toSorted(), "entries")
          yield* same(
            stored.flatMap((one) => plain(one.stored)).toSorted(([a], [b]) => Number(a) - Number(b)),
            read,
            "what each write was answered"
          )
        })
    ),
    make(
      "changes goes on with what any server writes, without a gap or a repetition",
      (storage, other) =>
        Effect.gen(function*() {
          const second = options.tellsOthers === false ? storage : other
          const count = 40
          yield* write(storage, entries(1))
          const reader = yield* Effect.forkChild(take(storage, 0, count))
          yield* Effect.forEach(
            Array.from({ length: (count - 1) / 3 }),
            (_, i) => write(i % 2 === 0 ? storage : second, entries(3, 100 + 3 * i)),
            { concurrency: 3 }
          )
          const first = storage.firstSequence ?? 0
          const read = plain(yield* Fiber.join(reader))
          yield* same(read.map(([sequence]) => sequence), Array.from({ length: count }, (_, i) => first + i), "order")
          yield* same(new Set(read.map(([, id]) => id)).size, count, "entries")
        })
    ),
    make("a backlog is compacted, and what comes after it is not", (storage) =>
      Effect.gen(function*() {
        const first = storage.firstSequence ?? 0
        const [a, b, c, d] = entries(4) as [Entry, Entry, Entry, Entry]
        yield* write(storage, [a, b, c])
        const compactors = new Map([["event", {
          events: new Set(["event"]),
          effect: (
            input: { readonly entries: ReadonlyArray<Entry>; readonly write: (entry: Entry) => Effect.Effect<void> }
          ) => input.write(input.entries.at(-1) as Entry)
        }]])
        const reader = yield* Effect.forkChild(take(storage, 0, 2, store, compactors as never))
        yield* Effect.forkChild(Effect.delay(write(storage, [d]), 50))
        const read = plain(yield* Fiber.join(reader))
        yield* same(read[0], [first + 2, c.idString], "the backlog")
        yield* same(read[1], [first + 3, d.idString], "what came after it")
      })),
    make("a store of many entries is written and read", (storage, other) =>
      Effect.gen(function*() {
        const written = Array.from(
          { length: manyRows },
          (_, i) => entryAt(i, "event", `key ${i}`, new Uint8Array(2_000))
        )
        const stored = yield* write(storage, written)
        yield* same(stored.length, manyRows, "stored")
        const read = yield* take(other, 0, manyRows)
        yield* same(plain(read), plain(stored), "read")
        const history = yield* other.entriesAfter(store, written[0] as Entry, written as [Entry, ...Array<Entry>])
        yield* same(plain(history), plain(stored), "as history")
      })),
    make("other stores, and servers of other names, are kept apart", (storage) =>
      Effect.gen(function*() {
        const first = storage.firstSequence ?? 0
        const [a, b] = entries(2) as [Entry, Entry]
        const names = ["store", "store/", "store/r", "Store", "s".repeat(180)].map(storeId)
        for (const id of names) yield* same(plain(yield* write(storage, [a], id)), [[first, a.idString]], id)
        for (const id of names) yield* same((yield* storage.entriesAfter(id, a, [a, b])).length, 1, `history of ${id}`)
        if (options.shared === false) return
        const another = yield* open("another server's stores")
        yield* same(yield* another.entriesAfter(store, a), [], "at a server of another name")
      }))
  ]
}
