/**
 * What every {@link LogStore} promises, as cases to run against any back end.
 *
 * ```ts
 * for (const { name, effect } of logStoreCases({ voters: [1, 2, 3], fresh })) it.live(name, () => effect)
 * ```
 */
import { Effect, Layer } from "effect"
import type { Scope } from "effect"
import assert from "node:assert/strict"
import type { Entry } from "../raft/Types.ts"
import { LogIndex, NodeId, origin } from "../raft/Types.ts"
import { LogStore } from "../storage/LogStore.ts"
import type { OpenError } from "../storage/StorageError.ts"
import type { ConformanceCase } from "./Conformance.ts"
import { beginningCases, endCases, rangeCases } from "./LogStoreEnds.ts"
import type { Test } from "./LogStoreSamples.ts"
import { hardState, holds, point, runs, sampleEntries, sampleEntry, writeOf } from "./LogStoreSamples.ts"

export { sampleEntries, sampleEntry, writeOf } from "./LogStoreSamples.ts"

/** The store to hold against the cases. */
export interface LogStoreSuiteOptions {
  /** The voters the stores are made with, ascending. */
  readonly voters: ReadonlyArray<number>
  /** An empty disk. Each build of the layer is one start of a node on that disk. */
  readonly fresh: Effect.Effect<Layer.Layer<LogStore, OpenError>, never, Scope.Scope>
}

/** What a store of the Raft log has to do, kept over restarts of its node. */
export const logStoreCases = (options: LogStoreSuiteOptions): ReadonlyArray<ConformanceCase> => {
  const test: Test = (name, run) => ({
    name,
    effect: Effect.scoped(
      Effect.flatMap(
        options.fresh,
        (disk) => run((use) => Effect.flatMap(LogStore, use).pipe(Effect.provide(Layer.fresh(disk))))
      )
    )
  })

  return [
    test("an empty disk gives term 0, no vote, no entries and its voters", (start) =>
      start((store) =>
        Effect.gen(function*() {
          assert.deepEqual(store.recovered, {
            hardState: {
              ...hardState(0, undefined, 0),
              ...(options.voters.length > 1 ? { membership: "unknown" } : {})
            },
            confState: { voters: options.voters.map(NodeId) },
            compacted: origin,
            lastIndex: 0,
            bytes: 0,
            lastTimestampMs: 0,
            termRuns: []
          })
          yield* holds(store, 1, 10, [])
        })
      )),

    test("what was appended is read back, and found again by the next start", (start) =>
      Effect.gen(function*() {
        const noop: Entry = { ...sampleEntry(1, 1), kind: "noop", payload: new Uint8Array(0) }
        const written = [noop, ...sampleEntries(2, 4, 1), ...sampleEntries(5, 6, 3)]
        yield* start((store) =>
          Effect.gen(function*() {
            yield* store.append([writeOf(written, { hardState: hardState(3, 2, 1) })])
            yield* holds(store, 1, 6, written)
          })
        )
        yield* start((store) =>
          Effect.gen(function*() {
            assert.deepEqual(store.recovered.hardState, hardState(3, 2, 1))
            assert.equal(store.recovered.lastIndex, 6)
            assert.equal(store.recovered.lastTimestampMs, written[5]?.timestampMs)
            assert.deepEqual(store.recovered.termRuns, runs([1, 1], [5, 3]))
            yield* holds(store, 1, 6, written)
            yield* holds(store, 3, 5, written.slice(2, 5))
          })
        )
      })),

    test("a hard state alone is durable, and a later one without a vote replaces it", (start) =>
      Effect.gen(function*() {
        yield* start((store) => store.append([writeOf([], { hardState: hardState(7, 3, 0) })]))
        yield* start((store) =>
          Effect.gen(function*() {
            assert.deepEqual(store.recovered.hardState, hardState(7, 3, 0))
            yield* store.append([writeOf([], { hardState: hardState(8, undefined, 0) })])
          })
        )
        yield* start((store) =>
          Effect.sync(() => assert.deepEqual(store.recovered.hardState, hardState(8, undefined, 0)))
        )
      })),

    test("a truncation removes the tail before the new entries take its place", (start) =>
      Effect.gen(function*() {
        const expected = [...sampleEntries(1, 3, 1), ...sampleEntries(4, 5, 2)]
        yield* start((store) =>
          Effect.gen(function*() {
            yield* store.append([writeOf(sampleEntries(1, 9, 1))])
            yield* store.append([writeOf(sampleEntries(4, 5, 2), { truncateFrom: LogIndex(4) })])
            yield* holds(store, 1, 9, expected)
          })
        )
        yield* start((store) =>
          Effect.gen(function*() {
            assert.equal(store.recovered.lastIndex, 5)
            assert.deepEqual(store.recovered.termRuns, runs([1, 1], [4, 2]))
            yield* holds(store, 1, 9, expected)
          })
        )
      })),

    test("a start after a truncation accepts the shorter log, even the empty one", (start) =>
      Effect.gen(function*() {
        yield* start((store) => store.append([writeOf(sampleEntries(1, 9, 1))]))
        yield* start((store) => store.append([writeOf([], { truncateFrom: LogIndex(6) })]))
        yield* start((store) =>
          Effect.gen(function*() {
            assert.equal(store.recovered.lastIndex, 5)
            yield* store.append([writeOf([], { truncateFrom: LogIndex(1) })])
          })
        )
        yield* start((store) =>
          Effect.gen(function*() {
            assert.equal(store.recovered.lastIndex, 0)
            assert.deepEqual(store.recovered.termRuns, [])
            yield* store.append([writeOf(sampleEntries(1, 2, 4))])
          })
        )
        yield* start((store) =>
          Effect.gen(function*() {
            assert.deepEqual(store.recovered.termRuns, runs([1, 4]))
            yield* holds(store, 1, 9, sampleEntries(1, 2, 4))
          })
        )
      })),

    test("the writes of one call take effect in their order", (start) =>
      Effect.gen(function*() {
        yield* start((store) =>
          store.append([
            writeOf(sampleEntries(1, 5, 1), { hardState: hardState(1, 1, 0) }),
            writeOf(sampleEntries(3, 4, 2), { hardState: hardState(2, undefined, 1), truncateFrom: LogIndex(3) }),
            writeOf(sampleEntries(5, 5, 2)),
            writeOf([], { hardState: hardState(3, 2, 2) })
          ])
        )
        yield* start((store) =>
          Effect.gen(function*() {
            assert.deepEqual(store.recovered.hardState, hardState(3, 2, 2))
            assert.deepEqual(store.recovered.termRuns, runs([1, 1], [3, 2]))
            yield* holds(store, 1, 9, [...sampleEntries(1, 2, 1), ...sampleEntries(3, 5, 2)])
          })
        )
      })),

    test("no writes are a write that succeeds", (start) =>
      Effect.gen(function*() {
        yield* start((store) => Effect.andThen(store.append([]), store.append([writeOf([])])))
        yield* start((store) => Effect.sync(() => assert.equal(store.recovered.lastIndex, 0)))
      })),

    test("an append of thousands of entries, and of one very large, comes back whole", (start) =>
      Effect.gen(function*() {
        const large = sampleEntry(2_501, 2, "x".repeat(1_500_000))
        yield* start((store) => store.append([writeOf(sampleEntries(1, 2_500, 1)), writeOf([large])]))
        yield* start((store) =>
          Effect.gen(function*() {
            assert.deepEqual(store.recovered.termRuns, runs([1, 1], [2_501, 2]))
            yield* holds(store, 1, 2_501, [...sampleEntries(1, 2_500, 1), large])
          })
        )
      })),

    test("a read gives one entry however small its limit is, and then stops at the limit", (start) =>
      start((store) =>
        Effect.gen(function*() {
          const payload = "y".repeat(1_000)
          yield* store.append([writeOf(Array.from({ length: 10 }, (_, i) => sampleEntry(i + 1, 1, payload)))])
          const lengths: Array<number> = []
          for (const limit of [0, 1, 2_500, 5_500, 100_000]) {
            const entries = yield* store.read(LogIndex(1), LogIndex(10), limit)
            lengths.push(entries.length)
          }
          assert.deepEqual(lengths, [1, 1, 2, 5, 10])
          assert.deepEqual(yield* store.read(LogIndex(4), LogIndex(3), 1), [])
        })
      )),

    test("compaction removes the head, keeps the tail, and is remembered", (start) =>
      Effect.gen(function*() {
        const tail = [...sampleEntries(6, 7, 1), ...sampleEntries(8, 9, 2)]
        yield* start((store) =>
          Effect.gen(function*() {
            yield* store.append([writeOf([...sampleEntries(1, 7, 1), ...sampleEntries(8, 9, 2)])])
            yield* store.compact(point(5, 1))
            yield* holds(store, 6, 9, tail)
            yield* holds(store, 5, 9, [])
            yield* store.append([writeOf(sampleEntries(10, 10, 2))])
          })
        )
        yield* start((store) =>
          Effect.gen(function*() {
            assert.deepEqual(store.recovered.compacted, point(5, 1))
            assert.deepEqual(store.recovered.termRuns, runs([6, 1], [8, 2]))
            yield* holds(store, 6, 10, [...tail, ...sampleEntries(10, 10, 2)])
            yield* holds(store, 1, 10, [])
          })
        )
      })),

    test("compaction of the whole log leaves its point, and the log goes on from there", (start) =>
      Effect.gen(function*() {
        yield* start((store) =>
          Effect.gen(function*() {
            yield* store.append([writeOf(sampleEntries(1, 4, 3))])
            yield* store.compact(point(4, 3))
            yield* store.append([writeOf([], { hardState: hardState(3, 1, 4) })])
          })
        )
        yield* start((store) =>
          Effect.gen(function*() {
            assert.deepEqual(store.recovered.compacted, point(4, 3))
            assert.equal(store.recovered.lastIndex, 4)
            yield* store.append([writeOf(sampleEntries(5, 6, 3))])
          })
        )
        yield* start((store) => holds(store, 5, 9, sampleEntries(5, 6, 3)))
      })),

    test("compaction never goes back", (start) =>
      Effect.gen(function*() {
        yield* start((store) =>
          Effect.gen(function*() {
            yield* store.append([writeOf(sampleEntries(1, 9, 1))])
            yield* store.compact(point(6, 1))
            yield* store.compact(point(3, 1))
            yield* holds(store, 7, 9, sampleEntries(7, 9, 1))
            yield* store.append([writeOf(sampleEntries(10, 10, 1))])
          })
        )
        yield* start((store) =>
          Effect.gen(function*() {
            assert.deepEqual(store.recovered.compacted, point(6, 1))
            yield* holds(store, 7, 10, sampleEntries(7, 10, 1))
          })
        )
      })),

    test("a reset puts a snapshot's point in the place of the whole log", (start) =>
      Effect.gen(function*() {
        yield* start((store) =>
          Effect.gen(function*() {
            yield* store.append([writeOf(sampleEntries(1, 9, 1), { hardState: hardState(1, 2, 3) })])
            yield* store.reset(point(7, 4))
            yield* holds(store, 1, 20, [])
            yield* holds(store, 8, 20, [])
          })
        )
        yield* start((store) =>
          Effect.gen(function*() {
            assert.deepEqual(store.recovered.hardState, hardState(1, 2, 3))
            assert.deepEqual(store.recovered.compacted, point(7, 4))
            assert.equal(store.recovered.lastIndex, 7)
            assert.deepEqual(store.recovered.termRuns, [])
            yield* store.append([writeOf(sampleEntries(8, 9, 4))])
          })
        )
        yield* start((store) => holds(store, 8, 20, sampleEntries(8, 9, 4)))
      })),
    ...endCases(test),
    ...beginningCases(test),
    ...rangeCases(test)
  ]
}
