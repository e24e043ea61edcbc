/**
 * A failed write stops a node within half a second, and the simulation fails when it does not. Not so while the node
 * is ending: nothing serves any more that could be stopped, and the end waits for the disk as long as the disk takes.
 * What is asked of it then is silence.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Config from "../../src/config/index.ts"
import { Faults } from "./nodes/Faults.ts"
import { Probes } from "./engine/Probes.ts"
import { probes } from "./nodes/Probes.ts"
import { drawRates } from "./nodes/Rates.ts"
import { noFaults, SimNetwork } from "./nodes/SimNetwork.ts"
import type { NodeWatcher } from "./nodes/NodeWorld.ts"
import { SimNode } from "./nodes/SimNode.ts"
import { Timeline } from "./engine/Timeline.ts"
import { Random } from "./Random.ts"

const nothing = () => {}

const watcher: NodeWatcher = {
  stepped: nothing,
  sends: nothing,
  started: nothing,
  ended: nothing,
  applies: nothing,
  applied: nothing,
  completes: nothing,
  snapshotArrives: nothing,
  snapshotFlipped: nothing,
  closes: nothing,
  log: undefined
}

/** A node that runs, on a disk that takes seconds for a sync and whose next write fails. */
const scene = () => {
  const random = new Random(1)
  const timeline = new Timeline()
  const network = new SimNetwork(random, timeline, noFaults)
  const nodes: Array<SimNode> = []
  const faults = new Faults({
    random,
    timeline,
    network,
    nodes,
    probes: new Probes(probes),
    trace: undefined,
    inject: (fault) => fault(),
    rates: { ...drawRates(random), everyMs: 1, kinds: [["write error", 1]], syncMs: 4_000 }
  })
  const health = faults.disks.healthOf(1 as never)
  const config = Effect.runSync(Config.make({
    nodeId: 1,
    clusterId: "simulation",
    nodes: Config.localNodes.filter(({ id }) => id === 1)
  }))
  // While it starts nothing fails.
  const node = new SimNode(config, {
    random,
    timeline,
    network,
    watcher,
    health: () => ({ ...health, failure: () => undefined })
  }, { wallOffsetMs: 0, rate: 1 })
  nodes.push(node)
  const until = (holds: () => boolean) => {
    for (let left = 100_000; left > 0; left--) {
      if (holds()) return
      timeline.next()?.()
    }
    assert.fail("it never came to that")
  }
  node.start()
  until(() => node.running !== undefined)
  faults.begin()
  return { health, node, timeline, until }
}

describe("a write that fails", () => {
  it("fails the simulation when the node goes on", () => {
    const { health, timeline, until } = scene()
    until(() => health.failure("write") !== undefined)
    const failedMs = timeline.nowMs
    assert.throws(() => until(() => timeline.nowMs > failedMs + 600), /a failed write stops the node/)
  })

  it("does not fail it when the node is ending and waits for its disk, and asks for silence", () => {
    const { health, node, timeline, until } = scene()
    let ended = false
    node.shutDown(() => {
      ended = true
    })
    until(() => health.failure("write") !== undefined)
    const failedMs = timeline.nowMs
    until(() => timeline.nowMs > failedMs + 600)
    assert.isFalse(ended)
    assert.match(node.silenced ?? "", /simulated write failed/)
    until(() => ended)
  })
})
