/** Cases for every {@link LogStore} about the ends of a log, and about reads across all of it. */
import { Effect } from "effect"
import assert from "node:assert/strict"
import { entryBytes } from "../raft/Config.ts"
import type { Entry } from "../raft/Types.ts"
import { LogIndex } from "../raft/Types.ts"
import type { LogStore, LogWrite } from "../storage/LogStore.ts"
import type { ConformanceCase } from "./Conformance.ts"
import type { Start, Test } from "./LogStoreSamples.ts"
import { holds, plain, point, sampleEntries, sampleEntry, writeOf } from "./LogStoreSamples.ts"

const append = (...writes: ReadonlyArray<LogWrite>) => (store: LogStore["Service"]) => store.append(writes)

/** A truncation, and what is written after it. */
const replacing = (from: number, entries: ReadonlyArray<Entry> = []): LogWrite =>
  writeOf(entries, { truncateFrom: LogIndex(from) })

/** Has the next start find this log behind `after`, and no more, however it is asked. */
const finds = (start: Start, expected: ReadonlyArray<Entry>, after = 0) =>
  start((store) =>
    Effect.gen(function*() {
      assert.equal(store.recovered.lastIndex, after + expected.length)
      assert.equal(store.recovered.compacted.index, after)
      yield* holds(store, after + 1, after + expected.length + 100, expected)
      for (const [i, entry] of expected.entries()) yield* holds(store, after + i + 1, after + i + 1, [entry])
    })
  )

/** How a log ends and goes on from there. */
export const endCases = (test: Test): ReadonlyArray<ConformanceCase> => [
  test("a truncation without entries is kept over restarts, and the log goes on from there", (start) =>
    Effect.gen(function*() {
      yield* start(append(writeOf(sampleEntries(1, 9, 1))))
      yield* start(append(replacing(6)))
      yield* finds(start, sampleEntries(1, 5, 1))
      yield* start(append(writeOf(sampleEntries(6, 7, 2))))
      const expected = [...sampleEntries(1, 5, 1), ...sampleEntries(6, 7, 2)]
      yield* finds(start, expected)
      yield* finds(start, expected)
    })),

  test("a write of nothing changes nothing", (start) =>
    Effect.gen(function*() {
      yield* start((store) =>
        Effect.gen(function*() {
          yield* store.append([writeOf([])])
          yield* store.append([writeOf(sampleEntries(1, 3, 1))])
          yield* store.append([writeOf([])])
          yield* store.append([writeOf([]), writeOf([sampleEntry(4, 1)])])
        })
      )
      yield* finds(start, sampleEntries(1, 4, 1))
    })),

  test("a truncation in the same run as what it removes goes ever further back", (start) =>
    Effect.gen(function*() {
      yield* start((store) =>
        Effect.gen(function*() {
          for (let index = 1; index <= 9; index++) yield* store.append([writeOf([sampleEntry(index, 1)])])
          yield* store.append([replacing(8)])
          yield* store.append([replacing(5)])
          yield* holds(store, 1, 20, sampleEntries(1, 4, 1))
          yield* store.append([replacing(3, sampleEntries(3, 4, 2))])
          yield* store.append([replacing(4, sampleEntries(4, 6, 3))])
        })
      )
      yield* finds(start, [...sampleEntries(1, 2, 1), sampleEntry(3, 2), ...sampleEntries(4, 6, 3)])
    })),

  test("a truncation behind the end of the log removes nothing", (start) =>
    Effect.gen(function*() {
      yield* start(append(writeOf(sampleEntries(1, 3, 1)), replacing(4), replacing(4, [sampleEntry(4, 2)])))
      yield* start(append(replacing(5)))
      yield* finds(start, [...sampleEntries(1, 3, 1), sampleEntry(4, 2)])
    })),

  test("later writes of one call remove entries of earlier ones", (start) =>
    Effect.gen(function*() {
      yield* start(append(
        writeOf(sampleEntries(1, 4, 1)),
        replacing(3, sampleEntries(3, 6, 2)),
        replacing(5),
        replacing(2, sampleEntries(2, 3, 3)),
        writeOf(sampleEntries(4, 4, 4))
      ))
      yield* finds(start, [sampleEntry(1, 1), ...sampleEntries(2, 3, 3), sampleEntry(4, 4)])
    }))
]

/** How a log begins and goes on from there. */
export const beginningCases = (test: Test): ReadonlyArray<ConformanceCase> => [
  test("a compaction up to the last entry, then entries, are kept over restarts", (start) =>
    Effect.gen(function*() {
      yield* start((store) =>
        Effect.gen(function*() {
          yield* store.append([writeOf(sampleEntries(1, 4, 3))])
          yield* store.compact(point(4, 3))
          yield* store.append([writeOf(sampleEntries(5, 6, 3))])
          yield* holds(store, 5, 20, sampleEntries(5, 6, 3))
          yield* store.compact(point(6, 3))
        })
      )
      yield* finds(start, [], 6)
      yield* start(append(writeOf(sampleEntries(7, 8, 5))))
      yield* finds(start, sampleEntries(7, 8, 5), 6)
    })),

  test("everything behind a compaction can be removed, and the log goes on from its point", (start) =>
    Effect.gen(function*() {
      yield* start((store) =>
        Effect.gen(function*() {
          yield* store.append([writeOf(sampleEntries(1, 9, 1))])
          yield* store.compact(point(5, 1))
          yield* store.append([replacing(6)])
          yield* holds(store, 6, 20, [])
        })
      )
      yield* finds(start, [], 5)
      yield* start(append(replacing(6, sampleEntries(6, 7, 2))))
      yield* start((store) => store.compact(point(6, 2)))
      yield* finds(start, [sampleEntry(7, 2)], 6)
    })),

  test("a reset, then entries, are kept over restarts, also where the old log went further", (start) =>
    Effect.gen(function*() {
      yield* start((store) =>
        Effect.gen(function*() {
          yield* store.append([writeOf(sampleEntries(1, 20, 1))])
          yield* store.reset(point(7, 4))
          yield* store.append([writeOf(sampleEntries(8, 9, 4))])
          yield* holds(store, 8, 30, sampleEntries(8, 9, 4))
        })
      )
      yield* finds(start, sampleEntries(8, 9, 4), 7)
      yield* start((store) => store.reset(point(30, 5)))
      yield* finds(start, [], 30)
      yield* start(append(writeOf(sampleEntries(31, 32, 5))))
      yield* finds(start, sampleEntries(31, 32, 5), 30)
    })),

  test("many starts change nothing, and each may add to the log", (start) =>
    Effect.gen(function*() {
      for (let index = 1; index <= 5; index++) {
        yield* start(append(writeOf([sampleEntry(index, 1)])))
        for (let again = 0; again < 3; again++) yield* start(() => Effect.void)
      }
      yield* finds(start, sampleEntries(1, 5, 1))
    }))
]

/** Which entries a read gives. */
export const rangeCases = (test: Test): ReadonlyArray<ConformanceCase> => [
  test("every range of a log of many appends is read, within every limit", (start) =>
    Effect.gen(function*() {
      const entries = Array.from({ length: 12 }, (_, i) => sampleEntry(i + 1, 1, "z".repeat(40 * (i % 4))))
      const check = (store: LogStore["Service"]) =>
        Effect.gen(function*() {
          for (let from = 1; from <= 12; from++) {
            for (let through = from; through <= 13; through += 3) {
              const wanted = entries.slice(from - 1, through)
              yield* holds(store, from, through, wanted)
              for (const limit of [0, 90, 200, 400, 700]) {
                const found = yield* store.read(LogIndex(from), LogIndex(through), limit)
                assert.deepEqual(plain(found), plain(wanted.slice(0, Math.max(1, found.length))))
                const bytes = found.reduce((sum, entry) => sum + entryBytes(entry), 0)
                assert.ok(found.length === 1 || bytes <= limit, `${found.length} entries in ${limit} bytes`)
              }
            }
          }
        })
      yield* start((store) =>
        Effect.gen(function*() {
          for (const entry of entries) yield* store.append([writeOf([entry])])
          yield* check(store)
        })
      )
      yield* start(check)
    }))
]
