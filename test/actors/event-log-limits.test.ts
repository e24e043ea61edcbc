/** What is refused, by whom a write is overtaken, and what both say of it. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber, Latch, Layer } from "effect"
import { EventJournal, EventLogServerEncrypted, EventLogServerUnencrypted } from "effect/eventlog"
import type { EventLogMessage } from "effect/eventlog"
import {
  layerEventJournal,
  layerEventLogStorageEncrypted,
  layerEventLogStorageUnencrypted
} from "../../src/actors/index.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import type { Services } from "./Stores.ts"
import { memory } from "./Stores.ts"

type Entry = EventJournal.Entry
type StoreId = EventLogMessage.StoreId

const remoteId = new Uint8Array(16).fill(1) as EventJournal.RemoteId
const store = "store" as StoreId

const entryOf = (msecs: number, payload = new Uint8Array(1), id = EventJournal.makeEntryIdUnsafe({ msecs })): Entry =>
  new EventJournal.Entry({ id, event: "event", primaryKey: "key", payload }, { disableChecks: true })

const journalOn = (services: Services, maxReadBytes?: number) =>
  Effect.map(
    Layer.build(Layer.fresh(Layer.provide(layerEventJournal({ maxReadBytes }), services))),
    (context) => Context.get(context, EventJournal.EventJournal)
  )

const serverOn = (services: Services) =>
  Effect.map(
    Layer.build(Layer.fresh(Layer.provide(layerEventLogStorageUnencrypted(), services))),
    (context) => Context.get(context, EventLogServerUnencrypted.Storage)
  )

const encryptedOn = (services: Services) =>
  Effect.map(
    Layer.build(Layer.fresh(Layer.provide(layerEventLogStorageEncrypted(), services))),
    (context) => Context.get(context, EventLogServerEncrypted.Storage)
  )

const written = (primaryKey: string, payload = new Uint8Array(1)) => ({ event: "event", primaryKey, payload })

const imported = (journal: EventJournal.EventJournal["Service"], entry: Entry) =>
  journal.writeFromRemote({
    remoteId,
    entries: [new EventJournal.RemoteEntry({ remoteSequence: 1, entry }, { disableChecks: true })],
    effect: () => Effect.void
  })

/** The message of what a journal's call fails with. */
const causeOf = <A, R>(call: Effect.Effect<A, EventJournal.EventJournalError, R>) =>
  Effect.map(
    Effect.flip(call),
    ({ cause }) => cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)
  )

/** The message of what a storage's call dies of. */
const defectOf = <A, E, R>(call: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.exit(call), (exit) => {
    const defect = Exit.isFailure(exit) ? exit.cause.reasons.find(Cause.isDieReason)?.defect : undefined
    return defect instanceof Error ? `${defect.name}: ${defect.message}` : String(defect)
  })

describe("a journal", () => {
  it.live("refuses what no step and no row can hold, and stores nothing of it", () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      const journal = yield* journalOn(services)
      const many = [written("first"), ...Array.from({ length: 240 }, () => written("key"))] as const
      assert.match(
        yield* causeOf(journal.writeMany({ entries: many, effect: () => Effect.void })),
        /^TooManyEntries: the write has 241 entries and \d+ bytes; one step stores at most 240 entries/
      )
      const large = { ...written("key", new Uint8Array(1_024 * 1_024)), effect: () => Effect.void }
      assert.match(yield* causeOf(journal.write(large)), /^RowTooLarge: the event event has \d+ bytes; at most 1024000/)
      assert.match(yield* causeOf(imported(journal, entryOf(1, large.payload))), /^RowTooLarge: an event event has/)
      const short = entryOf(1, new Uint8Array(1), new Uint8Array(15) as EventJournal.EntryId)
      assert.match(yield* causeOf(imported(journal, short)), /^InvalidId: the id of an event event has 15 bytes/)
      assert.deepStrictEqual(yield* journal.entries, [])
    })))

  it.live("says which row it cannot read, and when there is more than it may read", () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      const journal = yield* journalOn(services, 3_000)
      const kv = yield* Effect.provide(KeyValue, services)
      yield* Effect.forEach([1, 2, 3], (n) => imported(journal, entryOf(n, new Uint8Array(1_000))))
      assert.match(
        yield* causeOf(journal.entries),
        /^ReadTooLarge: the entries have more than maxReadBytes = 3000 bytes/
      )
      assert.match(
        yield* causeOf(imported(journal, entryOf(0))),
        /^ReadTooLarge: the stored entries that the import is compared with have more/
      )
      const { entries: [row] } = yield* kv.scan("fx/ej/default/e/")
      yield* kv.put(row?.key ?? "", "another program's")
      const { entries } = yield* journalOn(services)
      assert.match(
        yield* causeOf(entries),
        /^UnknownLogRow: the row fx\/ej\/default\/e\/[0-9a-f]{32} is not of a known/
      )
    })))

  it.live("compares an import again when an entry comes between that conflicts with it", () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      const [journal, other] = [yield* journalOn(services), yield* journalOn(services)]
      const runs: Array<ReadonlyArray<string | undefined>> = []
      yield* journal.writeFromRemote({
        remoteId,
        entries: [new EventJournal.RemoteEntry({ remoteSequence: 1, entry: entryOf(1) }, { disableChecks: true })],
        effect: (batch) =>
          Effect.gen(function*() {
            runs.push(batch.flatMap((one) => one.conflicts.map(({ idString }) => idString)))
            // The second one is of another key, and no reason to compare again.
            if (runs.length <= 2) {
              yield* Effect.orDie(
                other.write({ ...written(runs.length === 1 ? "key" : "other"), effect: () => Effect.void })
              )
            }
          })
      })
      const ids = (yield* journal.entries).map(({ idString }) => idString)
      assert.deepStrictEqual(runs, [[], [ids[1]]])
      assert.strictEqual(ids.length, 3)
    })))

  it.live("has a lock that excludes, one for each store", () =>
    Effect.scoped(Effect.gen(function*() {
      const journal = yield* journalOn(yield* memory)
      const open = Latch.makeUnsafe(false)
      const order: Array<string> = []
      const say = (word: string) => Effect.sync(() => void order.push(word))
      const first = yield* Effect.forkChild(
        journal.withLock(store)(Effect.andThen(open.await, say("first"))),
        { startImmediately: true }
      )
      const second = yield* Effect.forkChild(journal.withLock(store)(say("second")), { startImmediately: true })
      yield* journal.withLock("another" as StoreId)(say("another"))
      yield* open.open
      yield* Fiber.joinAll([first, second])
      assert.deepStrictEqual(order, ["another", "first", "second"])
    })))
})

describe("an event log's storage", () => {
  it.live("refuses what no row can hold", () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      const [server, encrypted] = [yield* serverOn(services), yield* encryptedOn(services)]
      const large = new Uint8Array(1_024 * 1_024)
      assert.match(
        yield* defectOf(server.write(store, [entryOf(1, large)])),
        /^RowTooLarge: an event event has \d+ bytes/
      )
      const a = entryOf(1)
      assert.match(
        yield* defectOf(server.write(store, [a, a])),
        /^DuplicateEntry: entry [0-9a-f]{32} is stored already/
      )
      const batch = {
        entryIds: [a.id] as const,
        iv: new Uint8Array(12),
        encryptedBatch: new Uint8Array(1)
      }
      const many = Array.from({ length: 400 }, (_, i) => entryOf(i).id)
      for (
        const [bad, message] of [
          [{ ...batch, encryptedBatch: large }, /^RowTooLarge: a batch has \d+ bytes/],
          [{ ...batch, iv: new Uint8Array(65) }, /^RowTooLarge: a nonce has 65 bytes; at most 64/],
          [{ ...batch, entryIds: [a.id, ...many] as const }, /^TooManyEntries: a batch has 401 entries/],
          [{ ...batch, entryIds: [new Uint8Array(3) as EventJournal.EntryId] as const }, /^InvalidId: .* has 3 bytes/]
        ] as const
      ) assert.match(yield* defectOf(encrypted.write("one", store, [batch, bad])), message)
      assert.deepStrictEqual(yield* encrypted.entrySequences("one", store, [a.id]), [], "nothing of it is stored")
    })))

  it.live("runs a transaction again that another server has overtaken, and gives up when it always is", () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      const [server, other] = [yield* serverOn(services), yield* serverOn(services)]
      const [mine, theirs] = [entryOf(1), entryOf(2)]
      const seen: Array<number> = []
      const stored = yield* server.withTransaction(Effect.gen(function*() {
        seen.push((yield* server.entriesAfter(store, mine, [mine])).length)
        if (seen.length === 1) yield* other.write(store, [theirs])
        return yield* server.write(store, [mine])
      }))
      assert.deepStrictEqual([seen, stored.map(({ remoteSequence }) => remoteSequence)], [[0, 1], [2]])
      const defect = yield* defectOf(server.withTransaction(Effect.gen(function*() {
        const one = entryOf(3)
        yield* server.entriesAfter(store, one, [one])
        yield* other.write(store, [entryOf(4)])
        return yield* server.write(store, [one])
      })))
      assert.match(defect, /^LogContended: others appended to the stores of the transaction in each of 20 attempts/)
    })))

  it.live("says how much of a large transaction is stored when another server comes between its steps", () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      const other = yield* serverOn(services)
      let appends = 0
      const between = Layer.effect(
        KeyValue,
        Effect.map(KeyValue, (kv) =>
          KeyValue.of({
            ...kv,
            transact: (txn, options) =>
              Effect.tap(kv.transact(txn, options), () =>
                (txn.do?.length ?? 0) > 100 && ++appends === 1 ? other.write(store, [entryOf(9_999)]) : Effect.void)
          }))
      )
      const server = yield* serverOn(Layer.provideMerge(between, services))
      const entries = Array.from({ length: 200 }, (_, i) => entryOf(i)) as [Entry, ...Array<Entry>]
      const write = (fresh: ReadonlyArray<Entry>) => server.withTransaction(server.write(store, fresh))
      assert.match(
        yield* defectOf(write(entries)),
        /^PartlyStored: 160 of 200 entries were stored when another process/
      )
      const known = new Set((yield* server.entriesAfter(store, entries[0], entries)).map(({ entry }) => entry.idString))
      const rest = yield* write(entries.filter(({ idString }) => !known.has(idString)))
      assert.deepStrictEqual([rest.length, rest[0]?.remoteSequence, rest.at(-1)?.remoteSequence], [40, 162, 201])
    })))
})
