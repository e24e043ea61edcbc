/** How far the clocks of nodes are apart: measured between two transports, and warned of once. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Metric } from "effect"
import { NodeId } from "../../src/raft/Types.ts"
import { clockText, ClockWatch } from "../../src/transport/rpc/ClockWatch.ts"
import { certainMs, PeerClock } from "../../src/transport/rpc/PeerClock.ts"
import { PeerTransport } from "../../src/transport/PeerTransport.ts"
import * as RpcTransport from "../../src/transport/rpc/RpcTransport.ts"
import { freePorts } from "../FreePorts.ts"
import { eventually } from "../Eventually.ts"
import { ahead } from "../WallClock.ts"

const at = (wallMs: number, monotonicMs = wallMs) => ({ wallMs, monotonicMs })

describe("the clock of a peer", () => {
  it("is as far off as its answer is from the middle of the round trip, give or take half of that", () => {
    const clock = new PeerClock()
    assert.deepStrictEqual(clock.answered(at(1_000), 1_510, at(1_020)), { offsetMs: 500, uncertaintyMs: 10 })
  })

  it("is known best from the shortest round trip, and what is too old does not count", () => {
    const clock = new PeerClock()
    clock.answered(at(0), 5_001, at(2))
    for (let i = 1; i <= 5; i++) {
      const offset = clock.answered(at(i * 100), i * 100 + 5_035, at(i * 100 + 50))
      assert.deepStrictEqual(offset, { offsetMs: 5_000, uncertaintyMs: 1 })
    }
    assert.deepStrictEqual(clock.answered(at(600), 5_625, at(640)), { offsetMs: 5_005, uncertaintyMs: 20 })
  })

  it("that is set shows with the next answer, however slow that is", () => {
    const clock = new PeerClock()
    clock.answered(at(0), 5_001, at(2))
    assert.deepStrictEqual(clock.answered(at(100), 120, at(140)), { offsetMs: 0, uncertaintyMs: 20 })
    assert.strictEqual(clock.reachedMs(140), 120)
    assert.deepStrictEqual(clock.answered(at(200), 3_600_230, at(260)), { offsetMs: 3_600_000, uncertaintyMs: 30 })
    // So does this node's own one.
    assert.deepStrictEqual(clock.answered(at(7_200_300, 300), 3_600_310, at(7_200_320, 320)), {
      offsetMs: -3_600_000,
      uncertaintyMs: 10
    })
    assert.strictEqual(clock.reachedMs(320), 3_600_310)
  })

  it("is not measured by this node's own clock being set during the question", () => {
    const clock = new PeerClock()
    assert.deepStrictEqual(clock.answered(at(1_000, 0), 1_005, at(9_000, 10)), { offsetMs: 0, uncertaintyMs: 5 })
  })
})

it("what a peer's clock has reached goes on by the monotonic clock, though this node's own is set", () => {
  const clock = new PeerClock()
  assert.isUndefined(clock.reachedMs(0))
  clock.answered(at(5_000, 100), 8_000, at(5_020, 120))
  // Half of the round trip may have passed before it answered.
  assert.strictEqual(clock.reachedMs(120), 8_000)
  clock.answered(at(3_605_000, 1_100), 9_000, at(3_605_020, 1_120))
  assert.strictEqual(clock.reachedMs(1_120), 9_000)
  clock.forget()
  assert.isUndefined(clock.reachedMs(1_120))
})

describe("a clock that is off", () => {
  it("is warned of once, and again only after it was well again", () => {
    const watch = new ClockWatch(2, 1_000)
    const seen = [900, 1_100, 5_000, 600, 1_100, 400, -1_100].map((offsetMs) =>
      watch.seen({ offsetMs, uncertaintyMs: 1 }) !== undefined
    )
    assert.deepStrictEqual(seen, [false, true, false, false, false, false, true])
  })

  it("is not warned of while the round trip may explain it", () => {
    assert.strictEqual(certainMs({ offsetMs: -1_500, uncertaintyMs: 600 }), 900)
    assert.isUndefined(new ClockWatch(2, 1_000).seen({ offsetMs: -1_500, uncertaintyMs: 600 }))
  })

  it("is described by who is ahead of whom", () => {
    const text = clockText(3, { offsetMs: -2_500, uncertaintyMs: 4 })
    assert.strictEqual(text, "the clock of node 3 is 2.5s behind this node's (give or take 4ms)")
  })
})

it.live("two transports measure how far their clocks are apart, and warn of it", () => {
  const lines: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => {
    if (logLevel === "Warn") lines.push(String(message))
  })
  return Effect.gen(function*() {
    const ports = yield* freePorts(2)
    const addresses = ports.map((port, i) => ({ id: NodeId(i + 1), host: "127.0.0.1", port }))
    const start = (nodeId: number) =>
      Layer.build(Layer.fresh(RpcTransport.layer({
        clusterId: "clocks",
        nodeId: NodeId(nodeId),
        listen: { host: "127.0.0.1", port: ports[nodeId - 1] as number },
        peers: addresses.filter(({ id }) => id !== nodeId)
      })))
    const one = yield* Effect.flatMap(start(1), (context) => Effect.provide(PeerTransport, context))
    yield* start(2).pipe(ahead(5_000))
    yield* eventually(
      "node 1 knows the clock of node 2",
      Effect.map(one.health, (links) => links.some(({ clock }) => clock !== undefined))
    )
    const [link] = yield* one.health
    const { offsetMs = 0, problem, uncertaintyMs = 0 } = link?.clock ?? {}
    assert.isAtMost(Math.abs(offsetMs - 5_000), uncertaintyMs + 1)
    assert.match(problem ?? "", /^the clock of node 2 is [45](\.\d)?s ahead of this node's .*maxClockDifferenceMs/)
    yield* eventually("it is warned of", () => lines.some((line) => line.includes("the clock of node 2 is")))
    const metrics = yield* Metric.snapshot
    const gauge = metrics.find(({ attributes, id }) =>
      id === "flaredb_peer_clock_offset_seconds" && attributes?.["peer"] === "2"
    )
    const { value } = (gauge?.state ?? { value: Number.NaN }) as { readonly value: number }
    assert.isAtMost(Math.abs(value - offsetMs / 1_000), 0.001)
  }).pipe(Effect.scoped, Effect.provide(Logger.layer([logger])))
})
