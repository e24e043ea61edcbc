/** When two processes run under one node id, and when a node has only restarted. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"
import { monotonicMsOf } from "../../src/Monotonic.ts"
import { NodeId } from "../../src/raft/Types.ts"
import { againMs, graceMs, PeerInstances, shownMs } from "../../src/transport/rpc/PeerInstances.ts"

const two = NodeId(2)
const first = { name: "a", remote: "10.0.0.2:41234" }
const second = { name: "b", remote: "10.0.0.9:51877" }
const text = "two processes run as node 2: 10.0.0.2:41234 and 10.0.0.9:51877; stop one of them"

const make = Effect.map(Clock.Clock, (clock) => {
  const lines: Array<string> = []
  const instances = new PeerInstances(() => monotonicMsOf(clock), (_, line) => lines.push(line))
  return { instances, lines }
})

describe("two processes that run as one node", () => {
  it.effect("are told of when the older one goes on to speak, at once and then every half minute", () =>
    Effect.gen(function*() {
      const { instances, lines } = yield* make
      instances.hello(1, two, first)
      instances.hello(2, two, second)
      instances.spoke(2, two)
      yield* TestClock.adjust(graceMs)
      instances.spoke(1, two)
      assert.deepStrictEqual(lines, [], "what was on its way from a node that has restarted")
      yield* TestClock.adjust(1)
      instances.spoke(2, two)
      assert.deepStrictEqual(lines, [], "the newer one speaks alone")
      instances.spoke(1, two)
      assert.deepStrictEqual(lines, [text])
      assert.strictEqual(instances.conflict(two), text)
      assert.isUndefined(instances.conflict(NodeId(3)))
      for (let ms = 0; ms < againMs - 1_000; ms += 1_000) {
        yield* TestClock.adjust(1_000)
        instances.spoke(1, two)
      }
      assert.lengthOf(lines, 1)
      yield* TestClock.adjust(1_000)
      instances.spoke(1, two)
      assert.lengthOf(lines, 2)
      yield* TestClock.adjust(shownMs + 1)
      assert.isUndefined(instances.conflict(two), "the older one is silent")
    }))

  it.effect("are none once one has no connection left, whichever it is", () =>
    Effect.gen(function*() {
      for (const gone of [1, 2]) {
        const { instances, lines } = yield* make
        instances.hello(1, two, first)
        instances.hello(2, two, second)
        yield* TestClock.adjust(graceMs + 1)
        instances.spoke(1, two)
        assert.isDefined(instances.conflict(two))
        instances.forget(gone, two)
        if (gone === 2) assert.isUndefined(instances.conflict(two))
        yield* TestClock.adjust(againMs)
        instances.spoke(3 - gone, two)
        assert.lengthOf(lines, 1)
        assert.isUndefined(instances.conflict(two))
      }
    }))

  it.effect("are one when all connections are of one process, or the older ones are silent or have another id", () =>
    Effect.gen(function*() {
      const { instances, lines } = yield* make
      instances.hello(1, two, first)
      instances.hello(2, two, first)
      instances.hello(3, NodeId(3), second)
      yield* TestClock.adjust(graceMs + 1)
      for (const connection of [1, 2]) instances.spoke(connection, two)
      instances.spoke(3, NodeId(3))
      // A restart: its connections are known to have ended only later.
      instances.hello(4, two, second)
      yield* TestClock.adjust(60_000)
      instances.spoke(4, two)
      instances.forget(1, two)
      instances.forget(2, two)
      instances.spoke(4, two)
      assert.deepStrictEqual(lines, [])
    }))

  it.effect("are seen however often each of them connects again", () =>
    Effect.gen(function*() {
      const { instances, lines } = yield* make
      instances.hello(1, two, first)
      instances.hello(2, two, second)
      instances.hello(3, two, first)
      yield* TestClock.adjust(graceMs + 1)
      instances.spoke(1, two)
      assert.deepStrictEqual(lines, [])
      instances.spoke(2, two)
      assert.lengthOf(lines, 1)
    }))

  it.effect("are none when a stranger comes again and again and never stays", () =>
    Effect.gen(function*() {
      const { instances, lines } = yield* make
      instances.hello(1, two, first)
      for (let connection = 2; connection < 20; connection++) {
        instances.hello(connection, two, second)
        instances.forget(connection - 1, connection === 2 ? NodeId(3) : two)
        yield* TestClock.adjust(graceMs / 2)
        instances.spoke(1, two)
      }
      assert.deepStrictEqual(lines, [])
    }))
})
