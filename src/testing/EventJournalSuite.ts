/**
 * What `EventLog` relies on in an `EventJournal`, and promises beyond it: users of one journal write at once without
 * losing or repeating an entry, and hear of each other.
 */
import type { Scope } from "effect"
import { Context, Effect, Layer, Option, PubSub } from "effect"
import { EventJournal } from "effect/eventlog"
import { ensure, same } from "./Checks.ts"
import type { ConformanceCase } from "./Conformance.ts"

/** The journal to hold against the cases, and what it does not promise. */
export interface EventJournalSuiteOptions {
  /**
   * A journal of this name. The suite builds it more than once, as several processes do; a name is used by one case.
   */
  readonly journal: (name: string) => Layer.Layer<EventJournal.EventJournal, unknown>
  /** Whether two journals of one name, built apart, hold the same. Default `true`; Effect's memory journal does not. */
  readonly shared?: boolean | undefined
  /** Whether `changes` tells of what others write. Default `true`; none of Effect's does. */
  readonly tellsOthers?: boolean | undefined
  /** Whether names may hold any characters. Default `true`; PostgreSQL refuses some. */
  readonly anyText?: boolean | undefined
}

type Journal = EventJournal.EventJournal["Service"]
type Entry = EventJournal.Entry

const remote = (n: number) => new Uint8Array(16).fill(n) as EventJournal.RemoteId

const bytes = (...values: ReadonlyArray<number>) => Uint8Array.from(values)

/** An entry as another journal made it, `n` milliseconds after a time in the past. */
export const entryAt = (n: number, event = "event", primaryKey = "key", payload = bytes(n & 0xff)): Entry =>
  new EventJournal.Entry({
    id: EventJournal.makeEntryIdUnsafe({ msecs: 1_600_000_000_000 + n }),
    event,
    primaryKey,
    payload
  }, { disableChecks: true })

const at = (remoteSequence: number, entry: Entry) => new EventJournal.RemoteEntry({ remoteSequence, entry })

const idsOf = (entries: ReadonlyArray<Entry>) => entries.map(({ idString }) => idString)

const write = (journal: Journal, primaryKey: string, event = "event") =>
  journal.write({ event, primaryKey, payload: bytes(1, 2, 3), effect: Effect.succeed })

const imported = (
  journal: Journal,
  remoteId: EventJournal.RemoteId,
  entries: ReadonlyArray<EventJournal.RemoteEntry>
) => {
  const seen: Array<readonly [string, ReadonlyArray<string>]> = []
  return Effect.map(
    journal.writeFromRemote({
      remoteId,
      entries,
      effect: (batch) =>
        Effect.sync(() => {
          for (const { conflicts, entry } of batch) seen.push([entry.idString, idsOf(conflicts)])
        })
    }),
    ({ duplicateEntries }) => ({ seen, duplicates: idsOf(duplicateEntries) })
  )
}

/** Everything that is to be uploaded, however many times it is given. */
const uncommitted = (journal: Journal, remoteId: EventJournal.RemoteId) => {
  const given: Array<Entry> = []
  return Effect.map(
    journal.withRemoteUncommited(remoteId, (entries) => Effect.sync(() => given.push(...entries))),
    (result) => ({ given, any: Option.isSome(result) })
  )
}

/** Entries of an import that takes several steps. */
const manyEntries = 500

/** What an event journal has to do, as cases for any test runner. */
export const eventJournalCases = (options: EventJournalSuiteOptions): ReadonlyArray<ConformanceCase> => {
  const open = (name: string) =>
    Effect.map(
      Layer.build(Layer.fresh(options.journal(name))),
      (context) => Context.get(context, EventJournal.EventJournal)
    )

  /** A case on a journal of its own, opened by two users where journals are shared. */
  const make = (
    name: string,
    run: (journal: Journal, other: Journal) => Effect.Effect<void, unknown, Scope.Scope>
  ): ConformanceCase => ({
    name,
    effect: Effect.scoped(Effect.gen(function*() {
      const journal = yield* open(name)
      yield* run(journal, options.shared === false ? journal : yield* open(name))
    }))
  })

  return [
    make("what is written is there, in the order of ids", (journal, other) =>
      Effect.gen(function*() {
        yield* same(yield* journal.entries, [], "a new journal")
        const first = yield* write(journal, "a")
        const [second, third] = yield* other.writeMany({
          entries: [
            { event: "x", primaryKey: "", payload: bytes() },
            { event: "y", primaryKey: "b".repeat(3_000), payload: new Uint8Array(200_000).fill(7) }
          ],
          effect: Effect.succeed
        })
        const all = [first, second as Entry, third as Entry] as const
        yield* same(idsOf(all), idsOf(all).toSorted(), "ids ascend")
        yield* same(yield* journal.entries, all, "the entries")
        const missing = entryAt(1).id
        yield* same(
          yield* journal.entriesById([all[2].id, missing, first.id, first.id]),
          [all[2], undefined, first, first],
          "entriesById"
        )
        yield* same(yield* journal.entriesById([]), [], "entriesById of none")
      })),
    make("a write whose effect fails leaves nothing", (journal) =>
      Effect.gen(function*() {
        const entries = [{ event: "x", primaryKey: "", payload: bytes() }] as const
        const changes = yield* journal.changes
        const failure = yield* Effect.flip(journal.writeMany({ entries, effect: () => Effect.fail("no" as const) }))
        yield* same(failure, "no", "its failure")
        yield* Effect.exit(journal.writeMany({ entries, effect: () => Effect.die("defect") }))
        yield* same(yield* journal.entries, [], "the entries")
        const entry = yield* write(journal, "a")
        yield* same(yield* PubSub.take(changes), entry, "the first change")
      })),
    make(
      "an id comes after every other, also after one of a clock that is ahead",
      (journal, other) =>
        Effect.gen(function*() {
          const ahead = new EventJournal.Entry({
            id: EventJournal.makeEntryIdUnsafe({ msecs: Date.now() + 3_600_000 }),
            event: "event",
            primaryKey: "ahead",
            payload: bytes()
          }, { disableChecks: true })
          yield* imported(other, remote(1), [at(1, ahead)])
          const [a, b] = yield* journal.writeMany({
            entries: [{ event: "x", primaryKey: "", payload: bytes() }, {
              event: "x",
              primaryKey: "",
              payload: bytes()
            }],
            effect: Effect.succeed
          })
          const c = yield* write(other, "c")
          const all = [ahead, a as Entry, b as Entry, c]
          yield* same(idsOf(yield* journal.entries), idsOf(all), "the order")
        })
    ),
    make(
      "changes tells of what is written, once and in order, and not of imports",
      (journal, other) =>
        Effect.gen(function*() {
          const before = yield* write(journal, "before")
          const changes = yield* journal.changes
          yield* imported(journal, remote(1), [at(1, entryAt(1))])
          const expected = yield* Effect.forEach(["a", "b", "c"], (key) => write(journal, key))
          yield* same(yield* PubSub.takeUpTo(changes, 10), expected, `what was written after ${before.idString}`)
          if (options.tellsOthers === false) return
          for (const key of ["d", "e"]) {
            const entry = yield* write(other, key)
            yield* same(yield* PubSub.take(changes), entry, "what another user wrote")
          }
          const own = yield* write(journal, "f")
          yield* same(yield* PubSub.take(changes), own, "an own entry after it")
        })
    ),
    make(
      "an import gives each new entry once, in order, with what conflicts with it",
      (journal, other) =>
        Effect.gen(function*() {
          const [old, later, otherKey, otherEvent] = [
            entryAt(1),
            entryAt(50),
            entryAt(60, "event", "other"),
            entryAt(70, "other")
          ]
          yield* imported(other, remote(1), [at(1, later), at(2, old), at(3, otherKey), at(4, otherEvent)])
          const [a, b, c] = [entryAt(10), entryAt(20), entryAt(55)]
          const local = yield* write(journal, "key")
          const result = yield* imported(journal, remote(2), [at(7, b), at(8, a), at(9, b), at(10, c), at(11, later)])
          yield* same(result.duplicates, idsOf([later]), "duplicates")
          yield* same(
            result.seen,
            [
              [a.idString, idsOf([later, local])],
              [b.idString, idsOf([later, local])],
              [c.idString, idsOf([local])]
            ],
            "what the effect is given"
          )
          yield* same(
            idsOf(yield* other.entries),
            idsOf([old, a, b, later, c, otherKey, otherEvent, local]),
            "the entries"
          )
          const again = yield* imported(other, remote(2), [at(7, b), at(8, a)])
          yield* same(again, { seen: [], duplicates: idsOf([b, a]) }, "the same again")
        })
    ),
    make(
      "an import whose effect fails leaves nothing, and its sequences are asked for again",
      (journal) =>
        Effect.gen(function*() {
          const error = new EventJournal.EventJournalError({ method: "test", cause: "no" })
          const entries = [at(5, entryAt(1)), at(6, entryAt(2))]
          const failure = yield* Effect.flip(
            journal.writeFromRemote({ remoteId: remote(1), entries, effect: () => Effect.fail(error) })
          )
          yield* ensure(failure === error, "its failure")
          yield* same(yield* journal.entries, [], "the entries")
          yield* same(yield* journal.nextRemoteSequence(remote(1)), 0, "the next sequence")
          yield* imported(journal, remote(1), entries)
          yield* same(yield* journal.nextRemoteSequence(remote(1)), 7, "the next sequence after it was repeated")
        })
    ),
    make("a compaction says what the effect is given, and not what is stored", (journal) =>
      Effect.gen(function*() {
        const [a, b, c] = [entryAt(1), entryAt(2), entryAt(3, "event", "other")]
        const later = entryAt(90)
        yield* imported(journal, remote(1), [at(1, later)])
        const given: Array<unknown> = []
        yield* journal.writeFromRemote({
          remoteId: remote(1),
          entries: [at(2, c), at(3, b), at(4, a), at(5, later)],
          compact: (uncommitted) =>
            Effect.sync(() => {
              given.push(idsOf(uncommitted.map(({ entry }) => entry)))
              return [b]
            }),
          effect: (batch) => Effect.sync(() => given.push(batch.map((one) => [one.entry, one.conflicts])))
        })
        yield* same(given, [idsOf([c, b, a]), [[b, [later]]]], "what compaction and effect are given")
        yield* same(idsOf(yield* journal.entries), idsOf([a, b, c, later]), "the entries")
      })),
    make("sequences of remotes rise, each for itself and without gaps", (journal, other) =>
      Effect.gen(function*() {
        const next = (n: number) => journal.nextRemoteSequence(remote(n))
        const ack = (n: number, sequences: ReadonlyArray<number>, firstSequence?: number) =>
          other.writeRemoteAcks({
            remoteId: remote(n),
            acks: sequences.map((sequence) => ({ entryId: entryAt(sequence).id, sequence })),
            firstSequence
          })
        yield* imported(journal, remote(1), [at(9, entryAt(1)), at(4, entryAt(2))])
        yield* same([yield* next(1), yield* next(2)], [10, 0], "after an import")
        yield* imported(journal, remote(1), [at(3, entryAt(3))])
        yield* same(yield* next(1), 10, "after an import of an earlier one")
        yield* ack(1, [12, 10])
        yield* same(yield* next(1), 11, "after an acknowledgement with a gap")
        yield* ack(1, [11, 12, 14, 3])
        yield* same(yield* next(1), 13, "after the gap was closed")
        yield* ack(2, [1, 2], 1)
        yield* same(yield* next(2), 3, "with a first sequence of 1")
        yield* ack(3, [1])
        yield* same(yield* next(3), 0, "with a first sequence of 0")
        yield* ack(1, [])
        yield* same(yield* next(1), 13, "after nothing")
      })),
    make(
      "what is to be uploaded is given until it was taken, and what came from a remote not to it",
      (journal, other) =>
        Effect.gen(function*() {
          yield* same(yield* uncommitted(journal, remote(1)), { given: [], any: false }, "a new journal")
          const late = yield* write(journal, "a")
          const early = entryAt(1)
          yield* imported(other, remote(2), [at(1, early)])
          yield* same(
            yield* Effect.flip(journal.withRemoteUncommited(remote(1), () => Effect.fail("no"))),
            "no",
            "a failure"
          )
          let during: Entry | undefined
          const result = yield* journal.withRemoteUncommited(remote(1), (entries) =>
            Effect.gen(function*() {
              during = yield* write(other, "during")
              return idsOf(entries)
            }))
          yield* same(result, Option.some(idsOf([early, late])), "for a remote, in the order of ids")
          yield* same((yield* uncommitted(other, remote(1))).given, [during], "what was written meanwhile")
          yield* same(yield* uncommitted(other, remote(1)), { given: [], any: false }, "when all was taken")
          yield* same((yield* uncommitted(other, remote(2))).given, [late, during], "for the remote that one came from")
          // Older than all, and added last.
          const older = entryAt(0)
          yield* imported(other, remote(2), [at(2, older)])
          yield* same((yield* uncommitted(journal, remote(1))).given, [older], "what came after, with an earlier id")
          yield* same(yield* uncommitted(journal, remote(2)), { given: [], any: false }, "for the remote it came from")
        })
    ),
    make("a journal of many entries is imported, uploaded and destroyed", (journal, other) =>
      Effect.gen(function*() {
        const entries = Array.from({ length: manyEntries }, (_, i) => entryAt(i, "event", `key ${i % 7}`))
        const batches = [0, 1].map((i) =>
          entries.filter((_, at) => at % 2 === i).map((entry, at) => [at, entry] as const)
        )
        for (const [i, batch] of batches.entries()) {
          const result = yield* imported(journal, remote(1), batch.map(([n, entry]) => at(2 * n + i, entry)))
          yield* same(result.seen.length, batch.length, "new entries")
        }
        yield* same(yield* other.nextRemoteSequence(remote(1)), manyEntries, "the next sequence")
        yield* same(idsOf(yield* other.entries), idsOf(entries), "the entries")
        yield* Effect.forEach(
          Array.from({ length: 30 }),
          () =>
            journal.writeMany({
              entries: [
                { event: "x", primaryKey: "", payload: bytes() },
                ...Array.from({ length: 19 }, () => ({ event: "x", primaryKey: "", payload: bytes() }))
              ],
              effect: () => Effect.void
            }),
          { concurrency: "unbounded" }
        )
        const { given } = yield* uncommitted(other, remote(2))
        yield* same([given.length, new Set(idsOf(given)).size], [manyEntries + 600, manyEntries + 600], "uploaded")
        yield* same((yield* uncommitted(other, remote(1))).given.length, 600, "uploaded to whom they came from")
      })),
    make("a journal that was destroyed is empty, and can be written again", (journal) =>
      Effect.gen(function*() {
        // Effect's SQL journal drops its tables, and fails from then on.
        if (options.anyText === false) return
        yield* write(journal, "a")
        yield* imported(journal, remote(1), [at(3, entryAt(1))])
        yield* uncommitted(journal, remote(1))
        yield* journal.destroy
        yield* same(yield* journal.entries, [], "the entries")
        yield* same(yield* journal.nextRemoteSequence(remote(1)), 0, "the next sequence")
        const entry = yield* write(journal, "b")
        yield* same(yield* journal.entries, [entry], "the entries after a write")
        yield* same((yield* uncommitted(journal, remote(1))).given, [entry], "what is to be uploaded")
      })),
    make("users that write at once lose nothing and repeat nothing", (journal, other) =>
      Effect.gen(function*() {
        const written = yield* Effect.all(
          Array.from({ length: 36 }, (_, i) =>
            i % 6 === 5
              ? Effect.as(imported(i % 4 === 1 ? journal : other, remote(1), [at(i, entryAt(i))]), undefined)
              : write(i % 2 === 0 ? journal : other, `key ${i % 3}`)),
          { concurrency: "unbounded" }
        )
        const own = idsOf(written.filter((entry) => entry !== undefined)).toSorted()
        const all = yield* journal.entries
        yield* same([own.length, all.length, new Set(idsOf(all)).size], [30, 36, 36], "entries")
        const { given } = yield* uncommitted(other, remote(1))
        yield* same(idsOf(given), own, "what is to be uploaded")
      })),
    make("journals of other names, and groups that read alike, are kept apart", (journal) =>
      Effect.gen(function*() {
        const odd = options.anyText === false
          ? ["a/b", "", "ä", "😀"]
          : ["a/b", "", "ä", "😀", "\u0000", "\ud800", "\ud801"]
        const later = odd.flatMap((text, i) =>
          [text, "a"].map((event, j) => entryAt(1_000 + i * 20 + j, event, j === 0 ? "b" : text))
        )
        yield* imported(journal, remote(1), later.map((entry, i) => at(i, entry)))
        for (const entry of later) {
          const early = entryAt(1, entry.event, entry.primaryKey)
          const { seen } = yield* imported(journal, remote(2), [at(1, early)])
          yield* same(seen, [[early.idString, [entry.idString]]], `conflicts of ${entry.event} ${entry.primaryKey}`)
        }
        const expected = later.toSorted(EventJournal.Entry.Order)
        yield* same((yield* journal.entries).slice(later.length), expected, "the entries as they were given")
        if (options.shared === false) return
        const others = yield* Effect.forEach(["of", "of/", "of/e", "of%2F"].map((name) => `names ${name}`), open)
        for (const one of others) yield* same(yield* one.entries, [], "another journal")
        yield* Effect.forEach(others, (one) => write(one, "a"))
        for (const one of others) yield* same((yield* one.entries).length, 1, "another journal's entries")
      })),
    make(
      "a lock passes on what its effect gives, and is given back when it fails",
      (journal) =>
        Effect.gen(function*() {
          const lock = journal.withLock("store" as Parameters<Journal["withLock"]>[0])
          yield* same(yield* Effect.flip(lock(Effect.fail("no"))), "no", "a failure")
          yield* same(yield* lock(Effect.succeed(1)), 1, "what it gives")
        })
    )
  ]
}
