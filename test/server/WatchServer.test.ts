/** The watches of a node: what it tells and when, what it holds back, and what it ends. */
import { assert, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import type { WatchPart, WatchRequest } from "../../src/client/connection/Connection.ts"
import { allKeys, prefixRange, singleKey } from "../../src/bytes/KeyRange.ts"
import { KeyRanges } from "../../src/kv/model/KeyRanges.ts"
import { partBytes } from "../../src/kv/FeedPart.ts"
import { SortedRows } from "../../src/storage/memory/SortedRows.ts"
import type { TestNode } from "../../src/testing/TestCluster.ts"
import { TestCluster } from "../../src/testing/TestCluster.ts"

const bytes = (text: string) => new TextEncoder().encode(text)

const request = (change: Partial<WatchRequest> = {}): WatchRequest => ({
  ranges: KeyRanges.of(allKeys),
  from: undefined,
  previous: false,
  only: undefined,
  ...change
})

const passTime = TestClock.adjust(10)
const alone = (limits = {}) => TestCluster.make({ voters: 1, passTime, limits })

/** The node of a cluster of one, once it leads. */
const leading = Effect.fnUntraced(function*(limits = {}) {
  const cluster = yield* alone(limits)
  return { cluster, node: yield* cluster.leader() }
})

const revisionsOf = (part: { readonly revisions: ReadonlyArray<{ readonly revision: number }> }) =>
  part.revisions.map(({ revision }) => revision)

/** Puts so much that it fills `parts` parts and a little more. */
const fill = Effect.fnUntraced(function*(node: TestNode, parts: number) {
  const value = "v".repeat(partBytes / 8)
  for (let i = 0; i < parts * 8 + 1; i++) yield* node.put(`k${i}`, value)
})

it.effect("begins behind everything acknowledged, at a follower as well", () =>
  Effect.gen(function*() {
    const cluster = yield* TestCluster.make({ voters: 3, passTime })
    const leader = yield* cluster.leader()
    yield* cluster.whileTimePasses(leader.put("a", "1"))
    yield* cluster.whileTimePasses(leader.put("a", "2"))
    for (const node of cluster.nodes) {
      const { from } = yield* cluster.whileTimePasses(node.watches.open(1, request()))
      assert.strictEqual(from, 3, `at node ${node.id}`)
    }
  }))

it.effect("answers with a change as soon as there is one, and only to whom it concerns", () =>
  Effect.gen(function*() {
    const { node } = yield* leading()
    const { watches } = node
    const ask = Effect.fnUntraced(function*(change: Partial<WatchRequest>) {
      const { from, watch } = yield* watches.open(1, request(change))
      return yield* Effect.forkChild(watches.next(1, watch, from, 60_000), { startImmediately: true })
    })
    const key = yield* ask({ ranges: KeyRanges.of(singleKey(bytes("a/1"))) })
    const prefix = yield* ask({ ranges: KeyRanges.of(prefixRange(bytes("a/"))) })
    const range = yield* ask({ ranges: KeyRanges.of({ gte: bytes("a/0"), lt: bytes("a/2") }) })
    const other = yield* ask({ ranges: KeyRanges.of(prefixRange(bytes("b/"))) })
    yield* node.put("a/1", "1")
    for (const told of [key, prefix, range]) {
      const part = yield* Fiber.join(told)
      assert.deepStrictEqual(revisionsOf(part), [1])
      assert.strictEqual(part.through, 1)
    }
    assert.isUndefined(other.pollUnsafe())
    yield* node.put("b/1", "1")
    assert.deepStrictEqual(revisionsOf(yield* Fiber.join(other)), [2])
  }))

it.effect("says that nothing changed only when it has just heard from a majority", () =>
  Effect.gen(function*() {
    const cluster = yield* TestCluster.make({ voters: 3, passTime })
    const leader = yield* cluster.leader()
    yield* cluster.whileTimePasses(leader.put("a", "1"))
    yield* cluster.converged
    const follower = cluster.nodes.find((node) => node !== leader) as TestNode
    const { from, watch } = yield* cluster.whileTimePasses(follower.watches.open(1, request()))
    const quiet = yield* cluster.whileTimePasses(follower.watches.next(1, watch, from, 1_000))
    assert.deepStrictEqual([quiet.revisions, quiet.through], [[], 1])

    cluster.isolate(follower)
    yield* cluster.whileTimePasses(leader.put("a", "2"))
    const cutOff = yield* cluster.whileTimePasses(Effect.flip(follower.watches.next(1, watch, from, 1_000)))
    assert.deepInclude(cutOff, { _tag: "Unavailable" })

    cluster.heal()
    const healed = yield* cluster.whileTimePasses(follower.watches.next(1, watch, from, 10_000))
    assert.deepStrictEqual(revisionsOf(healed), [2])
  }))

it.effect("an old leader that is cut off tells nobody that nothing changed", () =>
  Effect.gen(function*() {
    const cluster = yield* TestCluster.make({ voters: 3, passTime })
    const old = yield* cluster.leader()
    const { from, watch } = yield* cluster.whileTimePasses(old.watches.open(1, request()))
    cluster.isolate(old)
    // At once: it still believes to lead.
    const error = yield* cluster.whileTimePasses(Effect.flip(old.watches.next(1, watch, from, 0)))
    assert.deepInclude(error, { _tag: "Unavailable" })
    const others = cluster.nodes.filter((node) => node !== old)
    const next = yield* cluster.leader(others)
    assert.deepInclude(yield* cluster.whileTimePasses(next.put("a", "1")), { _tag: "PutReply" })
  }))

it.effect("an election in the middle goes by unnoticed", () =>
  Effect.gen(function*() {
    const cluster = yield* TestCluster.make({ voters: 3, passTime })
    const old = yield* cluster.leader()
    const follower = cluster.nodes.find((node) => node !== old)
    assert(follower !== undefined)
    const { from, watch } = yield* cluster.whileTimePasses(follower.watches.open(1, request()))
    yield* old.stop
    const part = yield* cluster.whileTimePasses(follower.watches.next(1, watch, from, 100))
    assert.deepStrictEqual(part.revisions, [])
  }))

it.effect("serves as many watches as its limit allows, and more when some have ended", () =>
  Effect.gen(function*() {
    const { node: { watches } } = yield* leading({ maxWatches: 2 })
    const first = yield* watches.open(1, request())
    yield* watches.open(2, request())
    const refused = yield* Effect.flip(watches.open(3, request()))
    assert.deepInclude(refused, { _tag: "Overloaded", limit: "maxWatches", current: 2, maximum: 2 })
    yield* watches.end(2, first.watch)
    assert.strictEqual((yield* Effect.flip(watches.open(3, request())))._tag, "Overloaded", "not the owner's to end")
    yield* watches.end(1, first.watch)
    yield* watches.open(3, request())
    yield* watches.endAll(2)
    yield* watches.open(4, request())
    assert.strictEqual(watches.counts().watches, 2)
  }))

it.effect("counts each range of a watch as a watch", () =>
  Effect.gen(function*() {
    const { node: { watches } } = yield* leading({ maxWatches: 4 })
    const three = KeyRanges.make(["a", "b", "c"].map((prefix) => prefixRange(bytes(prefix))))
    assert(three instanceof KeyRanges)
    const { watch } = yield* watches.open(1, request({ ranges: three }))
    const refused = yield* Effect.flip(watches.open(1, request({ ranges: three })))
    assert.deepInclude(refused, { _tag: "Overloaded", limit: "maxWatches", current: 3, maximum: 4 })
    yield* watches.open(1, request())
    yield* watches.end(1, watch)
    yield* watches.open(1, request({ ranges: three }))
  }))

it.effect("answers a question at once when progress is requested, before it, during it or during a part", () =>
  Effect.gen(function*() {
    const { cluster, node } = yield* leading()
    const { watches } = node
    const { from, watch } = yield* watches.open(1, request({ ranges: KeyRanges.of(prefixRange(bytes("a/"))) }))
    const ask = (at: number) => Effect.forkChild(watches.next(1, watch, at, 60_000), { startImmediately: true })
    const told = (fiber: Fiber.Fiber<WatchPart, unknown>) =>
      Effect.map(cluster.whileTimePasses(Fiber.join(fiber)), (part) => [revisionsOf(part), part.through])
    const startedMs = yield* Clock.currentTimeMillis
    const during = yield* ask(from)
    yield* node.put("b", "1")
    yield* node.put("b", "2")
    assert.isUndefined(during.pollUnsafe())
    yield* watches.progress(2, watch)
    assert.isUndefined(during.pollUnsafe(), "not the owner's to ask")
    yield* watches.progress(1, watch)
    assert.deepStrictEqual(yield* told(during), [[], 2])

    yield* watches.progress(1, watch)
    yield* node.put("b", "3")
    assert.deepStrictEqual(yield* told(yield* ask(3)), [[], 3])

    // The part comes first; the question behind it does not wait.
    yield* node.put("a/1", "1")
    yield* watches.progress(1, watch)
    assert.deepStrictEqual(yield* told(yield* ask(4)), [[4], 4])
    yield* node.put("b", "4")
    assert.deepStrictEqual(yield* told(yield* ask(5)), [[], 5])

    // That was all: the next one waits again.
    const waits = yield* ask(6)
    yield* node.put("b", "5")
    assert.isUndefined(waits.pollUnsafe())
    yield* node.put("a/1", "2")
    assert.deepStrictEqual(yield* told(waits), [[7], 7])
    assert.isBelow((yield* Clock.currentTimeMillis) - startedMs, 10_000, "nothing waited for its time to be over")
  }))

it.effect("progress at a node that is cut off is not told", () =>
  Effect.gen(function*() {
    const cluster = yield* TestCluster.make({ voters: 3, passTime })
    const old = yield* cluster.leader()
    const { from, watch } = yield* cluster.whileTimePasses(old.watches.open(1, request()))
    cluster.isolate(old)
    const told = yield* Effect.forkChild(Effect.flip(old.watches.next(1, watch, from, 60_000)), {
      startImmediately: true
    })
    yield* old.watches.progress(1, watch)
    assert.deepInclude(yield* cluster.whileTimePasses(Fiber.join(told)), { _tag: "Unavailable" })
  }))

it.effect("a watch that fails to begin takes no place", () =>
  Effect.gen(function*() {
    const { node } = yield* leading({ maxWatches: 1 })
    yield* node.put("a", "1")
    yield* node.run({ _tag: "Compact", through: 1 })
    assert.strictEqual((yield* Effect.flip(node.watches.open(1, request({ from: 1 }))))._tag, "Compacted")
    assert.strictEqual((yield* Effect.flip(node.watches.open(1, request({ from: 0 }))))._tag, "InvalidArgument")
    assert.strictEqual(node.watches.counts().watches, 0)
  }))

it.effect("cancels a watch that is not asked to go on, and says how to go on; another one is not affected", () =>
  Effect.gen(function*() {
    const { node } = yield* leading({ maxWatchIdleMs: 30_000 })
    const { watches } = node
    const slow = yield* watches.open(1, request({ from: 1 }))
    const other = yield* watches.open(1, request({ from: 1 }))
    for (let i = 0; i < 4; i++) {
      yield* TestClock.adjust(10_000)
      yield* watches.next(1, other.watch, 1, 0)
    }
    const error = yield* Effect.flip(watches.next(1, slow.watch, 1, 0))
    assert.strictEqual(error._tag, "WatchCancelled")
    assert.strictEqual(watches.counts().watches, 1)
    yield* node.put("a", "1")
    const again = yield* watches.open(1, request({ from: 1 }))
    assert.deepStrictEqual(revisionsOf(yield* watches.next(1, again.watch, 1, 0)), [1])
  }))

it.effect("never cancels a watch that waits for a change", () =>
  Effect.gen(function*() {
    const { node } = yield* leading({ maxWatchIdleMs: 5_000 })
    const { watches } = node
    const { watch } = yield* watches.open(1, request())
    const waiting = yield* Effect.forkChild(watches.next(1, watch, 1, 60_000), { startImmediately: true })
    yield* TestClock.adjust(30_000)
    yield* node.put("a", "1")
    assert.deepStrictEqual(revisionsOf(yield* Fiber.join(waiting)), [1])
  }))

it.effect("holds no more than its bound for clients that do not take their parts, and lets others have theirs", () =>
  Effect.gen(function*() {
    const { node } = yield* leading({ maxWatchBytes: 16 * partBytes })
    const { watches } = node
    yield* fill(node, 2)
    const bound = 4 * (partBytes + partBytes / 4)
    const stuck = yield* Effect.forEach(
      Array.from({ length: 20 }, () => 1),
      (owner) => Effect.map(watches.open(owner, request({ from: 1 })), ({ watch }) => watch)
    )
    const asked = yield* Effect.forEach(
      stuck,
      (watch) => Effect.forkChild(watches.next(1, watch, 1, 60_000), { startImmediately: true })
    )
    const answered = asked.filter((fiber) => fiber.pollUnsafe() !== undefined)
    assert.isAtLeast(answered.length, 1)
    assert.isBelow(answered.length, 8)
    assert.isAtMost(watches.counts().unconfirmedBytes, bound)

    const other = yield* watches.open(2, request({ from: 1 }))
    assert.isNotEmpty(revisionsOf(yield* watches.next(2, other.watch, 1, 0)))

    // One of them goes on: what was told before it has arrived as well.
    yield* Effect.forkChild(watches.next(1, stuck[answered.length - 1] as number, 5, 60_000), {
      startImmediately: true
    })
    assert.isAbove(asked.filter((fiber) => fiber.pollUnsafe() !== undefined).length, answered.length)
    assert.isAtMost(watches.counts().unconfirmedBytes, bound + 2 * partBytes)

    yield* watches.endAll(1)
    yield* watches.endAll(2)
    for (const fiber of asked) yield* Fiber.interrupt(fiber)
    assert.deepStrictEqual(watches.counts(), { watches: 0, unconfirmedBytes: 0 })
  }))

it.effect("cancels those that hold their parts for too long when others wait for room", () =>
  Effect.gen(function*() {
    const { node } = yield* leading({ maxWatchBytes: partBytes })
    const { watches } = node
    yield* fill(node, 1)
    const slow = yield* watches.open(1, request({ from: 1 }))
    yield* watches.next(1, slow.watch, 1, 0)
    const other = yield* watches.open(2, request({ from: 1 }))
    const waiting = yield* Effect.forkChild(watches.next(2, other.watch, 1, 60_000), { startImmediately: true })
    yield* TestClock.adjust(10_000)
    assert.isUndefined(waiting.pollUnsafe())
    yield* TestClock.adjust(15_000)
    assert.isNotEmpty(revisionsOf(yield* Fiber.join(waiting)))
    assert.strictEqual((yield* Effect.flip(watches.next(1, slow.watch, 9, 0)))._tag, "WatchCancelled")
  }))

it.effect("says so when compaction overtakes a watch", () =>
  Effect.gen(function*() {
    const { node } = yield* leading()
    for (const value of ["1", "2", "3"]) yield* node.put("a", value)
    const { watch } = yield* node.watches.open(1, request({ from: 1 }))
    yield* node.run({ _tag: "Compact", through: 2 })
    const error = yield* Effect.flip(node.watches.next(1, watch, 1, 0))
    assert.deepInclude(error, { _tag: "Compacted", requested: 1, oldest: 3 })
    assert.deepStrictEqual(revisionsOf(yield* node.watches.next(1, watch, 3, 0)), [3])
  }))

it.effect("looks through a long past that does not concern it, and says how far it is when the time is over", () =>
  Effect.gen(function*() {
    const { node } = yield* leading()
    for (let i = 0; i < 3_000; i++) yield* node.put("a", String(i))
    const { watch } = yield* node.watches.open(1, request({ ranges: KeyRanges.of(singleKey(bytes("b"))), from: 1 }))
    const part = yield* node.watches.next(1, watch, 1, 0)
    assert.deepStrictEqual(part.revisions, [])
    assert.isAbove(part.through, 0)
    assert.isBelow(part.through, 3_000)
    const rest = yield* Effect.forkChild(node.watches.next(1, watch, part.through + 1, 60_000), {
      startImmediately: true
    })
    yield* node.put("b", "1")
    assert.deepStrictEqual(revisionsOf(yield* Fiber.join(rest)), [3_001])
  }))

it.effect("answers nobody but the owner, and one question at a time", () =>
  Effect.gen(function*() {
    const { node: { watches } } = yield* leading()
    const { watch } = yield* watches.open(1, request())
    assert.strictEqual((yield* Effect.flip(watches.next(2, watch, 1, 0)))._tag, "WatchCancelled")
    assert.deepInclude(yield* Effect.flip(watches.next(1, watch, 1, 60_001)), {
      _tag: "InvalidArgument",
      field: "waitMs"
    })
    const waiting = yield* Effect.forkChild(watches.next(1, watch, 1, 1_000), { startImmediately: true })
    assert.deepInclude(yield* Effect.flip(watches.next(1, watch, 1, 0)), { _tag: "InvalidArgument", field: "watch" })
    yield* Fiber.interrupt(waiting)
    assert.strictEqual((yield* watches.next(1, watch, 1, 0)).through, 0)
  }))

it.effect("a history that cannot be read stops the node, as any other part of its state does", () =>
  Effect.gen(function*() {
    const { cluster, node } = yield* leading()
    for (const value of ["1", "2", "3"]) yield* node.put("a", value)
    // The latest revisions are in memory until then.
    yield* node.stop
    const { state } = node.disk
    const historyByte = 0x20
    /** The first change is neither a put nor a delete. */
    const damaged = (block: Uint8Array) => Uint8Array.from(block).fill(0xff, 24, 25)
    node.disk.state = {
      ...state,
      rows: SortedRows.from(
        [...state.rows].map(({ key, value }) => ({ key, value: key[0] === historyByte ? damaged(value) : value }))
      )
    }
    yield* node.start
    yield* cluster.leader()
    const { watch } = yield* node.watches.open(1, request({ from: 1 }))
    const error = yield* Effect.flip(node.watches.next(1, watch, 1, 0))
    assert.strictEqual(error._tag, "Fatal")
    assert.match((yield* Effect.flip(node.node.fatal)).reason, /^reading the history: corrupt data/)
  }))
