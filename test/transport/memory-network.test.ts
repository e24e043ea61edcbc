import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Queue } from "effect"
import { TestClock } from "effect/testing"
import { NodeId } from "../../src/raft/Types.ts"
import type { Listening } from "../../src/testing/PeerTransportSuite.ts"
import { heartbeat, listening } from "../../src/testing/PeerTransportSuite.ts"
import * as MemoryTransport from "../../src/transport/memory/MemoryTransport.ts"
import { PeerTransport } from "../../src/transport/PeerTransport.ts"

const one = NodeId(1)
const two = NodeId(2)
const nodes = [one, two]

const join = (network: MemoryTransport.MemoryNetwork, node: NodeId) =>
  Effect.flatMap(
    Layer.build(Layer.fresh(MemoryTransport.layer(network, node, nodes))),
    (context) => listening(Context.get(context, PeerTransport))
  )

/** The rounds of the heartbeats that have arrived so far. */
const arrived = (transport: Listening): Effect.Effect<ReadonlyArray<number>> =>
  Effect.suspend((): Effect.Effect<ReadonlyArray<number>> =>
    Queue.sizeUnsafe(transport.inbox) === 0
      ? Effect.succeed([])
      : Effect.map(
        Queue.takeAll(transport.inbox),
        (batches) =>
          batches.flatMap(({ messages }) => messages).map((message) =>
            message._tag === "Heartbeat" ? message.readRound : -1
          )
      )
  )

const send = (transport: PeerTransport["Service"], from: NodeId, to: NodeId, count: number): void => {
  transport.sendUnsafe(Array.from({ length: count }, (_, i) => heartbeat(from, to, i)))
}

/** Both nodes on a network of its own. */
const pair = Effect.fnUntraced(function*(seed?: number) {
  const network = new MemoryTransport.MemoryNetwork(seed)
  return { network, first: yield* join(network, one), second: yield* join(network, two) }
})

describe("MemoryNetwork", () => {
  it.effect("cuts one direction and leaves the other", () =>
    Effect.gen(function*() {
      const { first, network, second } = yield* pair()
      network.cut(one, two)
      send(first, one, two, 1)
      send(second, two, one, 1)
      assert.deepStrictEqual(yield* arrived(second), [])
      assert.deepStrictEqual(yield* arrived(first), [0])
      network.heal()
      send(first, one, two, 1)
      assert.deepStrictEqual(yield* arrived(second), [0])
      assert.deepStrictEqual(network.counts, { delivered: 2, dropped: 1, duplicated: 0 })
    }))

  it.effect("isolates a node in both directions, and both sides are told", () =>
    Effect.gen(function*() {
      const { first, network, second } = yield* pair()
      network.isolate(one, nodes)
      send(first, one, two, 1)
      send(second, two, one, 1)
      assert.deepStrictEqual([yield* arrived(first), yield* arrived(second)], [[], []])
      assert.strictEqual(yield* Queue.take(first.lost), two)
      assert.strictEqual(yield* Queue.take(second.lost), one)
    }))

  it.effect("drops and duplicates as often as it is told", () =>
    Effect.gen(function*() {
      const { first, network, second } = yield* pair()
      network.setFaults({ drop: 0.3 })
      send(first, one, two, 1_000)
      const kept = (yield* arrived(second)).length
      assert.isAbove(kept, 600)
      assert.isBelow(kept, 800)
      network.setFaults({ drop: 0, duplicate: 1 })
      send(first, one, two, 2)
      assert.deepStrictEqual(yield* arrived(second), [0, 0, 1, 1])
    }))

  it.effect("delays by the Effect clock, which reorders", () =>
    Effect.gen(function*() {
      const { first, network, second } = yield* pair()
      network.setFaults({ delayMs: [10, 50] })
      send(first, one, two, 20)
      yield* TestClock.adjust(9)
      assert.deepStrictEqual(yield* arrived(second), [])
      yield* TestClock.adjust(41)
      const rounds = yield* arrived(second)
      const inOrder = Array.from({ length: 20 }, (_, i) => i)
      assert.deepStrictEqual(rounds.toSorted((a, b) => a - b), inOrder)
      assert.notDeepEqual(rounds, inOrder)
    }))

  it.effect("loses what is under way on a link that is cut meanwhile", () =>
    Effect.gen(function*() {
      const { first, network, second } = yield* pair()
      network.setFaults({ delayMs: [10, 10] })
      send(first, one, two, 3)
      yield* TestClock.adjust(5)
      network.cut(one, two)
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(yield* arrived(second), [])
      assert.strictEqual(network.counts.dropped, 3)
    }))

  it.effect("lives the same life again under the same seed, and another one under another", () =>
    Effect.gen(function*() {
      const life = Effect.fnUntraced(function*(seed: number) {
        const { first, network, second } = yield* pair(seed)
        network.setFaults({ drop: 0.2, duplicate: 0.2, delayMs: [0, 30] })
        send(first, one, two, 100)
        yield* TestClock.adjust(30)
        return yield* arrived(second)
      })
      const rounds = yield* life(7)
      assert.deepStrictEqual(yield* life(7), rounds)
      assert.notDeepEqual(yield* life(8), rounds)
    }))
})
