/** What every {@link StateStore} promises, as cases to run against any back end. */
import { Effect, Layer } from "effect"
import type { Scope } from "effect"
import assert from "node:assert/strict"
import { LogIndex, origin, Term } from "../raft/Types.ts"
import type { ScanOptions, StateChange, StateRow, StateView } from "../storage/StateStore.ts"
import { StateStore } from "../storage/StateStore.ts"
import type { OpenError } from "../storage/StorageError.ts"
import type { ConformanceCase } from "./Conformance.ts"

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

    test("a view stays at its moment while commits go on", (start) =>
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
      }))
  ]
}
