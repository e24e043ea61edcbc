/** What the client does when nodes do not know it, or do not let it do something. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import { TestClock } from "effect/testing"
import { ClusterAdmin } from "../../src/client/ClusterAdmin.ts"
import type { Connect } from "../../src/client/connection/Connection.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import * as RemoteClient from "../../src/client/RemoteClient.ts"
import { Indeterminate, Unauthenticated, Unauthorized } from "../../src/FlareDbError.ts"
import { acknowledge, connectTo, FakeNode } from "./FakeCluster.ts"

const unauthorized = new Unauthorized({ name: "shop", what: "write \"key\"" })
const unauthenticated = new Unauthenticated({ reason: "the token has ended" })

const clientOf = (nodes: ReadonlyArray<FakeNode>, connect: Connect = connectTo(nodes)) =>
  RemoteClient.layerConnect({ endpoints: nodes.map(({ endpoint }) => endpoint), sessions: false }, connect)

const put = KeyValue.use((kv) => kv.put("key", "value"))

/** How `work` ends while time passes. */
const ended = Effect.fnUntraced(function*<A, E, R>(work: Effect.Effect<A, E, R>) {
  const fiber = yield* Effect.forkChild(work)
  for (let steps = 0; steps < 1_000; steps++) {
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) {
      return { error: Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined, ms: steps * 10 }
    }
    yield* TestClock.adjust(10)
  }
  return yield* Effect.die(new Error("it never ends"))
})

describe("an operation", () => {
  it.effect("that the caller may not do fails at once, and is asked of no other node", () =>
    Effect.gen(function*() {
      const nodes = [new FakeNode(1), new FakeNode(2)]
      for (const node of nodes) {
        node.write = (count) => Effect.succeed(Array.from({ length: count }, () => unauthorized))
      }
      const { error, ms } = yield* ended(put).pipe(Effect.provide(clientOf(nodes)))
      assert.strictEqual(error, unauthorized)
      assert.isBelow(ms, 100)
      assert.deepEqual(nodes.map(({ writes }) => writes.length), [1, 0])
    }))

  it.effect("of a connection whose token has ended goes over a new connection", () =>
    Effect.gen(function*() {
      const node = new FakeNode(1)
      node.write = (count) => {
        node.write = acknowledge
        return Effect.succeed(Array.from({ length: count }, () => unauthenticated))
      }
      const { error } = yield* ended(put).pipe(Effect.provide(clientOf([node])))
      assert.isUndefined(error)
      assert.strictEqual(node.connections, 2)
    }))

  it.effect("fails at once when a node does not let the client in", () =>
    Effect.gen(function*() {
      const nodes = [new FakeNode(1), new FakeNode(2)]
      let attempts = 0
      const connect: Connect = () =>
        Effect.suspend(() => {
          attempts += 1
          return Effect.fail(unauthenticated)
        })
      const { error, ms } = yield* ended(put).pipe(Effect.provide(clientOf(nodes, connect)))
      assert.strictEqual(error, unauthenticated)
      assert.isBelow(ms, 100)
      assert.strictEqual(attempts, 1)
    }))

  it.effect("that may have been done before is not said to be undone", () =>
    Effect.gen(function*() {
      const node = new FakeNode(1)
      node.write = (count) => {
        node.write = (again) => Effect.succeed(Array.from({ length: again }, () => unauthorized))
        return Effect.succeed(Array.from({ length: count }, () => new Indeterminate({ reason: "the leader changed" })))
      }
      const compact = ClusterAdmin.use((admin) => admin.compact(1))
      const { error } = yield* ended(compact).pipe(Effect.provide(clientOf([node])))
      assert.deepInclude(error, { _tag: "Indeterminate" })
      assert.include(String(error), "shop may not write")
    }))
})
