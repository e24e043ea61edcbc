/** Elections do not outrun the disk, and a leader with a slow one does not keep the others waiting. */
import { assert, describe, it } from "@effect/vitest"
import type { Message } from "../../src/raft/Message.ts"
import { NodeId, Term } from "../../src/raft/Types.ts"
import type { ClusterOptions } from "./Cluster.ts"
import { Cluster, messagesIn, only } from "./Cluster.ts"

/** How long the write of each node has taken, in ticks. */
const waits = new WeakMap<Cluster, Map<number, number>>()

/** Runs `ticks` while every write takes `syncTicks`, whoever makes it. */
const runOnSlowDisks = (cluster: Cluster, ids: ReadonlyArray<number>, syncTicks: number, ticks: number): void => {
  const waited = waits.get(cluster) ?? new Map<number, number>()
  waits.set(cluster, waited)
  for (const id of ids) cluster.slowDisks.add(id)
  for (let at = 0; at < ticks; at++) {
    for (const id of cluster.members.keys()) cluster.tick(id)
    for (const id of ids) {
      const since = cluster.member(id).writes.length === 0 ? 0 : (waited.get(id) ?? 0) + 1
      waited.set(id, since >= syncTicks ? 0 : since)
      if (since >= syncTicks) cluster.sync(id)
    }
    cluster.settle()
  }
}

const leaders = (cluster: Cluster): Array<number> =>
  [...cluster.members.keys()].filter((id) => cluster.status(id).role === "leader")

describe("an election", () => {
  for (const syncTicks of [1, 2, 15, 100]) {
    it(`of a cluster of one ends in its first term with a disk of ${syncTicks} ticks a sync`, () => {
      const cluster = new Cluster({ size: 1 })
      runOnSlowDisks(cluster, [1], syncTicks, 4 * syncTicks + 10)
      assert.deepInclude(cluster.status(1), { role: "leader", term: Term(1) })
    })
  }

  const slow: ReadonlyArray<readonly [string, ReadonlyArray<number>]> = [
    ["one disk", [1]],
    ["two disks", [2, 3]],
    ["every disk", [1, 2, 3]]
  ]
  for (const [which, ids] of slow) {
    for (const syncTicks of [5, 15, 25, 40]) {
      // A timeout is 10 to 19 ticks: a vote takes up to four times as long to become durable.
      it(`of three ends within a few terms when ${which} of theirs takes ${syncTicks} ticks a sync`, () => {
        const options: ClusterOptions = { config: { maxPersistTicks: 200 } }
        const cluster = new Cluster(options)
        runOnSlowDisks(cluster, ids, syncTicks, 40 + 12 * syncTicks)
        assert.lengthOf(leaders(cluster), 1)
        const leader = leaders(cluster)[0] ?? 0
        assert.isAtMost(cluster.status(leader).term, 4)
        cluster.propose(leader, "a")
        runOnSlowDisks(cluster, ids, syncTicks, 6 * syncTicks + 10)
        assert.isTrue([1, 2, 3].some((id) => cluster.commands(id).includes("a")))
      })
    }
  }
})

describe("a leader with a slow disk", () => {
  const behindItsFollowers = (): Cluster => {
    const cluster = new Cluster({ config: { heartbeatTicks: 2 } })
    cluster.elect(1)
    cluster.slowDisks.add(1)
    return cluster
  }

  it("hands over after an election timeout of lag, also when nobody writes in between", () => {
    const cluster = behindItsFollowers()
    let writes = 0
    for (; writes < 20 && cluster.status(1).role === "leader"; writes++) {
      cluster.propose(1, `${writes}`)
      cluster.run(6)
      cluster.sync(1)
      cluster.run(6)
    }
    assert.strictEqual(cluster.status(1).role, "follower")
    assert.isAtMost(writes, 4)
    assert.lengthOf(leaders(cluster), 1)
  })

  it("stays when a follower is no faster", () => {
    const cluster = behindItsFollowers()
    cluster.slowDisks.add(2)
    for (let at = 0; at < 10; at++) {
      cluster.propose(1, `${at}`)
      cluster.run(6)
      cluster.sync(2)
      cluster.sync(1)
    }
    assert.strictEqual(cluster.status(1).role, "leader")
  })

  // Each disk ends its writes at a time of its own, so the leader's is often the last of three.
  it("stays when every disk is as slow as its own", () => {
    const cluster = new Cluster({ config: { heartbeatTicks: 5, electionTicksMin: 50, electionTicksMax: 100 } })
    cluster.elect(1)
    for (let at = 0; at < 300; at++) {
      cluster.propose(1, `${at}`)
      runOnSlowDisks(cluster, [1, 2, 3], 7, 1 + at % 3)
    }
    assert.deepInclude(cluster.status(1), { role: "leader", term: Term(1) })
  })

  it("stays when its disk is slow now and then", () => {
    const cluster = behindItsFollowers()
    for (let at = 0; at < 20; at++) {
      cluster.propose(1, `${at}`)
      cluster.run(at % 10 === 0 ? 6 : 1)
      cluster.sync(1)
    }
    assert.strictEqual(cluster.status(1).role, "leader")
  })
})

describe("a transfer to a node that does not answer", () => {
  const asked = (every: number, ticks: number): { readonly refused: number } => {
    const cluster = new Cluster()
    cluster.elect(1)
    cluster.run(2)
    cluster.isolate(3)
    let refused = 0
    for (let at = 0; at < ticks; at++) {
      if (at % every === 0) cluster.step(1, { _tag: "TransferLeader", target: NodeId(3) })
      const outputs = cluster.propose(1, `${at}`)
      if (only(outputs, "Refused").length > 0) refused += 1
      cluster.run(1)
    }
    return { refused }
  }

  it("refuses writes for one election timeout, however often it is asked for", () => {
    const once = asked(1_000, 100).refused
    assert.isAtLeast(once, 8)
    assert.isAtMost(asked(1, 100).refused, once + 1)
    assert.isAtMost(asked(7, 100).refused, once + 1)
  })

  it("does not start over for another target", () => {
    const cluster = new Cluster()
    cluster.elect(1)
    cluster.run(2)
    cluster.isolate(3)
    cluster.propose(1, "a")
    cluster.step(1, { _tag: "TransferLeader", target: NodeId(3) })
    cluster.tick(1, 6)
    const before = cluster.member(1).raft.leadership?.transfer?.elapsed
    cluster.step(1, { _tag: "TransferLeader", target: NodeId(2) })
    assert.strictEqual(cluster.member(1).raft.leadership?.transfer?.elapsed, before)
    cluster.settle()
    cluster.run(2)
    assert.strictEqual(cluster.status(2).role, "leader")
  })

  it("is followed by a pause when it failed", () => {
    const cluster = new Cluster()
    cluster.elect(1)
    cluster.run(2)
    cluster.propose(1, "a")
    cluster.drop(({ to }) => to === 3)
    cluster.step(1, { _tag: "TransferLeader", target: NodeId(3) })
    // It answers heartbeats, and never has the whole log.
    const settle = (): void => {
      const lost = ({ _tag, to }: Message): boolean => to === 3 && _tag === "AppendRequest"
      for (cluster.drop(lost); cluster.inFlight.length > 0; cluster.drop(lost)) cluster.deliver()
    }
    let refused = 0
    for (let at = 0; at < 40; at++) {
      cluster.tick(1)
      settle()
      cluster.step(1, { _tag: "TransferLeader", target: NodeId(3) })
      if (only(cluster.propose(1, `${at}`), "Refused").length > 0) refused += 1
      settle()
    }
    assert.isAtLeast(refused, 10)
    assert.isAtMost(refused, 22)
    assert.isFalse(messagesIn(cluster.member(1).outputs).some(({ _tag }) => _tag === "TimeoutNow"))
  })
})
