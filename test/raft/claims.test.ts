/**
 * What a peer claims moves a node only as far as elections and logs can explain, and what no node that follows Raft can
 * say stops nobody: it changes nothing, and its sender is named.
 */
import { assert, describe, it } from "@effect/vitest"
import { decodeMessages, encodeMessages } from "../../src/protocol/MessageBatch.ts"
import type { Message } from "../../src/raft/Message.ts"
import type { Output } from "../../src/raft/Output.ts"
import type { Raft } from "../../src/raft/Raft.ts"
import { make, snapshotProblem, status, step } from "../../src/raft/Raft.ts"
import type { LogPoint } from "../../src/raft/Types.ts"
import { LogIndex, NodeId, Term } from "../../src/raft/Types.ts"
import { Random } from "../simulation/Random.ts"
import { Cluster, configOf, diskOf, entry, lostDisk, recover } from "./Cluster.ts"

/** What a node that has just started believes of one peer, and the last term, as `docs/divergence.md` has them. */
const jump = 2 ** 20
const last = 2 ** 48 - jump

const point = (index: number, term: number): LogPoint => ({ index: LogIndex(index), term: Term(term) })
const to = (receiver: number, from: number, term: number) => ({
  from: NodeId(from),
  to: NodeId(receiver),
  term: Term(term)
})
const receive = (raft: Raft, message: Message): ReadonlyArray<Output> => step(raft, { _tag: "Receive", message })
const heartbeatAnswer = (receiver: number, from: number, term: number): Message => ({
  _tag: "HeartbeatResponse",
  ...to(receiver, from, term),
  readRound: 0,
  voter: true
})
const accuses = (outputs: ReadonlyArray<Output>, peer: number): void =>
  assert.deepEqual(outputs.map((output): unknown => [output._tag, "peer" in output ? output.peer : undefined]), [
    ["PeerViolation", peer]
  ])

/** Node 1 leads term 2 over two committed entries of term 1, and its own. */
const leader = (): Raft => {
  const cluster = new Cluster({ disks: [diskOf([1, 1]), diskOf([1, 1]), diskOf([1, 1])] })
  cluster.elect(1)
  return cluster.members.get(1)?.raft as Raft
}

/** Node 2 follows node 1 in term 2, with two entries of term 1 that are committed, and one that is not. */
const follower = (): Raft => {
  const raft = make(configOf(2), recover(diskOf([1, 1, 2], 2, 2)))
  receive(raft, { _tag: "Heartbeat", ...to(2, 1, 2), match: point(2, 1), commit: LogIndex(2), readRound: 0 })
  return raft
}

describe("a claim that cannot be changes nothing, and names its sender", () => {
  const append = { prev: point(3, 2), entries: [], commit: LogIndex(0) }
  const cases: ReadonlyArray<readonly [claim: string, raft: () => Raft, message: Message]> = [
    ["a term near the last, to a leader", leader, heartbeatAnswer(1, 3, 2 ** 48)],
    ["a term near the last, to a follower", follower, heartbeatAnswer(2, 3, last + 1)],
    ["a term that no elections explain", follower, heartbeatAnswer(2, 3, 3 + jump)],
    ["a heartbeat in such a term", follower, {
      _tag: "Heartbeat",
      ...to(2, 3, 2 ** 40),
      match: point(0, 0),
      commit: LogIndex(0),
      readRound: 0
    }],
    ["a campaign for such a term", follower, {
      _tag: "VoteRequest",
      ...to(2, 3, 2 ** 40),
      last: point(9, 2),
      transfer: true
    }],
    ["a pre-vote for such a term", follower, { _tag: "PreVoteRequest", ...to(2, 3, 2 ** 40), last: point(9, 2) }],
    ["a log that ends after its own campaign", follower, {
      _tag: "VoteRequest",
      ...to(2, 3, 3),
      last: point(9, 4),
      transfer: true
    }],
    ["a second leader, to a follower", follower, { _tag: "AppendRequest", ...to(2, 3, 2), ...append }],
    ["a second leader, to the leader", leader, {
      _tag: "Heartbeat",
      ...to(1, 3, 2),
      match: point(0, 0),
      commit: LogIndex(0),
      readRound: 0
    }],
    ["another entry where one is committed", follower, {
      _tag: "AppendRequest",
      ...to(2, 1, 2),
      prev: point(1, 1),
      entries: [entry(2, 2, "other")],
      commit: LogIndex(2)
    }],
    ["the same from the leader of a later term", follower, {
      _tag: "AppendRequest",
      ...to(2, 3, 7),
      prev: point(2, 2),
      entries: [],
      commit: LogIndex(0)
    }],
    ["entries with a gap", follower, {
      _tag: "AppendRequest",
      ...to(2, 1, 2),
      ...append,
      entries: [entry(4, 2), entry(6, 2)]
    }],
    ["an entry of a later term than its leader's", follower, {
      _tag: "AppendRequest",
      ...to(2, 1, 2),
      ...append,
      entries: [entry(4, 3)]
    }],
    ["an acknowledgement at the end of all numbers", follower, {
      _tag: "Heartbeat",
      ...to(2, 1, 2),
      match: point(2 ** 53 - 1, 2),
      commit: LogIndex(0),
      readRound: 0
    }],
    ["a read that waits for an entry nobody can write", follower, {
      _tag: "ReadIndexResponse",
      ...to(2, 1, 2),
      readId: 1,
      index: LogIndex(2 ** 50)
    }],
    ["such an entry to learn through", follower, {
      _tag: "JoinResponse",
      ...to(2, 1, 2),
      joinId: 1,
      fresh: false,
      learnThrough: LogIndex(2 ** 50)
    }]
  ]
  for (const [claim, make, message] of cases) {
    it(claim, () => {
      const raft = make()
      const before = status(raft)
      const elapsed = raft.electionElapsed
      accuses(receive(raft, message), message.from)
      assert.deepEqual(status(raft), before)
      assert.strictEqual(raft.electionElapsed, elapsed, "it counts as a word of the leader")
    })
  }

  it("a snapshot that a peer asks to send in such a term, after such an entry, or of a second leader", () => {
    const raft = follower()
    const request = { from: NodeId(1), term: Term(2), point: point(9, 2) }
    assert.isUndefined(snapshotProblem(raft, request))
    for (
      const wrong of [
        { term: Term(2 ** 40) },
        { term: Term(last + 1) },
        { from: NodeId(3) },
        { point: point(9, 3) },
        { point: point(2 ** 53 - 1, 2) }
      ]
    ) assert.isString(snapshotProblem(raft, { ...request, ...wrong }))
  })
})

/** A stranger in the leader's name is answered to the leader: nobody may lose a connection for that. */
describe("an answer to what a leader never asked is dropped, and accuses nobody", () => {
  const cases: ReadonlyArray<readonly [answer: string, message: Message]> = [
    ["an entry that the leader never had", {
      _tag: "AppendAccepted",
      ...to(1, 3, 2),
      match: LogIndex(4),
      voter: true
    }],
    ["a refusal of an entry that the leader never had", {
      _tag: "AppendRejected",
      ...to(1, 3, 2),
      rejected: LogIndex(2 ** 53 - 1),
      hint: point(0, 0),
      lastIndex: LogIndex(0),
      voter: true
    }],
    ["agreement after what was refused", {
      _tag: "AppendRejected",
      ...to(1, 3, 2),
      rejected: LogIndex(2),
      hint: point(3, 1),
      lastIndex: LogIndex(3),
      voter: true
    }],
    ["an answer to a round that was never asked", {
      _tag: "HeartbeatResponse",
      ...to(1, 3, 2),
      readRound: 9,
      voter: true
    }]
  ]
  for (const [answer, message] of cases) {
    it(answer, () => {
      const raft = leader()
      step(raft, { _tag: "ReadIndex", readId: 1 })
      const before = { ...status(raft), progress: structuredClone(raft.leadership?.progress) }
      const outputs = receive(raft, message)
      assert.deepEqual(outputs.map(({ _tag }) => _tag), ["Trace"], "the read is served, or somebody is accused")
      assert.deepEqual({ ...status(raft), progress: structuredClone(raft.leadership?.progress) }, before)
    })
  }

  it("a granted pre-vote for a term that nobody here asked for", () => {
    const raft = follower()
    assert.deepEqual(receive(raft, { _tag: "PreVoteResponse", ...to(2, 3, 2 ** 40), granted: true }), [])
    assert.strictEqual(raft.term, 2)
  })
})

describe("terms", () => {
  const quiet = (raft: Raft, ticks: number): void => {
    for (let tick = 0; tick < ticks; tick++) step(raft, { _tag: "Tick" })
  }

  it("one peer moves a node by the allowance and one term a tick, however often it tries", () => {
    const raft = follower()
    receive(raft, heartbeatAnswer(2, 3, 2 + jump))
    assert.strictEqual(raft.term, 2 + jump)
    for (let i = 0; i < 1_000; i++) receive(raft, heartbeatAnswer(2, 3, raft.term + 1 + i % 30))
    assert.strictEqual(raft.term, 2 + jump)
    quiet(raft, 5)
    receive(raft, heartbeatAnswer(2, 3, raft.term + 5))
    assert.strictEqual(raft.term, 2 + jump + 5)
    for (let i = 0; i < 500; i++) {
      quiet(raft, 1)
      for (let jump = 1; jump < 2 ** 47; jump *= 2) receive(raft, heartbeatAnswer(2, 3, raft.term + jump))
    }
    assert.isAtMost(raft.term, 2 + jump + 505 + 500)
  })

  for (
    const [who, disk] of [["a node that was away", diskOf([1])], ["a node with an empty disk", lostDisk()]] as const
  ) {
    it(`${who} for more elections than that believes both peers together, and no single one`, () => {
      const term = 1_000_000_000
      const raft = make(configOf(2), recover(disk))
      for (let tick = 0; tick < 100_000 / 20; tick++) {
        receive(raft, heartbeatAnswer(2, 3, term))
        quiet(raft, 1)
      }
      assert.isBelow(raft.term, 2 ** 20, "it believed one peer")
      let ticks = 0
      for (; raft.term < term && ticks < 100_000; ticks++) {
        receive(raft, heartbeatAnswer(2, 3, term + 1))
        receive(raft, heartbeatAnswer(2, 1, term))
        quiet(raft, 1)
      }
      assert.strictEqual(raft.term, term, "the lower of the two")
      assert.isAtLeast(ticks, 50_000, "the pace has a bound")
    })
  }

  it("a peer that is in an earlier term after all has claimed nothing", () => {
    const raft = make(configOf(2), recover(diskOf([1], 5)))
    for (let tick = 0; tick < 2_000; tick++) {
      for (const from of [1, 3]) receive(raft, heartbeatAnswer(2, from, 2 ** 40))
      receive(raft, heartbeatAnswer(2, 1, 5))
      quiet(raft, 1)
    }
    assert.strictEqual(raft.claims.allowance, jump)
  })

  it("no claims of all peers together reach a term from which nobody can campaign", () => {
    const raft = make(configOf(2), recover(diskOf([1], last - 1)))
    for (let tick = 0; tick < 200; tick++) {
      for (const from of [1, 3]) {
        for (const term of [last + 1, 2 ** 48]) receive(raft, heartbeatAnswer(2, from, term))
      }
      step(raft, { _tag: "Tick" })
    }
    assert.isAtMost(raft.term, last)
  })

  it("a disk with a term after which no election can follow is refused, with what to do", () => {
    assert.throws(() => make(configOf(2), recover(diskOf([1], last + 1))), /Restore a backup/)
  })

  it("a cluster that meets such claims elects, writes and agrees", () => {
    const cluster = new Cluster()
    cluster.elect(1)
    for (const id of [1, 2, 3]) {
      const from = id === 3 ? 2 : 3
      for (const term of [2 ** 30, 2 ** 47, 2 ** 48]) {
        cluster.step(id, { _tag: "Receive", message: heartbeatAnswer(id, from, term) })
      }
    }
    cluster.propose(1, "x")
    cluster.settle()
    assert.deepEqual([1, 2, 3].map((id) => cluster.status(id).term), [1, 1, 1])
    assert.deepEqual(cluster.commands(1), ["x"])
  })
})

it("no message of a peer throws, whatever bits of it have flipped", () => {
  const random = new Random(11)
  const envelope = (receiver: number) => to(receiver, random.pick([1, 2, 3]), random.below(5))
  const points = () => point(random.below(6), random.below(4))
  const index = () => LogIndex(random.below(6))
  const messages: ReadonlyArray<(receiver: number) => Message> = [
    (id) => ({ _tag: "PreVoteRequest", ...envelope(id), last: points() }),
    (id) => ({ _tag: "PreVoteResponse", ...envelope(id), granted: random.chance(0.5) }),
    (id) => ({ _tag: "VoteRequest", ...envelope(id), last: points(), transfer: random.chance(0.5) }),
    (id) => ({ _tag: "VoteResponse", ...envelope(id), granted: random.chance(0.5) }),
    (id) => {
      const prev = points()
      const entries = Array.from({ length: random.below(4) }, (_, i) => entry(prev.index + 1 + i, random.below(4)))
      return { _tag: "AppendRequest", ...envelope(id), prev, entries, commit: index() }
    },
    (id) => ({ _tag: "AppendAccepted", ...envelope(id), match: index(), voter: true }),
    (id) => ({
      _tag: "AppendRejected",
      ...envelope(id),
      rejected: index(),
      hint: points(),
      lastIndex: index(),
      voter: random.chance(0.9)
    }),
    (id) => ({ _tag: "Heartbeat", ...envelope(id), match: points(), commit: index(), readRound: random.below(3) }),
    (id) => ({ _tag: "HeartbeatResponse", ...envelope(id), readRound: random.below(3), voter: true }),
    (id) => ({ _tag: "ReadIndexRequest", ...envelope(id), readId: random.below(9) }),
    (id) => ({ _tag: "ReadIndexResponse", ...envelope(id), readId: random.below(9), index: index() }),
    (id) => ({ _tag: "JoinRequest", ...envelope(id), joinId: random.below(9) }),
    (id) => ({ _tag: "JoinResponse", ...envelope(id), joinId: 1, fresh: false, learnThrough: index() }),
    (id) => ({ _tag: "TimeoutNow", ...envelope(id) })
  ]
  for (let life = 0; life < 1_500; life++) {
    const raft = random.chance(0.3) ? leader() : follower()
    const { id } = raft.config
    let ticks = 0
    const { term } = raft
    for (let said = 0; said < 12; said++) {
      const batch = encodeMessages([random.pick(messages)(id)])
      // Mostly in the numbers of the message, where the connection cannot tell.
      const at = random.below(Math.min(batch.byteLength, 70))
      if (random.chance(0.7)) batch[at] = (batch[at] ?? 0) ^ 1 << random.below(8)
      const decoded = decodeMessages(batch)
      if (!Array.isArray(decoded)) continue
      for (const message of decoded as ReadonlyArray<Message>) receive(raft, message)
      step(raft, { _tag: "Tick" })
      ticks += 1
      assert.isAtMost(raft.term, term + jump + 2 * ticks)
    }
  }
})
