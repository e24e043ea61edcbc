/** What the client does with what nodes answer: whom it follows, what it repeats, and what it says when it cannot know. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import type { ClientOptions } from "../../src/client/ClientOptions.ts"
import { ClusterAdmin } from "../../src/client/ClusterAdmin.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { Compare, Op } from "../../src/client/Txn.ts"
import * as RemoteClient from "../../src/client/RemoteClient.ts"
import { Indeterminate, Overloaded, Unavailable } from "../../src/FlareDbError.ts"
import { encodeReply } from "../../src/kv/model/ReplyCodec.ts"
import { maxScanLimit, maxValueBytes } from "../../src/kv/model/Limits.ts"
import { acknowledge, connectTo, FakeNode, notLeader } from "./FakeCluster.ts"

const threeNodes = (): readonly [FakeNode, FakeNode, FakeNode] => [new FakeNode(1), new FakeNode(2), new FakeNode(3)]

const clientOf = (nodes: ReadonlyArray<FakeNode>, options: Partial<ClientOptions> = {}) =>
  RemoteClient.layerConnect(
    // What sessions add is in ClientSession.test.ts.
    { endpoints: nodes.map(({ endpoint }) => endpoint), sessions: false, ...options },
    connectTo(nodes)
  )

const put = KeyValue.use((kv) => kv.put("key", "value"))
const get = KeyValue.use((kv) => kv.get("key"))

/** Runs `work` to its end while time passes in steps of 10 ms, and says how many it took. */
const inTime = Effect.fnUntraced(function*<A, E, R>(work: Effect.Effect<A, E, R>) {
  const fiber = yield* Effect.forkChild(work)
  for (let steps = 0; steps < 2_000; steps++) {
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return { exit, ms: steps * 10 }
    yield* TestClock.adjust(10)
  }
  return yield* Effect.die(new Error("it never ends"))
})

const errorOf = (exit: Exit.Exit<unknown, unknown>): unknown =>
  Exit.isFailure(exit) ? Cause.squash(exit.cause) : assert.fail("it succeeded")

describe("finding the leader", () => {
  it.effect("follows the node that is named", () =>
    Effect.gen(function*() {
      const nodes = threeNodes()
      nodes[0].write = notLeader(nodes[2])
      nodes[1].write = notLeader(nodes[2])
      yield* Effect.gen(function*() {
        yield* put
        yield* put
      }).pipe(Effect.provide(clientOf(nodes)))
      assert.deepStrictEqual(nodes.map(({ writes }) => writes.length), [1, 0, 2], "and stays with it")
    }))

  it.effect("asks one after the other while no leader is known, with pauses", () =>
    Effect.gen(function*() {
      const nodes = threeNodes()
      for (const node of nodes) node.write = notLeader(undefined)
      const { exit } = yield* Effect.gen(function*() {
        const work = yield* Effect.forkChild(inTime(put))
        yield* TestClock.adjust(1_000)
        nodes[1].write = acknowledge
        return yield* Fiber.join(work)
      }).pipe(Effect.provide(clientOf(nodes)))
      assert.isTrue(Exit.isSuccess(exit))
      const attempts = nodes.flatMap(({ writes }) => writes).length
      assert.isAbove(nodes[2].writes.length, 0)
      assert.isBelow(attempts, 100, "a second without a leader is no reason to hammer the nodes")
    }))

  it.effect("passes over nodes that are down, also when the leader they name is down", () =>
    Effect.gen(function*() {
      const nodes = threeNodes()
      nodes[0].down = true
      nodes[1].write = notLeader(nodes[0])
      const { exit } = yield* inTime(put).pipe(Effect.provide(clientOf(nodes)))
      assert.isTrue(Exit.isSuccess(exit))
      assert.deepStrictEqual(nodes[2].writes, [1])
    }))
})

describe("a connection that is lost", () => {
  it.effect("before anything was sent: the write is repeated", () =>
    Effect.gen(function*() {
      const nodes = threeNodes()
      nodes[0].write = () => {
        nodes[0].write = acknowledge
        return Effect.fail(nodes[0].lost(false))
      }
      yield* put.pipe(Effect.provide(clientOf(nodes)))
      assert.deepStrictEqual(nodes.map(({ writes }) => writes.length), [2, 0, 0])
      assert.strictEqual(nodes[0].connections, 2)
    }))

  it.effect("after a write was sent: nobody knows, and it is not repeated", () =>
    Effect.gen(function*() {
      const nodes = threeNodes()
      nodes[0].write = () => Effect.fail(nodes[0].lost(true, "the connection was reset"))
      const error = yield* Effect.flip(put).pipe(Effect.provide(clientOf(nodes)))
      assert.instanceOf(error, Indeterminate)
      assert.include(error.message, "the connection was reset")
      assert.deepStrictEqual(nodes.map(({ writes }) => writes.length), [1, 0, 0])
    }))

  it.effect("after a read was sent: it is repeated elsewhere", () =>
    Effect.gen(function*() {
      const nodes = threeNodes()
      nodes[0].read = () => Effect.fail(nodes[0].lost(true))
      yield* get.pipe(Effect.provide(clientOf(nodes)))
      assert.deepStrictEqual(nodes.map(({ reads }) => reads.length), [1, 1, 0])
    }))
})

describe("the deadline", () => {
  it.effect("holds when no node can be reached: unavailable, with every node and its trouble", () =>
    Effect.gen(function*() {
      const nodes = threeNodes()
      for (const node of nodes) node.down = true
      const { exit, ms } = yield* inTime(put).pipe(Effect.provide(clientOf(nodes, { requestTimeoutMs: 2_000 })))
      const error = errorOf(exit)
      assert.instanceOf(error, Unavailable)
      const names = nodes.map(({ name }) => name).join(", ")
      assert.include((error as Unavailable).message, `${names}: no process listens there`)
      assert.isAtLeast(ms, 2_000)
      assert.isAtMost(ms, 2_100)
    }))

  it.effect("holds when a node never answers: unknown for a write", () =>
    Effect.gen(function*() {
      const nodes = threeNodes()
      nodes[0].write = () => Effect.never
      const { exit, ms } = yield* inTime(put).pipe(Effect.provide(clientOf(nodes, { requestTimeoutMs: 3_000 })))
      assert.instanceOf(errorOf(exit), Indeterminate)
      assert.isAtMost(ms, 3_100)
      assert.deepStrictEqual(nodes.map(({ writes }) => writes.length), [1, 0, 0])
    }))

  it.effect("is not waited for by a read: another node answers it", () =>
    Effect.gen(function*() {
      const nodes = threeNodes()
      nodes[0].read = () => Effect.never
      const { exit, ms } = yield* inTime(get).pipe(Effect.provide(clientOf(nodes, { attemptTimeoutMs: 500 })))
      assert.isTrue(Exit.isSuccess(exit))
      assert.isAtMost(ms, 600)
    }))

  it.effect("that passes while the connection is opened: the write was not sent, and is not sent afterwards", () =>
    Effect.gen(function*() {
      const nodes = threeNodes()
      nodes[0].opening = Effect.sleep(2_000)
      yield* Effect.gen(function*() {
        const { exit } = yield* inTime(KeyValue.use((kv) => kv.put("key", "value", { timeoutMs: 1_000 })))
        assert.instanceOf(errorOf(exit), Unavailable)
        yield* TestClock.adjust(2_000)
        yield* put
      }).pipe(Effect.provide(clientOf(nodes, { connectTimeoutMs: 5_000 })))
      assert.deepStrictEqual(nodes[0].writes, [1], "the second write alone")
    }))

  it.effect("of a silent node does not hold up the writes of others", () =>
    Effect.gen(function*() {
      const nodes = threeNodes()
      nodes[0].write = () => Effect.never
      yield* Effect.gen(function*() {
        const stuck = yield* Effect.forEach([1, 2, 3, 4, 5, 6, 7, 8], () => Effect.forkChild(Effect.flip(put)))
        yield* TestClock.adjust(1_100)
        const { exit, ms } = yield* inTime(put)
        assert.isTrue(Exit.isSuccess(exit))
        assert.isAtMost(ms, 100)
        yield* TestClock.adjust(5_000)
        for (const fiber of stuck) assert.instanceOf(yield* Fiber.join(fiber), Indeterminate)
      }).pipe(Effect.provide(clientOf(nodes, { attemptTimeoutMs: 1_000 })))
    }))

  it.effect("of one call may differ from the client's", () =>
    Effect.gen(function*() {
      const nodes = threeNodes()
      for (const node of nodes) node.down = true
      const brief = KeyValue.use((kv) => kv.get("key", { timeoutMs: 100 }))
      const { exit, ms } = yield* inTime(brief).pipe(Effect.provide(clientOf(nodes)))
      assert.instanceOf(errorOf(exit), Unavailable)
      assert.isAtMost(ms, 200)
    }))
})

describe("load", () => {
  it.effect("the calls of one moment share a request", () =>
    Effect.gen(function*() {
      const nodes = threeNodes()
      yield* Effect.forEach(Array.from({ length: 100 }, (_, i) => i), () => put, { concurrency: "unbounded" }).pipe(
        Effect.provide(clientOf(nodes))
      )
      assert.strictEqual(nodes[0].writes.reduce((sum, count) => sum + count, 0), 100)
      assert.isAtMost(nodes[0].writes.length, 4)
    }))

  const found = (value: Uint8Array): Uint8Array => {
    const record = { createRevision: 1, modRevision: 1, version: 1, lease: 0, value }
    return encodeReply({ _tag: "TransactionReply", revision: 1, succeeded: false, results: [{ _tag: "Get", record }] })
  }
  const putOrGet = KeyValue.use((kv) =>
    kv.transact({ if: [Compare.missing("key")], do: [Op.put("key", "value")], else: [Op.get("key")] })
  )
  const many = (calls: number) =>
    Effect.forEach(Array.from({ length: calls }), () => putOrGet, { concurrency: "unbounded" })

  it.effect("transactions that read share a request, by what others were answered", () =>
    Effect.gen(function*() {
      const nodes = threeNodes()
      let answer = found(new Uint8Array(10))
      nodes[0].write = (count) => Effect.succeed(Array.from({ length: count }, () => answer))
      yield* Effect.gen(function*() {
        yield* many(100)
        assert.isAtMost(nodes[0].writes[0] ?? 0, 4, "little is known of the first")
        nodes[0].writes.length = 0
        yield* many(100)
        assert.isAtMost(nodes[0].writes.length, 8)
        // Values of a mebibyte are not expected. What comes in one piece is bounded nevertheless.
        answer = found(new Uint8Array(maxValueBytes))
        yield* many(100)
        assert.isAtMost(Math.max(...nodes[0].writes), 32)
        nodes[0].writes.length = 0
        yield* many(100)
        assert.isAtMost(Math.max(...nodes[0].writes), 4)
        // Expected as they are again, by and by.
        answer = found(new Uint8Array(10))
        yield* many(100)
        nodes[0].writes.length = 0
        yield* many(100)
        assert.isAtMost(nodes[0].writes.length, 8)
      }).pipe(Effect.provide(clientOf(nodes)))
    }))

  it.effect("what does not fit into one request goes in several at the same time", () =>
    Effect.gen(function*() {
      const nodes = threeNodes()
      nodes[0].write = () => Effect.never
      const large = KeyValue.use((kv) => kv.put("key", new Uint8Array(maxValueBytes)))
      yield* Effect.gen(function*() {
        for (let i = 0; i < 16; i++) yield* Effect.forkChild(Effect.ignore(large))
        for (let steps = 0; steps < 100 && nodes[0].writes.length < 4; steps++) yield* TestClock.adjust(1)
        assert.deepStrictEqual(nodes[0].writes, [3, 3, 3, 3])
      }).pipe(Effect.provide(clientOf(nodes)))
    }))

  it.effect("what reads pages of values holds up no others", () =>
    Effect.gen(function*() {
      const nodes = threeNodes()
      const scan = KeyValue.use((kv) => kv.transact({ do: [Op.scan("keys/"), Op.put("key", "value")] }))
      nodes[0].write = (count, commands) =>
        commands.some((command) => Buffer.from(command).includes("keys/")) ? Effect.never : acknowledge(count)
      yield* Effect.gen(function*() {
        for (let i = 0; i < 20; i++) yield* Effect.forkChild(Effect.ignore(scan))
        yield* TestClock.adjust(1)
        const { exit, ms } = yield* inTime(put)
        assert.isTrue(Exit.isSuccess(exit))
        assert.isAtMost(ms, 100)
      }).pipe(Effect.provide(clientOf(nodes)))
    }))

  it.effect("an overloaded node is asked again after a pause, until the deadline", () =>
    Effect.gen(function*() {
      const nodes = threeNodes()
      const overloaded = new Overloaded({ limit: "maxPendingProposals", current: 5, maximum: 5 })
      nodes[0].write = (count) => Effect.succeed(Array.from({ length: count }, () => overloaded))
      const { exit } = yield* inTime(put).pipe(Effect.provide(clientOf(nodes, { requestTimeoutMs: 1_000 })))
      assert.deepInclude(errorOf(exit), { _tag: "Overloaded", limit: "maxPendingProposals" })
      assert.isAtLeast(nodes[0].writes.length, 5)
      assert.isAtMost(nodes[0].writes.length, 60)
    }))

  it.effect("more than may wait is refused at once", () =>
    Effect.gen(function*() {
      const nodes = threeNodes()
      nodes[0].write = () => Effect.never
      const options = { maxPendingOperations: 10, maxCallsInFlight: 1, requestTimeoutMs: 1_000 }
      const results = yield* Effect.gen(function*() {
        const fibers = yield* Effect.forEach(Array.from({ length: 30 }, (_, i) => i), () =>
          Effect.forkChild(Effect.flip(put)))
        yield* TestClock.adjust(2_000)
        return yield* Effect.forEach(fibers, (fiber) =>
          Fiber.join(fiber))
      }).pipe(Effect.provide(clientOf(nodes, options)))
      const refused = results.filter((error) => error._tag === "Overloaded")
      assert.isAtLeast(refused.length, 19)
      assert.include((refused[0] as Overloaded).message, "maxPendingOperations is at 10 of 10")
    }))

  it.effect("a caller that is interrupted is forgotten: nothing is sent for it", () =>
    Effect.gen(function*() {
      const nodes = threeNodes()
      for (const node of nodes) node.down = true
      yield* Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(put)
        yield* TestClock.adjust(100)
        yield* Fiber.interrupt(fiber)
        for (const node of nodes) node.down = false
        yield* TestClock.adjust(5_000)
      }).pipe(Effect.provide(clientOf(nodes)))
      assert.deepStrictEqual(nodes.flatMap(({ writes }) => writes), [])
    }))
})

it.effect("a client that closes answers everything that waits, with what it knows", () =>
  Effect.gen(function*() {
    const nodes = threeNodes()
    nodes[0].write = () => Effect.never
    for (const node of nodes.slice(1)) node.down = true
    nodes[0].read = () => Effect.fail(nodes[0].lost(false))
    const scope = yield* Scope.make()
    const kv = Context.get(yield* Layer.buildWithScope(clientOf(nodes), scope), KeyValue)
    const sent = yield* Effect.forkChild(Effect.flip(kv.put("key", "value")))
    const waiting = yield* Effect.forkChild(Effect.flip(kv.get("key")))
    yield* TestClock.adjust(100)
    yield* Scope.close(scope, Exit.void)
    assert.instanceOf(yield* Fiber.join(sent), Indeterminate)
    assert.match((yield* Fiber.join(waiting)).message, /unavailable: the client was closed/)
    assert.instanceOf(yield* Effect.flip(kv.put("key", "value")), Unavailable)
  }))

describe("arguments", () => {
  const cases: ReadonlyArray<
    readonly [
      string,
      string,
      Effect.Effect<unknown, { readonly _tag: string; readonly field?: string }, KeyValue | ClusterAdmin>
    ]
  > = [
    ["an empty key", "key", KeyValue.use((kv) => kv.put("", "value"))],
    ["a long key", "key", KeyValue.use((kv) => kv.get("k".repeat(4097)))],
    ["a large value", "value", KeyValue.use((kv) => kv.put("key", new Uint8Array(maxValueBytes + 1)))],
    ["a page of nothing", "limit", KeyValue.use((kv) => kv.scan("", { limit: 0 }))],
    ["a page of too much", "limit", KeyValue.use((kv) => kv.scan("", { limit: maxScanLimit + 1 }))],
    ["a page of half a row", "limit", KeyValue.use((kv) => kv.scan("", { limit: 1.5 }))],
    ["a page of half a session", "limit", ClusterAdmin.use((admin) => admin.sessions({ limit: 1.5 }))],
    ["no number of attempts", "attempts", KeyValue.use((kv) => kv.modify("a", () => "1", { attempts: Number.NaN }))],
    ["half an attempt", "attempts", KeyValue.use((kv) => kv.modify("a", () => "1", { attempts: 0.5 }))],
    ["a cursor of another scan", "cursor", KeyValue.use((kv) => kv.scan("a", { cursor: "b" }))]
  ]
  for (const [name, field, call] of cases) {
    it.effect(`${name} is refused here, and no node hears of it`, () =>
      Effect.gen(function*() {
        const nodes = threeNodes()
        const error = yield* Effect.flip(call).pipe(Effect.provide(clientOf(nodes)))
        assert.deepInclude(error, { _tag: "InvalidArgument", field })
        assert.strictEqual(nodes[0].connections, 0)
      }))
  }

  it.effect("of the client itself are refused when it is built", () =>
    Effect.gen(function*() {
      const none = yield* Effect.flip(put.pipe(Effect.provide(clientOf([]))))
      assert.strictEqual(none._tag, "InvalidConfig")
      const zero = yield* Effect.flip(put.pipe(Effect.provide(clientOf(threeNodes(), { requestTimeoutMs: 0 }))))
      assert.include(zero.message, "requestTimeoutMs: must be an integer of at least 1, got 0")
      const long = yield* Effect.flip(put.pipe(Effect.provide(clientOf(threeNodes(), { attemptTimeoutMs: 2 ** 31 }))))
      assert.include(long.message, "attemptTimeoutMs: must be at most 2147483647, got 2147483648")
      const endpoints = [{ host: "127.0.0.1", port: Number.NaN }, { host: "", port: 70_000 }]
      const nowhere = yield* Effect.flip(put.pipe(Effect.provide(clientOf(threeNodes(), { endpoints }))))
      assert.include(nowhere.message, "endpoints[0].port: NaN is not a port")
      assert.include(nowhere.message, "endpoints[1].host: is empty; endpoints[1].port: 70000 is not a port")
      const twice = [{ host: "db-1", port: 7001 }, { host: "db-2", port: 7001 }, { host: "DB-1", port: 7001 }]
      const repeated = yield* Effect.flip(put.pipe(Effect.provide(clientOf(threeNodes(), { endpoints: twice }))))
      assert.include(repeated.message, "endpoints[2]: is named twice")
    }))
})
