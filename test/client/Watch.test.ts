/** Watching as a service sees it, over a cluster of one in memory. */
import { assert, it, layer } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Option, Queue, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { ClusterAdmin } from "../../src/client/ClusterAdmin.ts"
import { Position } from "../../src/client/Position.ts"
import { otherCluster } from "./Identities.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { Op } from "../../src/client/Txn.ts"
import type { WatchOptions, WatchTarget } from "../../src/client/Watch.ts"
import type { Changes, Listed, WatchNotice } from "../../src/client/WatchNotice.ts"
import { Watch } from "../../src/client/Watch.ts"
import * as FlareDb from "../../src/FlareDb.ts"
import { WatchServer } from "../../src/server/WatchServer.ts"
import { stores } from "./Stores.ts"

const line = ({ events, revision }: Changes): string =>
  `${revision}: ` +
  events.map((event) =>
    (event._tag === "Put" ? `${event.keyText}=${event.entry.text}` : `${event.keyText} deleted`) +
    (event.previous === undefined ? "" : ` (was ${event.previous.text})`)
  ).join(", ")

const lines = (changes: ReadonlyArray<Changes>) => changes.map(line)

/** Lets a watch run beside a test, which takes what it told from a queue. */
const listen = Effect.fnUntraced(function*(target: WatchTarget, options?: WatchOptions) {
  const told = yield* Queue.unbounded<WatchNotice>()
  const watch = yield* Watch
  const scope = yield* Scope.fork(yield* Effect.scope)
  const fiber = yield* Effect.forkIn(
    Stream.runForEach(watch.notices(target, options), (notice) => Queue.offer(told, notice)),
    scope
  )
  const until = (wanted: (notice: WatchNotice) => boolean): Effect.Effect<ReadonlyArray<WatchNotice>> =>
    Effect.flatMap(Queue.take(told), (notice) =>
      wanted(notice)
        ? Effect.succeed([notice])
        : Effect.map(until(wanted), (more) => [notice, ...more]))
  return { told, until, fiber, stop: Scope.close(scope, Exit.void) }
})

const changesIn = (notices: ReadonlyArray<WatchNotice>) => lines(notices.filter((notice) => notice._tag === "Changes"))

/** Everything told up to a revision. */
const through = (revision: number) => (notice: WatchNotice) => notice._tag === "Progress" && notice.revision >= revision

const inMemory = Effect.provide(FlareDb.layerMemory)

it.effect("tells of every change of a prefix from now on, whole revisions, in order", () =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    yield* kv.put("a/0", "before")
    const watch = yield* listen({ prefix: "a/" })
    const cluster = yield* (yield* ClusterAdmin).identity
    assert.deepStrictEqual(yield* watch.until(({ _tag }) => _tag === "Began"), [
      { _tag: "Began", revision: 2, position: new Position(cluster, 1) }
    ])
    yield* kv.put("a/1", "1")
    yield* kv.put("b/1", "not watched")
    yield* kv.put("a/1", "2")
    yield* kv.delete("a/1")
    assert.deepStrictEqual(changesIn(yield* watch.until(through(5))), ["2: a/1=1", "4: a/1=2", "5: a/1 deleted"])
  }).pipe(inMemory))

it.effect("tells of the past from a revision on, with what was replaced", () =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    for (const value of ["1", "2", "3"]) yield* kv.put("k", value)
    yield* kv.delete("k")
    const watch = yield* listen({ key: "k" }, { fromRevision: 2, previous: true })
    assert.deepStrictEqual(changesIn(yield* watch.until(through(4))), [
      "2: k=2 (was 1)",
      "3: k=3 (was 2)",
      "4: k deleted (was 3)"
    ])
    const plain = yield* listen({ key: "k" }, { fromRevision: 2 })
    assert.deepStrictEqual(changesIn(yield* plain.until(through(4))), ["2: k=2", "3: k=3", "4: k deleted"])
  }).pipe(inMemory))

it.effect("leaves puts or deletes out on request, and watches a key or a range alone", () =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    yield* kv.put("k", "1")
    yield* kv.put("k2", "1")
    yield* kv.delete("k")
    yield* kv.put("m", "1")
    const told = (target: WatchTarget, options: WatchOptions = {}) =>
      Effect.flatMap(listen(target, { fromRevision: 1, ...options }), (watch) =>
        Effect.map(watch.until(through(4)), changesIn))
    assert.deepStrictEqual(yield* told({ key: "k" }), ["1: k=1", "3: k deleted"])
    assert.deepStrictEqual(yield* told({ prefix: "" }, { only: "deletes" }), ["3: k deleted"])
    assert.deepStrictEqual(yield* told({ prefix: "" }, { only: "puts" }), ["1: k=1", "2: k2=1", "4: m=1"])
    assert.deepStrictEqual(yield* told({ range: { from: "k2", to: "m" } }), ["2: k2=1"])
  }).pipe(inMemory))

it.effect("confirms now and then that nothing changed, also when others' keys do", () =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const watch = yield* listen({ prefix: "quiet/" }, { progressMs: 1_000 })
    yield* watch.until(({ _tag }) => _tag === "Began")
    yield* kv.put("loud", "1")
    yield* TestClock.adjust(900)
    assert.isTrue(Option.isNone(yield* Queue.poll(watch.told)))
    yield* TestClock.adjust(200)
    const position = new Position(yield* (yield* ClusterAdmin).identity, 1)
    assert.deepStrictEqual(yield* watch.until(through(1)), [{ _tag: "Progress", revision: 1, position }])
  }).pipe(inMemory))

it.effect("says what is left when the past is gone", () =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const watch = yield* Watch
    for (const value of ["1", "2", "3"]) yield* kv.put("k", value)
    assert.strictEqual(yield* (yield* ClusterAdmin).compact(2), 2)
    const from = (fromRevision: number) => watch.changes({ key: "k" }, { fromRevision })
    assert.deepInclude(yield* Effect.flip(Stream.runDrain(from(1))), { _tag: "Compacted", requested: 1, oldest: 2 })
    assert.deepStrictEqual(lines(yield* Stream.runCollect(Stream.take(from(2), 2))), ["2: k=2", "3: k=3"])
    const identity = yield* (yield* ClusterAdmin).identity
    const after = (revision: number) => watch.changes({ key: "k" }, { after: new Position(identity, revision) })
    assert.deepInclude(yield* Effect.flip(Stream.runDrain(after(0))), { _tag: "Compacted", requested: 1, oldest: 2 })
    assert.deepStrictEqual(lines(yield* Stream.runCollect(Stream.take(after(1), 1))), ["2: k=2"])
  }).pipe(inMemory))

it.effect("compacts up to now when no revision is named, and refuses to go beyond it", () =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const admin = yield* ClusterAdmin
    for (const value of ["1", "2", "3"]) yield* kv.put("k", value)
    assert.strictEqual(yield* admin.compact(), 3)
    assert.strictEqual(yield* admin.compact(1), 1, "gone before")
    for (const wrong of [4, -1, 1.5]) {
      assert.deepInclude(yield* Effect.flip(admin.compact(wrong)), { _tag: "InvalidArgument", field: "revision" })
    }
    assert.strictEqual(Option.getOrThrow(yield* kv.get("k")).text, "3")
    const watch = yield* listen({ key: "k" }, { fromRevision: 3 })
    yield* kv.put("k", "4")
    assert.deepStrictEqual(changesIn(yield* watch.until(through(4))), ["3: k=3", "4: k=4"])
  }).pipe(inMemory))

it.effect("mirrors a prefix: its keys, and then their changes", () =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const watch = yield* Watch
    yield* Effect.forEach(
      Array.from({ length: 2_500 }, (_, i) => i),
      (i) => kv.put(`p/${String(i).padStart(4, "0")}`, "v"),
      { concurrency: "unbounded" }
    )
    const told = yield* Queue.unbounded<Listed | Changes>()
    yield* Effect.forkScoped(Stream.runForEach(watch.mirror("p/"), (notice) => Queue.offer(told, notice)))
    const listed = yield* Queue.take(told)
    assert(listed._tag === "Listed")
    assert.strictEqual(listed.revision, 2_500)
    assert.deepStrictEqual(
      listed.entries.map(({ keyText }) => keyText),
      Array.from({ length: 2_500 }, (_, i) => `p/${String(i).padStart(4, "0")}`)
    )
    yield* kv.delete("p/0007")
    const change = yield* Queue.take(told)
    assert(change._tag === "Changes")
    assert.strictEqual(line(change), "2501: p/0007 deleted")
  }).pipe(inMemory))

it.effect("mirrors anew when it was too slow for history", () =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const watch = yield* Watch
    yield* kv.put("p/a", "1")
    const gate = yield* Latch.make(false)
    const told: Array<Listed | Changes> = []
    yield* Effect.forkScoped(
      Stream.runForEach(watch.mirror("p/", { buffer: 1 }), (notice) =>
        Effect.andThen(Effect.sync(() => told.push(notice)), gate.await))
    )
    const large = new Uint8Array(128 * 1024)
    for (let i = 0; i < 40; i++) {
      yield* kv.put("p/a", large)
    }
    yield* kv.put("p/b", "2")
    yield* (yield* ClusterAdmin).compact()
    yield* gate.open
    while (told.at(-1)?.revision !== 42) {
      yield* TestClock.adjust(100)
    }
    assert.deepStrictEqual(
      told.flatMap((one) =>
        one._tag === "Listed" ? [one.entries.map(({ keyText }) => keyText)] : []
      ),
      [["p/a"], ["p/a", "p/b"]]
    )
    assert.isBelow(told.length, 41, "what was compacted is not told")
  }).pipe(inMemory))

it.effect("refuses what cannot be watched, and names the option", () =>
  Effect.gen(function*() {
    const watch = yield* Watch
    const refusal = (target: WatchTarget, options?: WatchOptions) =>
      Effect.map(Effect.flip(Stream.runDrain(watch.changes(target, options))), (error) => {
        assert(error._tag === "InvalidArgument")
        return error.field
      })
    assert.strictEqual(yield* refusal({ key: "" }), "key")
    assert.strictEqual(yield* refusal({ key: "x".repeat(4_097) }), "key")
    assert.strictEqual(yield* refusal({ prefix: "x".repeat(4_099) }), "prefix")
    assert.strictEqual(yield* refusal({ range: { from: "b", to: "a" } }), "range")
    assert.strictEqual(yield* refusal({}), "keys or prefixes or ranges")
    assert.strictEqual(yield* refusal({ keys: [], prefixes: [] }), "keys or prefixes")
    assert.strictEqual(yield* refusal({ keys: ["a"], prefixes: ["b", "x".repeat(4_099)] }), "prefixes[1]")
    assert.strictEqual(yield* refusal({ prefixes: ["a"], ranges: [{ from: "b", to: "a" }] }), "ranges[0]")
    assert.strictEqual(yield* refusal({ keys: ["a"], ranges: [{ from: "x".repeat(4_099), to: "" }] }), "ranges[0].from")
    assert.strictEqual(yield* refusal({ range: { from: "a", to: "x".repeat(4_099) } }), "range.to")
    assert.strictEqual(yield* refusal({ keys: ["a", ""] }), "keys[1]")
    assert.strictEqual(yield* refusal({ prefixes: Array.from({ length: 513 }, (_, i) => String(i)) }), "prefixes")
    assert.strictEqual(yield* refusal({ prefix: "" }, { fromRevision: 0 }), "fromRevision")
    assert.strictEqual(yield* refusal({ prefix: "" }, { progressMs: 99 }), "progressMs")
    assert.strictEqual(yield* refusal({ prefix: "" }, { buffer: 0 }), "buffer")
  }).pipe(inMemory))

it.effect("leaves nothing at the node when the consumer is gone", () =>
  Effect.gen(function*() {
    const server = yield* WatchServer
    const watches = yield* Effect.forEach(["a", "b"], (key) => listen({ key }))
    for (const watch of watches) yield* watch.until(({ _tag }) => _tag === "Began")
    assert.strictEqual(server.counts().watches, 2)
    for (const watch of watches) yield* watch.stop
    assert.deepStrictEqual(server.counts(), { watches: 0, unconfirmedBytes: 0 })
  }).pipe(inMemory))

for (const store of stores) {
  layer(store.layer, { excludeTestServices: true })(`on ${store.name}`, (it) => {
    it.effect("tells of the past and the present of whole transactions, until the past is compacted", () =>
      Effect.gen(function*() {
        const kv = yield* KeyValue
        const watch = yield* Watch
        const { revision: first } = yield* kv.put("w/a", "1")
        yield* kv.put("w/b", "1")
        yield* kv.transact({ do: [Op.put("w/a", "2"), Op.delete("w/b"), Op.put("elsewhere", "1")] })
        const told = yield* Effect.forkChild(
          Stream.runCollect(
            Stream.take(watch.changes({ prefix: "w/" }, { fromRevision: first, previous: true }), 4)
          ),
          { startImmediately: true }
        )
        yield* kv.delete("w/a")
        assert.deepStrictEqual(lines(yield* Fiber.join(told)), [
          `${first}: w/a=1`,
          `${first + 1}: w/b=1`,
          `${first + 2}: w/a=2 (was 1), w/b deleted (was 1)`,
          `${first + 3}: w/a deleted (was 2)`
        ])
        const several = watch.changes({ prefixes: ["w/a", "w/"], keys: ["elsewhere"] }, { fromRevision: first + 1 })
        assert.deepStrictEqual(lines(yield* Stream.runCollect(Stream.take(several, 3))), [
          `${first + 1}: w/b=1`,
          `${first + 2}: w/a=2, w/b deleted, elsewhere=1`,
          `${first + 3}: w/a deleted`
        ])
        yield* (yield* ClusterAdmin).compact(first + 2)
        const changes = watch.changes({ prefix: "w/" }, { fromRevision: first + 1 })
        assert.deepInclude(yield* Effect.flip(Stream.runDrain(changes)), { _tag: "Compacted", oldest: first + 2 })
        const kept = watch.changes({ prefix: "w/" }, { fromRevision: first + 2 })
        assert.deepStrictEqual(lines(yield* Stream.runCollect(Stream.take(kept, 2))), [
          `${first + 2}: w/a=2, w/b deleted`,
          `${first + 3}: w/a deleted`
        ])
      }))
  })
}

for (const store of stores) {
  layer(store.layer, { excludeTestServices: true })(`several hundred prefixes on ${store.name}`, (it) => {
    it.effect("are one watch: all of a revision at once, in order, each once, and progress when it is requested", () =>
      Effect.gen(function*() {
        const kv = yield* KeyValue
        const watch = yield* Watch
        const prefixes = Array.from({ length: 300 }, (_, i) => `shard/${i}/`)
        const { revision: first } = yield* kv.put("shard/0/before", "1")
        const handle = yield* watch.open({ prefixes }, { fromRevision: first + 1, progressMs: 60_000 })
        const told = yield* Queue.unbounded<WatchNotice>()
        yield* Effect.forkScoped(Stream.runForEach(handle.notices, (notice) => Queue.offer(told, notice)))
        assert.deepInclude(yield* Queue.take(told), { _tag: "Began", revision: first + 1 })
        yield* kv.transact({ do: [Op.put("shard/299/k", "1"), Op.put("shard/7/k", "1"), Op.put("shard/300/k", "1")] })
        const changes = yield* Queue.take(told)
        assert(changes._tag === "Changes")
        assert.deepStrictEqual(lines([changes]), [`${first + 1}: shard/299/k=1, shard/7/k=1`])
        assert.deepInclude(yield* Queue.take(told), { _tag: "Progress", revision: first + 1 })
        for (let i = 0; i < 3; i++) {
          const { revision } = yield* kv.put("not/watched", String(i))
          yield* handle.requestProgress
          assert.deepInclude(yield* Queue.take(told), { _tag: "Progress", revision })
        }
      }))
  })
}

it.effect("refuses a revision that nobody can have seen, instead of claiming progress up to it", () =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const watch = yield* Watch
    yield* kv.put("k", "1")
    for (const fromRevision of [3, 1_000]) {
      const notices = watch.notices({ prefix: "" }, { fromRevision })
      const error = yield* Effect.flip(Stream.runDrain(notices))
      assert.deepInclude(error, { _tag: "FutureRevision", requested: fromRevision, revision: 1 })
    }
    const next = yield* listen({ prefix: "" }, { fromRevision: 2 })
    yield* kv.put("k", "2")
    assert.deepStrictEqual(changesIn(yield* next.until(through(2))), ["2: k=2"])
  }).pipe(inMemory))

it.effect("goes on behind a position of its cluster, and refuses one of another", () =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const watch = yield* Watch
    for (const value of ["1", "2", "3"]) yield* kv.put("k", value)
    const told = yield* Stream.runCollect(Stream.take(watch.changes({ key: "k" }, { fromRevision: 1 }), 2))
    const stored = told[1]?.position.encode() ?? ""
    const after = yield* Position.decode(stored)
    assert.deepStrictEqual(after, told[1]?.position)
    const rest = yield* listen({ key: "k" }, { after })
    assert.deepStrictEqual(changesIn(yield* rest.until(through(3))), ["3: k=3"])

    const foreign = new Position(otherCluster, 2)
    const error = yield* Effect.flip(Stream.runDrain(watch.changes({ key: "k" }, { after: foreign })))
    assert.deepInclude(error, { _tag: "WrongCluster", expected: otherCluster, found: after.cluster })
    const both = yield* Effect.flip(Stream.runDrain(watch.changes({ key: "k" }, { after, fromRevision: 1 })))
    assert.deepInclude(both, { _tag: "InvalidArgument", field: "after" })
    for (
      const text of ["", "7", `${after.cluster}`, `${after.cluster}@`, `${after.cluster}@-1`, `${after.cluster}@9e9`]
    ) {
      assert.strictEqual((yield* Effect.flip(Position.decode(text)))._tag, "InvalidArgument", text)
    }
  }).pipe(inMemory))
