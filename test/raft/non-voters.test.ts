/**
 * A node whose disk was lost, or went back, has forgotten what it promised: whatever it says before it is a voter again
 * must not count. `docs/divergence.md` has the argument for the rules.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Message } from "../../src/raft/Message.ts"
import { make, step } from "../../src/raft/Raft.ts"
import { LogIndex, NodeId, origin, Term } from "../../src/raft/Types.ts"
import { Cluster, configOf, diskOf, entry, lostDisk, messagesIn, only, promisedIn, recover } from "./Cluster.ts"

/** Node 1 leads term 1 with an entry nobody got, node 2 term 2 with an entry that node 3 has; then node 3's disk is lost. */
const lostWhileAnOlderLeaderSleeps = (): Cluster => {
  const cluster = new Cluster()
  cluster.elect(1)
  cluster.propose(1, "lost")
  cluster.isolate(1)
  cluster.elect(2)
  cluster.propose(2, "kept")
  cluster.settle()
  assert.strictEqual(cluster.status(2).commit, 3)
  cluster.replaceDisk(3)
  return cluster
}

/** Node 1 leads, node 2 is away and node 3 has just lost its disk. */
const leaderAndLearner = (): Cluster => {
  const cluster = new Cluster()
  cluster.elect(1)
  cluster.propose(1, "a")
  cluster.run(2)
  cluster.isolate(2)
  cluster.replaceDisk(3)
  return cluster
}

const heartbeat = (term: number, match: readonly [index: number, term: number], commit: number): Message => ({
  _tag: "Heartbeat",
  from: NodeId(1),
  to: NodeId(3),
  term: Term(term),
  match: { index: LogIndex(match[0]), term: Term(match[1]) },
  commit: LogIndex(commit),
  readRound: 0
})

const served = (cluster: Cluster, id: number): Array<number> =>
  only(cluster.member(id).outputs, "ReadReady").flatMap(({ readIds }) => readIds)

describe("what a non-voter says", () => {
  for (const newLeader of ["cut off", "down"] as const) {
    it(`commits nothing of an older leader while the new one is ${newLeader}`, () => {
      const cluster = lostWhileAnOlderLeaderSleeps()
      cluster.heal()
      cluster.isolate(2)
      cluster.run(15)
      assert.deepEqual(cluster.terms(3), [1, 1], "it holds the older leader's entry")
      assert.deepEqual([1, 3].map((id) => cluster.status(id).commit), [1, 1])
      if (newLeader === "down") cluster.restart(2)
      cluster.heal()
      cluster.run(60)
      for (const id of [1, 2, 3]) assert.deepEqual(cluster.commands(id), ["kept"])
      assert.strictEqual(cluster.status(3).membership, "voter")
    })
  }

  it("commits nothing", () => {
    const cluster = leaderAndLearner()
    cluster.propose(1, "b")
    cluster.run(5)
    assert.strictEqual(cluster.status(3).membership, "learner")
    assert.deepEqual(cluster.terms(3), [1, 1, 1])
    assert.strictEqual(cluster.status(1).commit, 2)
  })

  it("serves no read", () => {
    const cluster = leaderAndLearner()
    cluster.step(1, { _tag: "ReadIndex", readId: 7 })
    cluster.run(5)
    assert.deepEqual(served(cluster, 1), [])
    cluster.heal()
    cluster.run(2)
    assert.deepEqual(served(cluster, 1), [7])
  })

  it("keeps no leader in power", () => {
    const cluster = leaderAndLearner()
    cluster.run(25)
    assert.strictEqual(cluster.status(1).role, "follower")
  })

  it("makes it no target of a transfer", () => {
    const cluster = leaderAndLearner()
    cluster.run(5)
    cluster.step(1, { _tag: "TransferLeader", target: NodeId(3) })
    cluster.step(1, { _tag: "TransferLeader", target: undefined })
    cluster.settle()
    const { leadership } = cluster.member(1).raft
    assert.notStrictEqual(leadership?.transfer?.target, NodeId(3))
    assert.isFalse(
      cluster.member(1).outputs.some((output) =>
        messagesIn([output]).some(({ to, _tag }) => _tag === "TimeoutNow" && to === 3)
      )
    )
  })

  it("does not let it finish while no other voter stands behind its leader", () => {
    const cluster = leaderAndLearner()
    cluster.run(8)
    assert.strictEqual(cluster.status(3).membership, "learner")
    cluster.heal()
    cluster.run(4)
    assert.strictEqual(cluster.status(3).membership, "voter")
  })
})

describe("a learner", () => {
  const learner = () => {
    const raft = make(
      configOf(3),
      recover({ ...lostDisk(), hardState: { ...lostDisk().hardState, membership: "learner" } })
    )
    step(raft, { _tag: "Receive", message: heartbeat(1, [0, 0], 0) })
    step(raft, { _tag: "Persisted", persistId: raft.persistId })
    return raft
  }

  const append = (entries: ReadonlyArray<number>, commit: number): Message => ({
    _tag: "AppendRequest",
    from: NodeId(1),
    to: NodeId(3),
    term: Term(1),
    prev: origin,
    entries: entries.map((term, at) => entry(at + 1, term, "x")),
    commit: LogIndex(commit)
  })

  const told = (joinId: number): Message => ({
    _tag: "JoinResponse",
    from: NodeId(1),
    to: NodeId(3),
    term: Term(1),
    joinId,
    fresh: false,
    learnThrough: LogIndex(2)
  })

  it("is no voter before what it learned is durable, and its first word as one says how far that is", () => {
    const raft = learner()
    step(raft, { _tag: "Receive", message: told(raft.join.id) })
    const taken = step(raft, { _tag: "Receive", message: append([1, 1], 2) })
    assert.deepInclude(promisedIn(taken)[0], { _tag: "AppendAccepted", match: LogIndex(2), voter: false })
    assert.strictEqual(raft.membership, "learner")
    const done = step(raft, { _tag: "Persisted", persistId: raft.persistId })
    assert.strictEqual(raft.membership, "voter")
    assert.deepInclude(promisedIn(done)[0], { _tag: "AppendAccepted", match: LogIndex(2), voter: true })
  })

  it("has voted for the leader that it learned from", () => {
    const raft = learner()
    step(raft, { _tag: "Receive", message: told(raft.join.id) })
    step(raft, { _tag: "Receive", message: append([1, 1], 2) })
    const done = step(raft, { _tag: "Persisted", persistId: raft.persistId })
    assert.strictEqual(raft.votedFor, NodeId(1))
    assert.strictEqual(only(done, "Persist")[0]?.hardState?.votedFor, NodeId(1))
  })

  it("asks again when the leader holds an acknowledgement from before the loss, and is sent everything", () => {
    const cluster = leaderAndLearner()
    cluster.heal()
    cluster.tick(3)
    cluster.settle()
    const late = { _tag: "AppendAccepted", from: NodeId(3), to: NodeId(1), term: Term(1), voter: true } as const
    cluster.step(1, { _tag: "Receive", message: { ...late, match: LogIndex(2) } })
    cluster.member(3).disk = lostDisk()
    cluster.restart(3)
    cluster.step(1, { _tag: "Receive", message: { ...late, match: LogIndex(2) } })
    cluster.run(8)
    assert.strictEqual(cluster.status(3).membership, "voter")
    assert.deepEqual(cluster.commands(3), ["a"])
  })
})

describe("a heartbeat", () => {
  it("commits nothing of a log that an older leader filled", () => {
    const raft = make(configOf(3), recover(diskOf([1, 1, 1], 1)))
    step(raft, { _tag: "Receive", message: heartbeat(2, [0, 0], 0) })
    step(raft, { _tag: "Persisted", persistId: raft.persistId })
    step(raft, { _tag: "Receive", message: heartbeat(2, [2, 2], 3) })
    assert.strictEqual(raft.commit, 0)
  })

  it("commits what the leader knows to match", () => {
    const raft = make(configOf(3), recover(diskOf([1, 1, 2], 2)))
    step(raft, { _tag: "Receive", message: heartbeat(2, [2, 1], 2) })
    assert.strictEqual(raft.commit, 2)
    step(raft, { _tag: "Receive", message: heartbeat(2, [3, 2], 9) })
    assert.strictEqual(raft.commit, 3)
  })
})

describe("a data directory that was put back", () => {
  const putBack = (): Cluster => {
    const cluster = new Cluster()
    cluster.elect(1)
    cluster.propose(1, "a")
    cluster.run(2)
    const old = cluster.copyDisk(3)
    cluster.propose(1, "b")
    cluster.run(2)
    cluster.replaceDisk(3, old)
    return cluster
  }

  it("makes its node a non-voter until it has caught up, and the node says what was seen", () => {
    const cluster = putBack()
    cluster.isolate(2)
    cluster.propose(1, "c")
    cluster.run(5)
    assert.strictEqual(cluster.status(3).membership, "learner")
    assert.strictEqual(cluster.member(3).disk.hardState.membership, "learner")
    assert.strictEqual(cluster.status(1).commit, 3)
    const seen = only(cluster.member(3).outputs, "DirectoryRolledBack")
    assert.lengthOf(seen, 1)
    assert.deepInclude(seen[0], {
      leader: NodeId(1),
      acknowledged: { index: LogIndex(3), term: Term(1) },
      last: { index: LogIndex(2), term: Term(1) }
    })
    cluster.heal()
    cluster.run(10)
    assert.strictEqual(cluster.status(3).membership, "voter")
    assert.deepEqual(cluster.commands(3), ["a", "b", "c"])
  })

  it("is not confused with a restart, a snapshot or a log that was compacted", () => {
    const cluster = new Cluster()
    cluster.elect(1)
    cluster.propose(1, "a", "b", "c")
    cluster.run(2)
    cluster.compact(3, 3)
    cluster.restart(3)
    cluster.run(3)
    cluster.isolate(2)
    cluster.propose(1, "d")
    cluster.run(2)
    cluster.compact(1, 5)
    cluster.heal()
    cluster.installSnapshot(1, 2)
    cluster.run(5)
    for (const id of [1, 2, 3]) {
      assert.deepEqual(only(cluster.member(id).outputs, "DirectoryRolledBack"), [])
      assert.strictEqual(cluster.status(id).membership, "voter")
    }
  })
})
