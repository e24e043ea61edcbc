/**
 * Two writers of one journal, and two servers of one store, in random interleavings: each call of the store takes its
 * effect and gives its answer after a random time, and some answers are lost. Whatever the order, what was stored is one
 * history, and each import and each write of a server was compared with exactly what came before it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Stream } from "effect"
import { EventJournal, EventLogServerUnencrypted } from "effect/eventlog"
import type { EventLogMessage } from "effect/eventlog"
import { layerEventJournal, layerEventLogStorageUnencrypted } from "../../src/actors/index.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { Indeterminate } from "../../src/FlareDbError.ts"
import { decodeAdded } from "../../src/actors/eventlog/Rows.ts"
import { Random } from "../simulation/Random.ts"
import type { Services } from "./Stores.ts"
import { memory } from "./Stores.ts"

const seeds = 6
const operations = 16

/** A client whose calls take effect and come back after random times, and whose answers are lost now and then. */
const unsteady = (services: Services, random: Random): Services => {
  const pause = Effect.suspend(() => Effect.sleep(random.below(4)))
  const around = <A, E, R>(call: Effect.Effect<A, E, R>) => Effect.andThen(pause, Effect.tap(call, () => pause))
  let lost = false
  const lossy = Layer.effect(
    KeyValue,
    Effect.map(KeyValue, (kv) =>
      KeyValue.of({
        ...kv,
        get: (key, options) => around(kv.get(key, options)),
        scan: (prefix, options) => around(kv.scan(prefix, options)),
        transact: (txn, options) => {
          return Effect.flatMap(around(kv.transact(txn, options)), (result) => {
            const writes = (txn.do ?? []).some(({ operation: { _tag } }) => _tag === "Put")
            if (!writes) return Effect.succeed(result)
            // What is lost again and again is a store that is away.
            lost = !lost && random.below(4) === 0
            if (!lost) return Effect.succeed(result)
            return Effect.fail(new Indeterminate({ reason: "the answer was lost" }))
          })
        }
      }))
  )
  return Layer.provideMerge(lossy, services)
}

type Entry = EventJournal.Entry

const remoteId = new Uint8Array(16).fill(1) as EventJournal.RemoteId
const keyOf = (n: number) => `key ${n}`

/** An entry of a remote, made around now, so that entries of the writers come before and after it. */
const remoteEntry = (random: Random, n: number) =>
  new EventJournal.Entry({
    id: EventJournal.makeEntryIdUnsafe({ msecs: Date.now() + random.below(40) - 20 }),
    event: "event",
    primaryKey: keyOf(n),
    payload: new Uint8Array(n)
  }, { disableChecks: true })

/** Those of a history that come after an entry and have its event and key, in the order of ids. */
const conflictsIn = (history: ReadonlyArray<Entry>, entry: Entry): ReadonlyArray<string> =>
  history.filter((one) =>
    one.event === entry.event && one.primaryKey === entry.primaryKey && EventJournal.Entry.Order(one, entry) > 0
  ).map(({ idString }) => idString).toSorted()

describe("random interleavings", () => {
  for (let seed = 1; seed <= seeds; seed++) {
    it.live(`of two writers of a journal, seed ${seed}`, () =>
      Effect.scoped(Effect.gen(function*() {
        const random = new Random(seed)
        const services = yield* memory
        const journals = yield* Effect.forEach([0, 1], () =>
          Effect.map(
            Layer.build(Layer.fresh(Layer.provide(layerEventJournal(), unsteady(services, random)))),
            (context) => Context.get(context, EventJournal.EventJournal)
          ))
        /** Writes of a fiber, in its order, and what each imported entry was compared with the last time. */
        const written: Array<Array<string>> = []
        const compared = new Map<string, ReadonlyArray<string>>()
        const work = (journal: EventJournal.EventJournal["Service"]) => {
          const own: Array<string> = []
          written.push(own)
          return Effect.forEach(Array.from({ length: operations / 2 }), () => {
            const primaryKey = keyOf(random.below(2))
            if (random.below(2) === 0) {
              return Effect.map(
                journal.write({ event: "event", primaryKey, payload: new Uint8Array(1), effect: Effect.succeed }),
                ({ idString }) => void own.push(idString)
              )
            }
            const entries = Array.from({ length: 1 + random.below(3) }, () => remoteEntry(random, random.below(2)))
            return Effect.asVoid(journal.writeFromRemote({
              remoteId,
              entries: entries.map((entry, i) => new EventJournal.RemoteEntry({ remoteSequence: i, entry })),
              effect: (batch) =>
                Effect.andThen(
                  Effect.sleep(random.below(3)),
                  Effect.sync(() => {
                    for (const { conflicts, entry } of batch) {
                      compared.set(entry.idString, conflicts.map(({ idString }) => idString).toSorted())
                    }
                  })
                )
            }))
          }, { discard: true })
        }
        yield* Effect.all([...journals, ...journals].map(work), { concurrency: "unbounded", discard: true })

        const kv = yield* Effect.provide(KeyValue, services)
        const all = yield* journals[0]!.entries
        const byId = new Map(all.map((entry) => [entry.idString, entry]))
        const nameOf = new Map(all.map((entry) => [Buffer.from(entry.id).toString("hex"), entry.idString]))
        const { entries: rows } = yield* kv.scan("fx/ej/default/s/", { limit: 10_000 })
        let next = 1
        const history: Array<Entry> = []
        for (const row of rows) {
          assert.strictEqual(Number(row.keyText.slice(-16)), next, "sequences have no gaps")
          const { ids, source } = decodeAdded(row)
          next += ids.length
          const added = ids.map((id) => byId.get(nameOf.get(Buffer.from(id).toString("hex")) ?? "") as Entry)
          if (source !== undefined) {
            for (const entry of added) {
              assert.deepStrictEqual(
                compared.get(entry.idString),
                conflictsIn(history, entry),
                "what it was compared with"
              )
            }
          }
          history.push(...added)
        }
        assert.strictEqual(history.length, all.length)
        assert.strictEqual(new Set(history).size, all.length, "each entry once")
        const order = history.map(({ idString }) => idString)
        assert.deepStrictEqual(new Set(order), new Set([...written.flat(), ...compared.keys()]))
        for (const own of written) {
          assert.deepStrictEqual(order.filter((id) => own.includes(id)), own, "the order of one fiber")
          assert.deepStrictEqual(own.toSorted(), own, "its ids ascend")
        }
      })))

    it.live(`of two servers of a store, seed ${seed}`, () =>
      Effect.scoped(Effect.gen(function*() {
        const random = new Random(seed)
        const services = yield* memory
        const store = "store" as EventLogMessage.StoreId
        const servers = yield* Effect.forEach([0, 1], () =>
          Effect.map(
            Layer.build(Layer.fresh(Layer.provide(layerEventLogStorageUnencrypted(), unsteady(services, random)))),
            (context) => Context.get(context, EventLogServerUnencrypted.Storage)
          ))
        const compared = new Map<string, ReadonlyArray<string>>()
        const told = new Map<string, number>()
        const known: Array<Entry> = []
        /** As Effect's server does it: what is known is acknowledged, the rest is compared and stored. */
        const write = (server: EventLogServerUnencrypted.Storage["Service"]) => {
          const entries = Array.from(
            { length: 1 + random.below(3) },
            () =>
              known.length > 0 && random.below(4) === 0
                ? known[random.below(known.length)]!
                : remoteEntry(random, random.below(2))
          ).toSorted(EventJournal.Entry.Order)
          known.push(...entries)
          return server.withTransaction(Effect.gen(function*() {
            const stored = yield* server.entriesAfter(store, entries[0]!, entries as [Entry, ...Array<Entry>])
            const there = new Set(stored.map(({ entry }) => entry.idString))
            const fresh = [
              ...new Map(entries.filter(({ idString }) => !there.has(idString)).map((e) => [e.idString, e]))
            ]
              .map(([, entry]) => entry)
            const given = fresh.map((entry) =>
              [entry.idString, conflictsIn(stored.map((one) => one.entry), entry)] as const
            )
            const committed = yield* server.write(store, fresh)
            return { committed, given }
          })).pipe(Effect.map(({ committed, given }) => {
            for (const [id, conflicts] of given) compared.set(id, conflicts)
            for (const { entry, remoteSequence } of committed) told.set(entry.idString, remoteSequence)
          }))
        }
        const total = new Set<string>()
        const readers = yield* Effect.forEach(servers, (server) =>
          Effect.forkChild(
            server.changes({ storeId: store, startSequence: 0, compactors: new Map() }).pipe(
              Stream.takeUntil(({ entry }) => entry.event === "last"),
              Stream.runCollect
            )
          ))
        yield* Effect.all(
          [...servers, ...servers].map((server) =>
            Effect.forEach(Array.from({ length: operations / 2 }), () => write(server), { discard: true })
          ),
          { concurrency: "unbounded", discard: true }
        )
        const last = new EventJournal.Entry({
          id: EventJournal.makeEntryIdUnsafe(),
          event: "last",
          primaryKey: "",
          payload: new Uint8Array(0)
        }, { disableChecks: true })
        yield* servers[0]!.write(store, [last])
        for (const { idString } of known) total.add(idString)
        for (const reader of readers) {
          const read = yield* Fiber.join(reader)
          assert.deepStrictEqual(read.map((one) => one.remoteSequence), read.map((_, i) => i + 1))
          assert.deepStrictEqual(new Set(read.slice(0, -1).map(({ entry }) => entry.idString)), total)
          assert.strictEqual(read.length - 1, total.size, "each entry once")
          const history: Array<Entry> = []
          for (const { entry, remoteSequence } of read.slice(0, -1)) {
            assert.strictEqual(told.get(entry.idString), remoteSequence, "the sequence that its writer was told")
            const before = new Set(history.map(({ idString }) => idString))
            const conflicts = conflictsIn(history, entry)
            assert.isTrue(
              (compared.get(entry.idString) ?? []).every((id) => before.has(id)),
              "what it was compared with"
            )
            // Entries of one write are stored together and not compared with each other.
            const missed = conflicts.filter((id) => !(compared.get(entry.idString) ?? []).includes(id))
            for (const id of missed) {
              assert.isBelow(remoteSequence - (told.get(id) ?? 0), 3, "only those of its own write")
            }
            history.push(entry)
          }
        }
      })))
  }
})
