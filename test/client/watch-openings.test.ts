/** Thousands of watches that one client opens at once. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Semaphore, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { Connect, Connection } from "../../src/client/connection/Connection.ts"
import { ConnectionLost } from "../../src/client/connection/Connection.ts"
import { ConnectionPool } from "../../src/client/connection/ConnectionPool.ts"
import { formatEndpoint } from "../../src/client/connection/Endpoint.ts"
import { KnownCluster } from "../../src/client/connection/KnownCluster.ts"
import * as RemoteClient from "../../src/client/RemoteClient.ts"
import { Watch } from "../../src/client/Watch.ts"
import { maxOpening } from "../../src/client/WatchOpenings.ts"
import { connectTo, FakeWatchNode } from "./FakeWatches.ts"

const watches = 600

/** Opens all at once; gives how each of them began, and how long that took. */
const openAll = Effect.gen(function*() {
  const watch = yield* Watch
  const fibers = yield* Effect.forEach(
    Array.from({ length: watches }, (_, i) => `w${i}`),
    (prefix) =>
      Effect.forkChild(Effect.exit(Stream.runDrain(Stream.take(watch.notices({ prefix }), 1))), {
        startImmediately: true
      })
  )
  for (let ms = 0; ms < 60_000; ms += 100) {
    if (fibers.every((fiber) => fiber.pollUnsafe() !== undefined)) {
      const exits = yield* Effect.forEach(fibers, (fiber) => Fiber.join(fiber))
      return { began: exits.filter(Exit.isSuccess).length, ms }
    }
    yield* TestClock.adjust(100)
  }
  return yield* Effect.die(new Error("it never ends"))
})

/** A node that opens watches one after the other. */
const slowNode = (msEach: number) => {
  const node = new FakeWatchNode(1, [])
  const turn = Semaphore.makeUnsafe(1)
  const seen = { opening: 0, most: 0, connections: 0 }
  const connect: Connect = (endpoint) =>
    Effect.map(connectTo([node])(endpoint), (connection): Connection => {
      seen.connections += 1
      return {
        ...connection,
        watch: (request) =>
          Effect.gen(function*() {
            seen.most = Math.max(seen.most, ++seen.opening)
            yield* Effect.ensuring(turn.withPermit(Effect.sleep(msEach)), Effect.sync(() => seen.opening--))
            return yield* connection.watch(request)
          })
      }
    })
  return { node, seen, connect }
}

const clientOf = (node: FakeWatchNode, connect: Connect) =>
  RemoteClient.layerConnect({ endpoints: [node.endpoint] }, connect)

it.effect("all begin at a node that takes longer for them than one of them may wait", () =>
  Effect.gen(function*() {
    const { connect, node, seen } = slowNode(20)
    const { began, ms } = yield* Effect.provide(openAll, clientOf(node, connect))
    assert.strictEqual(began, watches)
    assert.isAtLeast(ms, 11_000)
    assert.isAtMost(seen.most, maxOpening)
    assert.strictEqual(seen.connections, 1)
  }))

it.effect("all fail in little more than the time of one, when no node is there", () =>
  Effect.gen(function*() {
    const { connect, node } = slowNode(10_000)
    const { began, ms } = yield* Effect.provide(openAll, clientOf(node, connect))
    assert.strictEqual(began, 0)
    assert.isAtMost(ms, 15_000)
  }))

it.effect("one that gets no answer leaves the connection to those who do", () =>
  Effect.gen(function*() {
    const { connect, node, seen } = slowNode(0)
    yield* Effect.gen(function*() {
      const watch = yield* Watch
      const told: Array<string> = []
      const listen = (prefix: string) =>
        Effect.forkChild(
          Stream.runForEach(
            watch.notices({ prefix }, { progressMs: 1_000 }),
            () => Effect.sync(() => told.push(prefix))
          ),
          { startImmediately: true }
        )
      yield* listen("a")
      yield* TestClock.adjust(100)
      node.faults.push("silent")
      yield* listen("b")
      yield* TestClock.adjust(10_000)
      assert.strictEqual(seen.connections, 1)
      assert.isAtLeast(told.filter((prefix) => prefix === "b").length, 2, "it began again")
    }).pipe(Effect.provide(clientOf(node, connect)))
  }))

it.effect("a connection that takes longer than its callers wait is there for those who ask again", () =>
  Effect.scoped(Effect.gen(function*() {
    const node = new FakeWatchNode(1, [])
    let opened = 0
    const connect: Connect = () =>
      Effect.andThen(
        Effect.sleep(2_500),
        Effect.sync(() => {
          opened += 1
          return node.connect()
        })
      )
    const pool = yield* ConnectionPool.make(connect, new KnownCluster(undefined), 1_000)
    const ask = Effect.forkChild(Effect.exit(pool.get(node.endpoint)), { startImmediately: true })
    const first = yield* ask
    yield* TestClock.adjust(1_000)
    const error = yield* Effect.flip(Effect.flatten(Fiber.join(first)))
    assert.instanceOf(error, ConnectionLost)
    assert.include(error.message, `${formatEndpoint(node.endpoint)}: no answer within 1000 ms`)
    yield* TestClock.adjust(1_000)
    const second = yield* ask
    yield* TestClock.adjust(600)
    assert.isTrue(Exit.isSuccess(yield* Fiber.join(second)))
    assert.strictEqual(opened, 1)
  })))
