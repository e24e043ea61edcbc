/** What every {@link StateStore} promises, as cases to run against any back end. */
import { Deferred, Effect, Fiber, Layer } from "effect"
import type { Scope } from "effect"
import assert from "node:assert/strict"
import { LogIndex, origin, Term } from "../raft/Types.ts"
import type { ScanOptions, StateChange, StateExport, StateRow, StateView } from "../storage/StateStore.ts"
import { StateStore } from "../storage/StateStore.ts"
import type { OpenError } from "../storage/StorageError.ts"
import type { ConformanceCase } from "./Conformance.ts"

/** The store to hold against the cases. */
export interface StateStoreSuiteOptions {
  /** An empty disk. Each build of the layer is one start of a node on that disk. */
  readonly fresh: Effect.Effect<Layer.Layer<StateStore, OpenError>, never, Scope.Scope>
}

/** Keys of a state machine begin with 0x01 or more. */
const key = (name: string): Uint8Array => Buffer.concat([Uint8Array.of(1), Buffer.from(name)])
const value = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : Buffer.from(bytes).toString()

export const put = (name: string, text: string): StateChange => ({ _tag: "Put", key: key(name), value: value(text) })
const remove = (name: string): StateChange => ({ _tag: "Delete", key: key(name) })
const removeRange = (start: string, end: string): StateChange => ({
  _tag: "DeleteRange",
  start: key(start),
  end: key(end)
})

const point = (index: number, term = 1) => ({ index: LogIndex(index), term: Term(term) })

/** Every key of a state machine. */
const all: ScanOptions = { gte: Uint8Array.of(1), lt: Uint8Array.of(0xff), limit: 1_000_000 }

const rowsOf = (rows: ReadonlyArray<StateRow>): ReadonlyArray<readonly [string, string]> =>
  rows.map((row) => [Buffer.from(row.key.subarray(1)).toString(), Buffer.from(row.value).toString()])

const scan = (view: StateView, options: Partial<ScanOptions> = {}) =>
  Effect.map(view.scan({ ...all, ...options }), rowsOf)

const get = (view: StateView, ...names: ReadonlyArray<string>) =>
  Effect.map(view.getMany(names.map(key)), (values) => values.map(textOf))

const row = (name: string, text: string): StateRow => ({ key: key(name), value: value(text) })

/** Pulls an export to its end, `maxBytes` at a time, and gives its rows and how many parts there were. */
const pull = Effect.fnUntraced(function*(exported: StateExport, maxBytes: number) {
  const rows: Array<StateRow> = []
  let parts = 0
  for (;;) {
    const part = yield* exported.next(maxBytes)
    if (part.length === 0) return { rows: rowsOf(rows), parts }
    let before = 0
    for (const { key, value } of part.slice(0, -1)) before += key.byteLength + value.byteLength
    assert.ok(part.length === 1 || before < maxBytes, `${before} bytes and a row where ${maxBytes} were asked for`)
    rows.push(...part)
    parts += 1
  }
})

/** What a store of a state machine's rows has to do, kept over restarts of its node. */
export const stateStoreCases = (options: StateStoreSuiteOptions): ReadonlyArray<ConformanceCase> => {
  type Start = <A, E>(use: (store: StateStore["Service"]) => Effect.Effect<A, E>) => Effect.Effect<A, E | OpenError>
  const test = (name: string, run: (start: Start) => Effect.Effect<void, unknown>): ConformanceCase => ({
    name,
    effect: Effect.scoped(
      Effect.flatMap(
        options.fresh,
        (disk) => run((use) => Effect.flatMap(StateStore, use).pipe(Effect.provide(Layer.fresh(disk))))
      )
    )
  })

  return [
    test("an empty disk has no rows and nothing applied", (start) =>
      start((store) =>
        Effect.gen(function*() {
          assert.deepEqual(store.recovered, origin)
          assert.deepEqual(yield* get(store, "a"), [undefined])
          assert.deepEqual(yield* store.getMany([]), [])
          assert.deepEqual(yield* scan(store), [])
        })
      )),

    test("a commit is seen at once, and by the next start after a sync", (start) =>
      Effect.gen(function*() {
        yield* start((store) =>
          Effect.gen(function*() {
            yield* store.commit([put("a", "1"), put("b", ""), put("c", "3")], point(5, 2))
            assert.deepEqual(yield* get(store, "c", "missing", "b", "a"), ["3", undefined, "", "1"])
            yield* store.sync
          })
        )
        yield* start((store) =>
          Effect.gen(function*() {
            assert.deepEqual(store.recovered, point(5, 2))
            assert.deepEqual(yield* scan(store), [["a", "1"], ["b", ""], ["c", "3"]])
          })
        )
      })),

    test("the changes of a commit take effect in their order", (start) =>
      start((store) =>
        Effect.gen(function*() {
          yield* store.commit([put("a", "1"), put("b", "1"), put("c", "1"), put("d", "1")], point(1))
          yield* store.commit(
            [
              removeRange("a", "d"),
              put("b", "2"),
              put("c", "2"),
              remove("c"),
              put("e", "2"),
              put("e", "3"),
              remove("x")
            ],
            point(2)
          )
          assert.deepEqual(yield* scan(store), [["b", "2"], ["d", "1"], ["e", "3"]])
        })
      )),

    test("a commit without changes moves the applied point", (start) =>
      Effect.gen(function*() {
        yield* start((store) => Effect.andThen(store.commit([], point(9, 4)), store.sync))
        yield* start((store) =>
          Effect.gen(function*() {
            assert.deepEqual(store.recovered, point(9, 4))
            assert.deepEqual(yield* scan(store), [])
          })
        )
      })),

    test("a scan keeps its bounds, its limit and its direction", (start) =>
      start((store) =>
        Effect.gen(function*() {
          yield* store.commit(["a", "b", "c", "d", "e"].map((name) => put(name, name.toUpperCase())), point(1))
          const range = { gte: key("b"), lt: key("e") }
          assert.deepEqual(yield* scan(store, range), [["b", "B"], ["c", "C"], ["d", "D"]])
          assert.deepEqual(yield* scan(store, { ...range, limit: 2 }), [["b", "B"], ["c", "C"]])
          assert.deepEqual(yield* scan(store, { ...range, limit: 2, reverse: true }), [["d", "D"], ["c", "C"]])
          assert.deepEqual(yield* scan(store, { ...range, keysOnly: true }), [["b", ""], ["c", ""], ["d", ""]])
          assert.deepEqual(yield* scan(store, { gte: key("x"), lt: key("y") }), [])
        })
      )),

    test("a scan ends with the row that takes it to its limit of bytes, whatever lies behind", (start) =>
      start((store) =>
        Effect.gen(function*() {
          const names = Array.from({ length: 40 }, (_, i) => String(i).padStart(2, "0"))
          yield* store.commit(names.map((name, i) => put(name, "x".repeat(i % 10 === 9 ? 5_000 : 50))), point(1))
          const sizes = (yield* store.scan(all)).map((row) => row.key.byteLength + row.value.byteLength)
          for (const reverse of [false, true]) {
            const ordered = reverse ? names.toReversed() : names
            const orderedSizes = reverse ? sizes.toReversed() : sizes
            for (const maxBytes of [1, 52, 53, 600, 6_000, 1_000_000]) {
              const found = (yield* scan(store, { maxBytes, reverse })).map(([name]) => name)
              let bytes = 0
              const last = orderedSizes.findIndex((size) => (bytes += size) >= maxBytes)
              assert.deepEqual(found, last < 0 ? ordered : ordered.slice(0, last + 1), `${maxBytes} bytes`)
            }
          }
          assert.equal((yield* scan(store, { maxBytes: 1_000_000, limit: 17 })).length, 17)
        })
      )),

    test("a scan of thousands of rows is whole and in byte order", (start) =>
      start((store) =>
        Effect.gen(function*() {
          const names = Array.from({ length: 3_000 }, (_, i) => String((i * 7_919) % 3_000).padStart(5, "0"))
          yield* store.commit(names.map((name) => put(name, name)), point(1))
          const rows = yield* scan(store)
          assert.deepEqual(rows.map(([name]) => name), names.toSorted())
        })
      )),

    test("keys are compared as bytes, not as text", (start) =>
      start((store) =>
        Effect.gen(function*() {
          const keys = [[1], [1, 0], [1, 0, 0], [1, 0x7f], [1, 0x80], [1, 0xff], [2]].map((bytes) =>
            Uint8Array.from(bytes)
          )
          yield* store.commit(
            keys.toReversed().map((bytes) => ({ _tag: "Put", key: bytes, value: Uint8Array.of(0xff, 0) })),
            point(1)
          )
          const rows = yield* store.scan(all)
          assert.deepEqual(
            rows.map((row) => Buffer.from(row.key).toString("hex")),
            keys.map((bytes) => Buffer.from(bytes).toString("hex"))
          )
          assert.deepEqual(rows.map((row) => Buffer.from(row.value).toString("hex")), keys.map(() => "ff00"))
        })
      )),

    test("a view stays as it was while commits go on", (start) =>
      start((store) =>
        Effect.gen(function*() {
          yield* store.commit([put("a", "old"), put("b", "old")], point(1))
          yield* store.withView((view) =>
            Effect.gen(function*() {
              yield* store.commit([put("a", "new"), remove("b"), put("c", "new")], point(2))
              assert.deepEqual(yield* get(view, "a", "b", "c"), ["old", "old", undefined])
              assert.deepEqual(yield* scan(view), [["a", "old"], ["b", "old"]])
            })
          )
          assert.deepEqual(yield* scan(store), [["a", "new"], ["c", "new"]])
        })
      )),

    test("a view stays as it was while commits are written beneath it", (start) =>
      start((store) =>
        Effect.gen(function*() {
          yield* store.commit([put("a", "1"), put("b", "1"), put("d", "1")], point(1))
          yield* store.sync
          yield* store.commit([put("b", "2"), put("c", "2"), remove("d")], point(2))
          yield* store.withView((view) =>
            Effect.gen(function*() {
              for (let i = 3; i < 6; i++) {
                yield* store.commit([remove("a"), put("b", String(i)), remove("c"), put("d", String(i))], point(i))
                assert.deepEqual(yield* scan(view), [["a", "1"], ["b", "2"], ["c", "2"]])
                assert.deepEqual(yield* scan(view, { reverse: true, limit: 2 }), [["c", "2"], ["b", "2"]])
                assert.deepEqual(yield* scan(view, { maxBytes: 1 }), [["a", "1"]])
                assert.deepEqual(yield* get(view, "a", "c", "d"), ["1", "2", undefined])
                if (i === 4) yield* store.sync
              }
            })
          )
          assert.deepEqual(yield* scan(store), [["b", "5"], ["d", "5"]])
        })
      )),

    test("concurrent commits are applied in the order of their calls", (start) =>
      Effect.gen(function*() {
        yield* start((store) =>
          Effect.gen(function*() {
            const commits = Array.from({ length: 50 }, (_, i) => store.commit([put("a", String(i))], point(i + 1)))
            yield* Effect.all(commits, { concurrency: "unbounded" })
            assert.deepEqual(yield* get(store, "a"), ["49"])
            yield* store.sync
          })
        )
        yield* start((store) => Effect.sync(() => assert.deepEqual(store.recovered, point(50))))
      })),

    test("an export is everything at one applied point, in order, while commits go on", (start) =>
      start((store) =>
        Effect.scoped(Effect.gen(function*() {
          const names = Array.from({ length: 700 }, (_, i) => String(i).padStart(4, "0"))
          yield* store.commit(names.map((name) => put(name, `old ${name}`)), point(7, 2))
          const exported = yield* store.export
          assert.deepEqual(exported.point, point(7, 2))
          assert.ok(exported.estimatedBytes >= 0)
          yield* store.commit([removeRange("0100", "0600"), put("0000", "new"), put("zzz", "new")], point(8, 2))
          const { parts, rows } = yield* pull(exported, 1_000)
          assert.deepEqual(rows, names.map((name) => [name, `old ${name}`]))
          assert.ok(parts > 5, `${parts} parts`)
          assert.deepEqual(yield* exported.next(1_000), [])
          assert.deepEqual((yield* pull(yield* store.export, 1_000)).rows.length, 201)
        }))
      )),

    test("an export of an empty state has no rows", (start) =>
      start((store) =>
        Effect.scoped(Effect.gen(function*() {
          const exported = yield* store.export
          assert.deepEqual(exported.point, origin)
          assert.deepEqual(yield* exported.next(1), [])
        }))
      )),

    test("a row larger than what is asked for comes alone", (start) =>
      start((store) =>
        Effect.scoped(Effect.gen(function*() {
          const large = "x".repeat(2_000_000)
          yield* store.commit([put("a", "1"), put("b", large), put("c", large), put("d", "4")], point(1))
          const { rows } = yield* pull(yield* store.export, 4_096)
          assert.deepEqual(rows, [["a", "1"], ["b", large], ["c", large], ["d", "4"]])
        }))
      )),

    test("an import replaces the state at once, and durably", (start) =>
      Effect.gen(function*() {
        yield* start((store) =>
          Effect.gen(function*() {
            yield* store.commit([put("a", "old"), put("z", "old")], point(3))
            yield* Effect.scoped(Effect.gen(function*() {
              const incoming = yield* store.import
              yield* incoming.write([row("b", "new"), row("c", "new")])
              yield* incoming.write([])
              yield* incoming.write([row("d", "x".repeat(100_000))])
              yield* store.commit([put("a", "older still")], point(4))
              assert.deepEqual(yield* scan(store), [["a", "older still"], ["z", "old"]])
              yield* incoming.finish(point(40, 5))
              assert.deepEqual((yield* scan(store)).map(([name]) => name), ["b", "c", "d"])
              assert.deepEqual(yield* get(store, "a", "b"), [undefined, "new"])
            }))
            yield* store.commit([put("e", "newer")], point(41, 5))
            yield* store.sync
          })
        )
        yield* start((store) =>
          Effect.gen(function*() {
            assert.deepEqual(store.recovered, point(41, 5))
            assert.deepEqual((yield* scan(store)).map(([name]) => name), ["b", "c", "d", "e"])
          })
        )
      })),

    test("the state that an import replaces stays until the next import begins", (start) =>
      Effect.gen(function*() {
        const replacedRows = (store: StateStore["Service"]) =>
          Effect.gen(function*() {
            const replaced = yield* store.replaced
            if (replaced === undefined) return undefined
            return [replaced.point, yield* replaced.countRows(1), yield* replaced.countRows(10)]
          })
        yield* start((store) =>
          Effect.gen(function*() {
            assert.equal(yield* replacedRows(store), undefined)
            yield* store.commit([put("a", "1"), put("b", "2"), put("c", "3")], point(3))
            yield* store.sync
            yield* Effect.scoped(Effect.gen(function*() {
              const incoming = yield* store.import
              yield* incoming.write([row("d", "4")])
              assert.equal(yield* replacedRows(store), undefined)
              yield* incoming.finish(point(9))
            }))
            yield* store.commit([put("e", "5")], point(10))
            yield* store.sync
            assert.deepEqual(yield* replacedRows(store), [point(3), 1, 3])
          })
        )
        yield* start((store) =>
          Effect.gen(function*() {
            assert.deepEqual(yield* replacedRows(store), [point(3), 1, 3])
            yield* Effect.scoped(Effect.gen(function*() {
              const incoming = yield* store.import
              assert.equal(yield* replacedRows(store), undefined)
              yield* incoming.write([row("f", "6")])
            }))
            assert.equal(yield* replacedRows(store), undefined)
            assert.deepEqual(yield* scan(store), [["d", "4"], ["e", "5"]])
          })
        )
        yield* start((store) => Effect.map(replacedRows(store), (rows) => assert.equal(rows, undefined)))
      })),

    test("imports take turns: each finds its place empty", (start) =>
      Effect.gen(function*() {
        yield* start((store) =>
          Effect.gen(function*() {
            for (let round = 1; round <= 4; round++) {
              yield* Effect.scoped(Effect.gen(function*() {
                const incoming = yield* store.import
                yield* incoming.write([row(`only ${round}`, "")])
                yield* incoming.finish(point(round * 10, round))
              }))
              assert.deepEqual(yield* scan(store), [[`only ${round}`, ""]])
            }
          })
        )
        yield* start((store) =>
          Effect.gen(function*() {
            assert.deepEqual(store.recovered, point(40, 4))
            assert.deepEqual(yield* scan(store), [["only 4", ""]])
          })
        )
      })),

    test("an import that is given up leaves the state as it was", (start) =>
      Effect.gen(function*() {
        yield* start((store) =>
          Effect.gen(function*() {
            yield* store.commit([put("a", "1")], point(3))
            yield* store.sync
            yield* Effect.scoped(Effect.flatMap(store.import, (incoming) => incoming.write([row("b", "2")])))
            assert.deepEqual(yield* scan(store), [["a", "1"]])
            yield* Effect.scoped(Effect.gen(function*() {
              const incoming = yield* store.import
              yield* incoming.write([row("c", "3")])
              yield* incoming.finish(point(9))
            }))
            assert.deepEqual(yield* scan(store), [["c", "3"]])
          })
        )
        yield* start((store) => Effect.sync(() => assert.deepEqual(store.recovered, point(9))))
      })),

    test("a second import waits for the first", (start) =>
      start((store) =>
        Effect.gen(function*() {
          const begun = yield* Deferred.make<void>()
          const second = yield* Effect.scoped(Effect.gen(function*() {
            const incoming = yield* store.import
            const waiting = yield* Effect.forkDetach(
              Effect.scoped(Effect.gen(function*() {
                yield* Deferred.succeed(begun, undefined)
                const other = yield* store.import
                yield* other.write([row("second", "")])
                yield* other.finish(point(20))
              }))
            )
            yield* Deferred.await(begun)
            yield* incoming.write([row("first", "")])
            yield* incoming.finish(point(10))
            assert.deepEqual(yield* scan(store), [["first", ""]])
            return waiting
          }))
          yield* Fiber.join(second)
          assert.deepEqual(yield* scan(store), [["second", ""]])
        })
      )),

    test("views and exports that are open stay in the state that an import replaces", (start) =>
      start((store) =>
        Effect.scoped(Effect.gen(function*() {
          yield* store.commit(Array.from({ length: 300 }, (_, i) => put(`old ${i}`, "")), point(1))
          const exported = yield* store.export
          yield* store.withView((view) =>
            Effect.gen(function*() {
              const reading = yield* Effect.forkChild(
                Effect.forEach(Array.from({ length: 200 }), () => get(store, "old 1", "new")),
                { startImmediately: true }
              )
              yield* Effect.scoped(Effect.gen(function*() {
                const incoming = yield* store.import
                yield* incoming.write([row("new", "")])
                yield* incoming.finish(point(2))
              }))
              assert.equal((yield* scan(view)).length, 300)
              assert.deepEqual(yield* get(view, "old 7", "new"), ["", undefined])
              for (const found of yield* Fiber.join(reading)) {
                // Each read is of the one state or of the other, never of one that is being removed.
                assert.ok(found[0] === "" ? found[1] === undefined : found[1] === "", JSON.stringify(found))
              }
            })
          )
          assert.equal((yield* pull(exported, 500)).rows.length, 300)
          assert.deepEqual(yield* scan(store), [["new", ""]])
        }))
      )),

    test("keys that are not a state machine's are refused", (start) =>
      start((store) =>
        Effect.gen(function*() {
          for (const first of [0x00, 0xff]) {
            const change: StateChange = { _tag: "Put", key: Uint8Array.of(first, 1), value: value("") }
            const exit = yield* Effect.exit(Effect.suspend(() => store.commit([change], point(1))))
            assert.equal(exit._tag, "Failure")
          }
          assert.deepEqual(yield* scan(store), [])
        })
      ))
  ]
}
