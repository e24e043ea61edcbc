/** What a console makes of the answers of nodes: rates and times, who leads since when, and what to look at. */
import { assert, describe, it } from "vitest"
import { healthThresholds } from "../../../src/config/HealthThresholds.ts"
import { latencyBetween, sampleOf } from "../../../src/http/console/ClusterSample.ts"
import type * as Page from "../../../console/Types.ts"
import type { Answers, Before, ClusterSample } from "../../../src/http/console/ClusterSample.ts"
import { warningsOf } from "../../../src/http/console/Warnings.ts"
import type { NodeVitals } from "../../../src/protocol/NodeVitals.ts"
import { answers, durations, endpointOf, figures, report, unreachable } from "./Answers.ts"

const sampled = (...all: ReadonlyArray<Answers>) => {
  let before: Before | undefined
  return all.map((one) => {
    const { next, sample } = sampleOf(one, before)
    before = next
    return Object.assign(sample, { warnings: warningsOf(sample) })
  })
}

/** The page cannot import the node's sources. That it reads what a node sends is checked where both can be seen. */
const shown = (sample: ClusterSample): Page.Sample => sample

const warned = (given: Partial<Answers>) => sampled(answers(given)).map(shown)[0]?.warnings ?? []

describe("a sample of the cluster", () => {
  it("tells the writes of a second from how far the commits got", () => {
    const [first, second] = sampled(
      answers(),
      answers({ atMs: 3_000, status: [report(1, { commit: 700 }), report(2), report(3)] })
    )
    assert.strictEqual(first?.writesPerSecond, null)
    assert.strictEqual(second?.writesPerSecond, 300)
  })

  it("tells how far each node is behind the leader", () => {
    const [sample] = sampled(answers({ status: [report(1), report(2, { applied: 93 }), report(3)] }))
    assert.deepEqual(sample?.nodes.map(({ lag }) => lag), [0, 7, 0])
  })

  it("believes the leader of the latest term", () => {
    const [sample] = sampled(
      answers({ status: [report(1), report(2, { role: "leader", term: 3, leader: 2 }), report(3)] })
    )
    assert.strictEqual(sample?.leader, 2)
    assert.strictEqual(sample?.term, 3)
  })

  it("does not say that the cluster goes on when too few nodes answer", () => {
    const ofNode3 = (status: Answers["status"]) =>
      warned({ status }).find(({ id }) => id === `unreachable ${endpointOf(3)}`)?.next ?? ""
    assert.include(ofNode3([report(1), report(2), unreachable(3)]), "The cluster goes on without it")
    assert.include(ofNode3([report(1), unreachable(2), unreachable(3)]), "The cluster has stopped")
  })

  it("keeps since when a node does not answer, and its number, until it answers again", () => {
    const lost = { status: [report(1), report(2), unreachable(3)], figures: [figures(1), figures(2)] }
    const samples = sampled(
      answers(),
      answers({ ...lost, atMs: 2_000 }),
      answers({ ...lost, atMs: 9_000 }),
      answers({ atMs: 10_000 })
    )
    const third = samples.map(({ nodes }) => nodes[2])
    assert.deepEqual(third.map((node) => node?.unreachableSinceMs), [null, 2_000, 2_000, null])
    assert.deepEqual(third.map((node) => node?.nodeId), [3, 3, 3, 3])
    assert.strictEqual(third[1]?.role, null)
  })

  it("has each term once, as the first node saw its leader, and keeps what a node that is gone saw", () => {
    const change = (atMs: number, term: number, leader: number | null): NodeVitals["roleChanges"][number] => ({
      atMs,
      term,
      leader,
      role: "follower"
    })
    const [, last] = sampled(
      answers({ figures: [figures(1, { roleChanges: [change(10, 1, 1), change(50, 2, null)] })] }),
      answers({ figures: [figures(2, { roleChanges: [change(12, 1, 1), change(60, 2, 3)] })] })
    )
    assert.deepEqual(last?.leaderChanges, [{ term: 1, leader: 1, atMs: 10 }, { term: 2, leader: 3, atMs: 60 }])
  })

  it("tells no difference of clocks that is shorter than the question took", () => {
    const clockOf = (nowMs: number) => sampled(answers({ atMs: 1_000, tookMs: 40, figures: [figures(1, { nowMs })] }))
    assert.strictEqual(clockOf(1_000)[0]?.nodes[0]?.clockAheadMs, 0)
    assert.strictEqual(clockOf(3_980)[0]?.nodes[0]?.clockAheadMs, 3_000)
    assert.strictEqual(clockOf(480)[0]?.nodes[0]?.clockAheadMs, -500)
  })
})

describe("the time of what happened between two answers", () => {
  it("is of that alone, and lies within the bucket", () => {
    const found = latencyBetween(durations({ 10: 1_000 }), durations({ 10: 1_000, 0.005: 99, 0.1: 1 }))
    assert.strictEqual(found?.count, 100)
    assert.isAbove(found?.p50Ms ?? 0, 2.5)
    assert.isAtMost(found?.p50Ms ?? 0, 5)
    assert.isAtMost(found?.p99Ms ?? 0, 5)
    assert.isAbove(latencyBetween(durations({}), durations({ 0.005: 90, 0.1: 10 }))?.p99Ms ?? 0, 50)
  })

  it("is not known when nothing happened, nor when the process began again", () => {
    assert.strictEqual(latencyBetween(durations({ 1: 5 }), durations({ 1: 5 })), null)
    assert.strictEqual(latencyBetween(durations({ 1: 5 }), durations({ 1: 2 })), null)
    assert.strictEqual(latencyBetween(undefined, durations({ 1: 5 })), null)
  })
})

describe("the warnings", () => {
  it("are none for a cluster that works", () => assert.deepEqual(warned({}), []))

  const nodeFigures = (given: Partial<NodeVitals>) => ({ figures: [figures(1), figures(2, given), figures(3)] })
  const second = (given: Parameters<typeof report>[1]) => ({ status: [report(1), report(2, given), report(3)] })

  it.each(
    [
      ["a node that is gone", { status: [report(1), report(2), unreachable(3)] }, [`unreachable ${endpointOf(3)}`]],
      [
        "a majority that is gone",
        { status: [report(1), unreachable(2), unreachable(3)] },
        ["no-majority", `unreachable ${endpointOf(2)}`, `unreachable ${endpointOf(3)}`]
      ],
      ["no leader", { status: [1, 2, 3].map((id) => report(id, { role: "follower", leader: null })) }, ["no-leader"]],
      ["two versions", second({ version: "1.1.0" }), ["versions"]],
      ["a node that lags", second({ applied: 99 - healthThresholds.lagEntries }), [`lag ${endpointOf(2)}`]],
      ["one that hardly does", second({ applied: 100 - healthThresholds.lagEntries }), []],
      ["one that learns", second({ membership: "learner" }), [`membership ${endpointOf(2)}`]],
      ["one that is sent the state", second({ receiving: { peer: 1, bytes: 5, estimatedBytes: 10 } }), [
        `snapshot ${endpointOf(2)}`
      ]],
      ["one that waits", second({ waiting: "for a leader" }), [`waiting ${endpointOf(2)}`]],
      ["a full disk", nodeFigures({ diskFreeBytes: 149 * 1024 ** 3 }), [`disk ${endpointOf(2)}`]],
      ["a full heap", nodeFigures({ heapBytes: 900 }), [`heap ${endpointOf(2)}`]],
      ["a full table", nodeFigures({ fullTables: [{ table: "watches", entries: 80, limit: 100 }] }), [
        `table watches ${endpointOf(2)}`
      ]],
      ["a clock that is off", nodeFigures({ nowMs: 2_000 }), [`clock ${endpointOf(2)}`]]
    ] as const
  )("tell of %s, and what to do", (_, given, ids) => {
    const found = warned(given)
    assert.deepEqual(found.map(({ id }) => id), [...ids])
    for (const { next, what } of found) {
      assert.match(what, /\.$/)
      assert.match(next, /\.$/)
    }
  })

  it("have the critical ones first", () => {
    const found = warned({ ...nodeFigures({ heapBytes: 900 }), status: [report(1), report(2), unreachable(3)] })
    assert.deepEqual(found.map(({ level }) => level), ["critical", "warning"])
  })

  it("tell of slow disks once they stay slow, all in one", () => {
    const slow = (count: number) => {
      const syncs = durations({ [healthThresholds.slowSyncMs * 2 / 1_000]: 0, 0.25: count })
      return answers({
        atMs: 1_000 + count,
        figures: [figures(1, { syncs, nowMs: 1_000 + count }), figures(2, { syncs, nowMs: 1_000 + count })]
      })
    }
    const samples = sampled(...Array.from({ length: 5 }, (_, at) => slow(10 * at)))
    assert.deepEqual(samples.map(({ warnings }) => warnings.map(({ id }) => id)), [[], [], [], ["sync"], ["sync"]])
    assert.include(samples[4]?.warnings[0]?.what, "node 1, 2")
  })
})
