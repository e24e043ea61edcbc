/** The part of a log that a start does not read: its terms, and the check that goes on behind the start. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import { encodeEntry } from "../../src/protocol/EntryRecord.ts"
import type { Entry, LogPoint } from "../../src/raft/Types.ts"
import { LogIndex, origin, Term } from "../../src/raft/Types.ts"
import { indexOfLogKey, logKey } from "../../src/storage/Codec.ts"
import { LogScrub } from "../../src/storage/LogScrub.ts"
import { termRunsOf } from "../../src/storage/LogTerms.ts"
import type { Reader, Row } from "../../src/storage/rocksdb/Reader.ts"
import { sampleEntries, sampleEntry } from "../../src/testing/LogStoreSuite.ts"

/** A log in memory that a test may change behind the reader's back, also while it is read. */
class Rows {
  readonly entries = new Map<number, Entry>()
  /** Reads of single entries, and of pages. */
  gets = 0
  pages = 0
  /** Runs when a page was read and is not handed over yet. */
  whileReading: () => void = () => undefined

  constructor(entries: ReadonlyArray<Entry>) {
    for (const entry of entries) this.entries.set(entry.index, entry)
  }

  private row(entry: Entry): Row {
    return { key: logKey(entry.index), value: encodeEntry(entry) }
  }

  readonly reader: Reader = {
    get: (_, key) =>
      Effect.sync(() => {
        this.gets += 1
        const entry = this.entries.get(typeof key === "string" ? -1 : indexOfLogKey(key))
        return entry === undefined ? undefined : this.row(entry).value
      }),
    getMany: () => Effect.die("not used"),
    scan: (_, { gte, limit = Infinity, lt }, take) =>
      Effect.sync(() => {
        this.pages += 1
        const read = [...this.entries.values()]
          .filter(({ index }) => index >= indexOfLogKey(gte) && index < indexOfLogKey(lt))
          .sort((a, b) => a.index - b.index)
          .slice(0, limit)
        this.whileReading()
        for (const entry of read) if (!take(this.row(entry))) return
      })
  }
}

const scrubbing = (rows: Rows, compacted: LogPoint, through: number) =>
  new LogScrub(rows.reader, "somewhere", compacted, LogIndex(through))

/** Runs a check to its end, however long its pauses are. */
const ended = <A, E>(work: Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(work)
    yield* TestClock.adjust("1 hour")
    return yield* Fiber.join(fiber)
  })

const point = (index: number, term: number): LogPoint => ({ index: LogIndex(index), term: Term(term) })

describe("the check behind a start", () => {
  it.effect("reads all it was given in pages, and nothing more", () =>
    Effect.gen(function*() {
      const rows = new Rows(sampleEntries(3, 1_000, 1))
      rows.entries.delete(901)
      yield* ended(scrubbing(rows, point(2, 1), 900).run)
      assert.isAbove(rows.pages, 2)
      assert.isBelow(rows.pages, 10)
    }))

  it.effect("reads fewer entries at a time where they are large", () =>
    Effect.gen(function*() {
      const large = "x".repeat(300_000)
      const rows = new Rows(Array.from({ length: 300 }, (_, i) => sampleEntry(i + 1, 1, i < 60 ? large : "small")))
      yield* ended(scrubbing(rows, origin, 300).run)
      assert.isAbove(rows.pages, 10)
    }))

  it.effect("fails with what is wrong, and with what was right before it", () =>
    Effect.gen(function*() {
      const rows = new Rows(sampleEntries(1, 1_000, 2))
      rows.entries.set(700, sampleEntry(700, 1))
      const error = yield* Effect.flip(ended(scrubbing(rows, origin, 1_000).run))
      assert.strictEqual(error._tag, "StorageCorruption")
      assert.include(error.message, "entry 700 has term 1 after term 2")
      assert.include(error.message, "log entries up to 699")
    }))

  it.effect("misses an end that is gone", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(ended(scrubbing(new Rows(sampleEntries(1, 600, 1)), origin, 601).run))
      assert.include(error.message, "entry 601 is missing")
    }))

  it.effect("is not alarmed by what is compacted away while it reads", () =>
    Effect.gen(function*() {
      const rows = new Rows(sampleEntries(1, 1_000, 1))
      const scrub = scrubbing(rows, origin, 1_000)
      rows.whileReading = () => {
        if (rows.pages !== 2) return
        scrub.compactedThrough(point(700, 1))
        for (let index = 1; index <= 700; index++) rows.entries.delete(index)
      }
      yield* ended(scrub.run)
    }))

  it.effect("is not alarmed by a tail that is removed while it reads", () =>
    Effect.gen(function*() {
      const rows = new Rows(sampleEntries(1, 1_000, 1))
      const scrub = scrubbing(rows, origin, 1_000)
      rows.whileReading = () => {
        if (rows.pages !== 2) return
        scrub.truncatedFrom(LogIndex(400))
        for (let index = 400; index <= 1_000; index++) rows.entries.delete(index)
      }
      yield* ended(scrub.run)
    }))

  it.effect("is not alarmed by a log that goes away during a pause", () =>
    Effect.gen(function*() {
      const rows = new Rows(sampleEntries(1, 1_000, 1))
      const scrub = scrubbing(rows, origin, 1_000)
      const fiber = yield* Effect.forkChild(scrub.run, { startImmediately: true })
      scrub.compactedThrough(point(2_000, 1))
      scrub.truncatedFrom(LogIndex(1))
      yield* TestClock.adjust("1 hour")
      yield* Fiber.join(fiber)
      assert.strictEqual(rows.pages, 0)
    }))

  it.effect("finds a gap that was there before a tail was removed", () =>
    Effect.gen(function*() {
      const rows = new Rows(sampleEntries(1, 1_000, 1))
      rows.entries.delete(399)
      const scrub = scrubbing(rows, origin, 1_000)
      rows.whileReading = () => scrub.truncatedFrom(LogIndex(401))
      assert.include((yield* Effect.flip(ended(scrub.run))).message, "entry 399 is missing")
    }))
})

const Count = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 400 }))
const Runs = Schema.Array(Count).check(Schema.isMaxLength(12))

describe("the terms of a log", () => {
  /** Runs of so many entries each, each in a later term than the one before. */
  const logOf = (counts: ReadonlyArray<number>, base: LogPoint): ReadonlyArray<Entry> =>
    counts.flatMap((count, i) => {
      const first = base.index + 1 + counts.slice(0, i).reduce((sum, each) => sum + each, 0)
      return sampleEntries(first, first + count - 1, base.term + 3 * i)
    })

  it.effect.prop("are found without reading all of it", [Runs, Count], ([counts, compacted]) =>
    Effect.gen(function*() {
      const base = point(compacted, 2)
      const entries = logOf(counts, base)
      const rows = new Rows(entries)
      const last = entries[entries.length - 1] ?? base
      const runs = yield* termRunsOf(rows.reader, base, last)
      assert.deepStrictEqual(
        runs,
        entries.filter(({ term }, i) => term !== entries[i - 1]?.term)
          .map(({ index, term }) => ({ firstIndex: index, term }))
      )
      assert.isAtMost(rows.gets, counts.length * 20)
    }))

  it.effect("are not guessed where an entry is missing, or a term goes back", () =>
    Effect.gen(function*() {
      const entries = logOf([100, 100, 100], origin)
      const last = entries[entries.length - 1] as Entry
      const missing = new Rows(entries)
      missing.entries.delete(1)
      assert.isUndefined(yield* termRunsOf(missing.reader, origin, last))
      const back = new Rows(entries)
      back.entries.set(101, sampleEntry(101, 99))
      assert.isUndefined(yield* termRunsOf(back.reader, origin, last))
    }))

  it.effect("are read with the log where there are too many of them", () =>
    Effect.gen(function*() {
      const entries = logOf(new Array<number>(5_000).fill(1), origin)
      const rows = new Rows(entries)
      assert.isUndefined(yield* termRunsOf(rows.reader, origin, entries[entries.length - 1] as Entry))
      assert.isBelow(rows.gets, 5_000)
    }))
})
