/** What the Raft paper claims in §5.1 to §5.4, one test each. ("In Search of an Understandable Consensus Algorithm") */
import { assert, describe, it } from "@effect/vitest"
import type { AppendRequest, Message, VoteRequest } from "../../src/raft/Message.ts"
import { make, status, step } from "../../src/raft/Raft.ts"
import { LogIndex, NodeId, Term } from "../../src/raft/Types.ts"
import { Cluster, configOf, diskOf, entry, logOf, messagesIn, only, promisedIn, recover, sentIn } from "./Cluster.ts"

const node = (id: number, terms: ReadonlyArray<number> = [], term?: number) =>
  make(configOf(id), recover(diskOf(terms, term)))

const receive = (raft: ReturnType<typeof make>, message: Message) => step(raft, { _tag: "Receive", message })

const append = (
  { commit = 0, from = 1, prev = [0, 0], term, terms = [], to = 2 }: {
    readonly term: number
    readonly from?: number
    readonly to?: number
    readonly prev?: readonly [index: number, term: number]
    readonly terms?: ReadonlyArray<number>
    readonly commit?: number
  }
): AppendRequest => ({
  _tag: "AppendRequest",
  from: NodeId(from),
  to: NodeId(to),
  term: Term(term),
  prev: { index: LogIndex(prev[0]), term: Term(prev[1]) },
  entries: terms.map((of, at) => entry(prev[0] + 1 + at, of, `${of}.${prev[0] + 1 + at}`)),
  commit: LogIndex(commit)
})

const voteRequest = (
  from: number,
  to: number,
  term: number,
  last: readonly [number, number] = [0, 0]
): VoteRequest => ({
  _tag: "VoteRequest",
  from: NodeId(from),
  to: NodeId(to),
  term: Term(term),
  last: { index: LogIndex(last[0]), term: Term(last[1]) },
  transfer: false
})

describe("§5.1 Raft basics", () => {
  // "When servers start up, they begin as followers." (§5.2, the roles are introduced in §5.1)
  it("a node starts as a follower that knows no leader", () => {
    const { leader, role } = status(node(1, [1, 1, 2]))
    assert.strictEqual(role, "follower")
    assert.strictEqual(leader, undefined)
  })

  // "if one server's current term is smaller than the other's, then it updates its current term to the larger value."
  it("a node takes over a larger term and writes it down", () => {
    const raft = node(2, [], 1)
    const outputs = receive(raft, append({ term: 4 }))
    assert.strictEqual(status(raft).term, 4)
    assert.strictEqual(only(outputs, "Persist")[0]?.hardState?.term, 4)
  })

  // "If a candidate or leader discovers that its term is out of date, it immediately reverts to follower state."
  it("a leader that learns of a larger term steps down", () => {
    const cluster = new Cluster()
    cluster.elect(1)
    cluster.step(1, {
      _tag: "Receive",
      message: { _tag: "HeartbeatResponse", from: NodeId(2), to: NodeId(1), term: Term(9), readRound: 0, voter: true }
    })
    assert.strictEqual(cluster.status(1).role, "follower")
    assert.strictEqual(cluster.status(1).term, 9)
    assert.strictEqual(cluster.status(1).leader, undefined)
  })

  it("a candidate that learns of a larger term steps down", () => {
    const cluster = new Cluster()
    cluster.slowDisks.add(1)
    cluster.timeout(1)
    cluster.settle()
    assert.strictEqual(cluster.status(1).role, "candidate")
    cluster.step(1, { _tag: "Receive", message: append({ term: 7, from: 3, to: 1 }) })
    assert.deepInclude(cluster.status(1), { role: "follower", term: Term(7), leader: NodeId(3) })
  })

  // "If a server receives a request with a stale term number, it rejects the request."
  it("a request of a past term is refused with the current one and changes nothing", () => {
    const raft = node(2, [1], 3)
    const outputs = receive(raft, append({ term: 2, prev: [1, 1], terms: [2] }))
    assert.strictEqual(status(raft).lastIndex, 1)
    assert.strictEqual(status(raft).leader, undefined)
    assert.deepEqual(sentIn(outputs).map(({ _tag, term }) => [_tag, term]), [["HeartbeatResponse", 3]])
    const vote = sentIn(receive(raft, voteRequest(3, 2, 2, [9, 9])))[0]
    assert.deepInclude(vote, { _tag: "VoteResponse", granted: false, term: Term(3) })
  })
})

describe("§5.2 Leader election", () => {
  // "A server remains in follower state as long as it receives valid RPCs from a leader or candidate."
  it("a follower stays one while it hears from its leader", () => {
    const cluster = new Cluster()
    cluster.elect(1)
    cluster.run(200)
    assert.deepEqual([1, 2, 3].map((id) => cluster.status(id).role), ["leader", "follower", "follower"])
    assert.strictEqual(cluster.status(2).term, 1)
  })

  // "If a follower receives no communication over a period of time called the election timeout, then it assumes there
  // is no viable leader and begins an election."
  it("a follower that hears nothing campaigns", () => {
    const raft = node(1)
    for (let at = 0; at < 20; at++) step(raft, { _tag: "Tick" })
    assert.strictEqual(status(raft).role, "pre-candidate")
  })

  // "To begin an election, a follower increments its current term and transitions to candidate state. It then votes for
  // itself and issues RequestVote RPCs in parallel to each of the other servers."
  it("a candidate enters the next term, votes for itself, and asks everybody", () => {
    const cluster = new Cluster({ disks: [diskOf([1, 1], 3)] })
    cluster.slowDisks.add(1)
    cluster.timeout(1)
    cluster.settle()
    assert.deepInclude(cluster.status(1), { role: "candidate", term: Term(4), votedFor: NodeId(1) })
    const requests = cluster.member(1).writes.flatMap(({ thenSend }) => thenSend)
    assert.deepEqual(requests.map(({ _tag, term, to }) => [_tag, term, to]), [
      ["VoteRequest", 4, 2],
      ["VoteRequest", 4, 3]
    ])
  })

  // "A candidate wins an election if it receives votes from a majority of the servers in the full cluster for the same
  // term." Its own vote is one of them, and counts once it is durable.
  it("a candidate needs a majority, and its own vote must be on its disk", () => {
    const cluster = new Cluster()
    cluster.isolate(3)
    cluster.slowDisks.add(1)
    cluster.timeout(1)
    cluster.settle()
    const raft = cluster.member(1).raft
    receive(raft, { _tag: "VoteResponse", from: NodeId(2), to: NodeId(1), term: Term(1), granted: true })
    assert.strictEqual(raft.role, "candidate")
    cluster.sync(1)
    assert.strictEqual(raft.role, "leader")
  })

  // "Each server will vote for at most one candidate in a given term, on a first-come-first-served basis."
  it("a node votes once in a term, even after a restart", () => {
    const cluster = new Cluster()
    cluster.step(2, { _tag: "Receive", message: voteRequest(1, 2, 1) })
    assert.deepInclude(cluster.inFlight[0], { _tag: "VoteResponse", granted: true })
    cluster.drop()
    cluster.step(2, { _tag: "Receive", message: voteRequest(3, 2, 1, [5, 1]) })
    assert.deepInclude(cluster.inFlight[0], { _tag: "VoteResponse", granted: false })
    cluster.drop()
    cluster.restart(2)
    cluster.step(2, { _tag: "Receive", message: voteRequest(3, 2, 1, [5, 1]) })
    assert.deepInclude(cluster.inFlight[0], { _tag: "VoteResponse", granted: false })
    cluster.drop()
    cluster.step(2, { _tag: "Receive", message: voteRequest(1, 2, 1) })
    assert.deepInclude(cluster.inFlight[0], { _tag: "VoteResponse", granted: true })
  })

  // Figure 2: "Persistent state ... updated on stable storage before responding to RPCs".
  it("a vote leaves only with the write that remembers it", () => {
    const outputs = receive(node(2), voteRequest(1, 2, 1))
    assert.deepEqual(sentIn(outputs), [])
    assert.deepInclude(promisedIn(outputs)[0], { _tag: "VoteResponse", granted: true })
    assert.deepInclude(only(outputs, "Persist")[0]?.hardState, { term: Term(1), votedFor: NodeId(1) })
  })

  // "Once a candidate wins an election, it becomes leader. It then sends heartbeat messages to all of the other servers."
  it("a new leader speaks up at once", () => {
    const cluster = new Cluster()
    cluster.timeout(1)
    while (cluster.status(1).role !== "leader") cluster.deliver()
    const first = cluster.inFlight.filter(({ _tag }) => _tag === "AppendRequest")
    assert.deepEqual(first.map(({ to }) => to), [NodeId(2), NodeId(3)])
  })

  // "If the leader's term is at least as large as the candidate's current term, then the candidate recognizes the leader
  // as legitimate and returns to follower state."
  it("a candidate yields to the leader of its term", () => {
    const cluster = new Cluster()
    cluster.slowDisks.add(1)
    cluster.timeout(1)
    cluster.settle()
    cluster.step(1, { _tag: "Receive", message: append({ term: 1, from: 2, to: 1 }) })
    assert.deepInclude(cluster.status(1), { role: "follower", term: Term(1), leader: NodeId(2) })
  })

  // "If the RPC's term is smaller, then the candidate rejects the RPC and continues in candidate state."
  it("a candidate is not stopped by a leader of a past term", () => {
    const cluster = new Cluster({ disks: [diskOf([1], 3)] })
    cluster.slowDisks.add(1)
    cluster.timeout(1)
    cluster.settle()
    cluster.step(1, { _tag: "Receive", message: append({ term: 3, from: 2, to: 1 }) })
    assert.strictEqual(cluster.status(1).role, "candidate")
  })

  // "votes could be split so that no candidate obtains a majority. When this happens, each candidate will time out and
  // start a new election by incrementing its term"
  it("a split vote is settled by a later election", () => {
    const cluster = new Cluster()
    cluster.isolate(3)
    for (const [id, other] of [[1, 2], [2, 1]] as const) {
      cluster.step(id, { _tag: "Receive", message: voteRequest(3, id, 1) })
      cluster.drop()
      assert.strictEqual(cluster.status(id).votedFor, NodeId(3))
      assert.strictEqual(cluster.status(other).role, "follower")
    }
    cluster.run(100)
    const leaders = [1, 2].filter((id) => cluster.status(id).role === "leader")
    assert.lengthOf(leaders, 1)
    assert.isAbove(cluster.status(1).term, 1)
  })

  // "Raft uses randomized election timeouts to ensure that split votes are rare."
  it("election timeouts are drawn anew for each wait, within the limits", () => {
    const raft = node(1)
    const seen = new Set<number>()
    for (let at = 0; at < 500; at++) {
      receive(raft, append({ term: at + 1, from: 2, to: 1 }))
      seen.add(raft.electionTimeout)
    }
    assert.isTrue([...seen].every((timeout) => timeout >= 10 && timeout < 20))
    assert.isAtLeast(seen.size, 8)
  })
})

describe("§5.3 Log replication", () => {
  // "The leader appends the command to its log as a new entry, then issues AppendEntries RPCs in parallel to each of the
  // other servers."
  it("a leader sends a command to everybody in the step that appends it", () => {
    const cluster = new Cluster()
    cluster.elect(1)
    const outputs = cluster.propose(1, "x")
    assert.deepEqual(only(outputs, "Persist")[0]?.entries.map(({ index, term }) => [index, term]), [[2, 1]])
    assert.deepEqual(sentIn(outputs).map(({ _tag, to }) => [_tag, to]), [["AppendRequest", 2], ["AppendRequest", 3]])
  })

  // "A log entry is committed once the leader that created the entry has replicated it on a majority of the servers."
  it("an entry is committed and applied once a majority holds it, and not before", () => {
    const cluster = new Cluster()
    cluster.elect(1)
    cluster.isolate(3)
    cluster.propose(1, "x")
    assert.strictEqual(cluster.status(1).commit, 1)
    cluster.settle()
    assert.strictEqual(cluster.status(1).commit, 2)
    assert.deepEqual(cluster.commands(1), ["x"])
  })

  it("a minority commits nothing", () => {
    const cluster = new Cluster()
    cluster.elect(1)
    cluster.isolate(1)
    cluster.propose(1, "x")
    cluster.run(9)
    assert.strictEqual(cluster.status(1).commit, 1)
    assert.deepEqual(cluster.commands(1), [])
  })

  // A majority of disks, not of memories: the leader's own copy counts once it is durable.
  it("the leader counts itself once its own write is done", () => {
    const cluster = new Cluster()
    cluster.elect(1)
    cluster.isolate(3)
    cluster.slowDisks.add(1)
    cluster.propose(1, "x")
    cluster.settle()
    assert.strictEqual(cluster.status(1).commit, 1)
    cluster.sync(1)
    assert.strictEqual(cluster.status(1).commit, 2)
  })

  it("two followers commit an entry before the leader's own disk has it, and it is applied only after", () => {
    const cluster = new Cluster()
    cluster.elect(1)
    cluster.slowDisks.add(1)
    cluster.propose(1, "x")
    cluster.settle()
    assert.strictEqual(cluster.status(1).commit, 2)
    assert.deepEqual(cluster.commands(1), [])
    cluster.sync(1)
    assert.deepEqual(cluster.commands(1), ["x"])
  })

  // "This also commits all preceding entries in the leader's log, including entries created by previous leaders."
  it("committing an entry commits everything before it", () => {
    const cluster = new Cluster({ disks: [diskOf([1, 2, 2])] })
    cluster.elect(1)
    assert.strictEqual(cluster.status(1).commit, 4)
    assert.deepEqual(cluster.commands(1), ["1.1", "2.2", "2.3"])
  })

  // "The leader keeps track of the highest index it knows to be committed, and it includes that index in future
  // AppendEntries RPCs (including heartbeats) so that the other servers eventually find out."
  it("followers learn what is committed and apply it in log order", () => {
    const cluster = new Cluster()
    cluster.elect(1)
    cluster.propose(1, "a", "b")
    cluster.propose(1, "c")
    cluster.settle()
    cluster.run(2)
    for (const id of [1, 2, 3]) assert.deepEqual(cluster.commands(id), ["a", "b", "c"])
  })

  // "If followers crash or run slowly, or if network packets are lost, the leader retries AppendEntries RPCs indefinitely
  // until all followers eventually store all log entries."
  it("a leader retries what was lost until every follower has it", () => {
    const cluster = new Cluster()
    cluster.elect(1)
    cluster.propose(1, "a")
    cluster.drop()
    cluster.run(3)
    assert.deepEqual([1, 2, 3].map((id) => cluster.terms(id)), [[1, 1], [1, 1], [1, 1]])
  })

  // "If the follower does not find an entry in its log with the same index and term, then it refuses the new entries."
  it("a follower refuses entries that do not follow its log", () => {
    const raft = node(2, [1, 1])
    for (const prev of [[3, 1], [2, 2]] as const) {
      const outputs = receive(raft, append({ term: 3, prev, terms: [3] }))
      assert.deepEqual(messagesIn(outputs).map(({ _tag }) => _tag), ["AppendRejected"])
      assert.strictEqual(status(raft).lastIndex, 2)
    }
  })

  // Figure 2, AppendEntries 3: "If an existing entry conflicts with a new one (same index but different terms), delete
  // the existing entry and all that follow it."
  it("a follower deletes from the first conflict on", () => {
    const raft = node(2, [1, 1, 2, 2, 2])
    const outputs = receive(raft, append({ term: 3, prev: [1, 1], terms: [1, 3] }))
    const persist = only(outputs, "Persist")[0]
    assert.strictEqual(persist?.truncateFrom, 3)
    assert.deepEqual(persist?.entries.map(({ index, term }) => [index, term]), [[3, 3]])
    assert.strictEqual(status(raft).lastIndex, 3)
  })

  // The same rule, the other way round: without a conflict nothing is deleted, however old the request.
  it("an old request that the log already holds deletes nothing", () => {
    const raft = node(2, [1, 1, 1, 1])
    const outputs = receive(raft, append({ term: 1, prev: [0, 0], terms: [1, 1] }))
    assert.strictEqual(status(raft).lastIndex, 4)
    assert.isTrue(only(outputs, "Persist").every(({ truncateFrom }) => truncateFrom === undefined))
    assert.deepInclude(messagesIn(outputs)[0], { _tag: "AppendAccepted", match: LogIndex(2), voter: true })
  })

  // Figure 2, AppendEntries 5: "set commitIndex = min(leaderCommit, index of last new entry)".
  it("a follower commits no further than what this request proved to match", () => {
    const raft = node(2, [1, 1, 1])
    receive(raft, append({ term: 2, prev: [1, 1], terms: [1], commit: 9 }))
    assert.strictEqual(status(raft).commit, 2)
  })

  // Figure 7, (a) to (f): whatever a follower's log looks like, the leader makes it like its own.
  const figure7: ReadonlyArray<readonly [name: string, terms: ReadonlyArray<number>]> = [
    ["a: lacks the last entry", [1, 1, 1, 4, 4, 5, 5, 6, 6]],
    ["b: lacks more", [1, 1, 1, 4]],
    ["c: has one more of the same term", [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6]],
    ["d: has entries of a later term", [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7]],
    ["e: lacks entries and has others", [1, 1, 1, 4, 4, 4, 4]],
    ["f: has two terms the leader never saw", [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]]
  ]
  for (const [name, terms] of figure7) {
    it(`Figure 7 (${name})`, () => {
      const leader = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6]
      const cluster = new Cluster({ disks: [diskOf(leader, 7), diskOf(terms, 7), diskOf(leader.slice(0, 9), 7)] })
      cluster.isolate(2)
      cluster.elect(1)
      cluster.heal()
      cluster.run(3)
      assert.deepEqual(cluster.terms(2), [...leader, 8])
      assert.deepEqual(cluster.commands(2), logOf(leader).map(({ term, index }) => `${term}.${index}`))
    })
  }

  // "the protocol can be optimized to reduce the number of rejected AppendEntries RPCs ... one AppendEntries RPC will be
  // required for each term with conflicting entries, rather than one RPC per entry."
  it("going back costs one refusal per term, not one per entry", () => {
    const own = [1, ...Array.from({ length: 40 }, () => 4)]
    const other = [1, ...Array.from({ length: 30 }, () => 2), ...Array.from({ length: 30 }, () => 3)]
    const cluster = new Cluster({ disks: [diskOf(own, 4), diskOf(other, 4), diskOf([1], 4)] })
    cluster.isolate(2)
    cluster.elect(1)
    cluster.heal()
    cluster.run(5)
    const refusals = cluster.member(2).outputs.flatMap((output) =>
      output._tag === "Send" ? output.messages.filter(({ _tag }) => _tag === "AppendRejected") : []
    )
    assert.deepEqual(cluster.terms(2), [...own, 5])
    assert.isAtLeast(refusals.length, 1)
    assert.isAtMost(refusals.length, 2)
  })

  // "a leader never overwrites or deletes entries in its own log" (Figure 3, Leader Append-Only)
  it("a leader never deletes its own entries", () => {
    const cluster = new Cluster({ disks: [diskOf([1, 2, 2, 3]), diskOf([1, 1, 1, 1, 1, 1])] })
    cluster.elect(1)
    cluster.propose(1, "x")
    cluster.run(5)
    assert.isTrue(only(cluster.member(1).outputs, "Persist").every(({ truncateFrom }) => truncateFrom === undefined))
    assert.deepEqual(cluster.terms(1), [1, 2, 2, 3, 4, 4])
  })
})

describe("§5.4 Safety", () => {
  // §5.4.1: "If the logs have last entries with different terms, then the log with the later term is more up-to-date. If
  // the logs end with the same term, then whichever log is longer is more up-to-date."
  const elections: ReadonlyArray<
    readonly [what: string, candidate: readonly [index: number, term: number], granted: boolean]
  > = [
    ["a later last term wins over a longer log", [1, 3], true],
    ["an earlier last term loses however long the log is", [9, 1], false],
    ["the same term and the same length", [3, 2], true],
    ["the same term and a longer log", [4, 2], true],
    ["the same term and a shorter log", [2, 2], false]
  ]
  for (const [what, last, granted] of elections) {
    it(`the vote restriction: ${what}`, () => {
      const outputs = receive(node(2, [1, 1, 2]), voteRequest(1, 2, 5, last))
      assert.deepInclude(messagesIn(outputs)[0], { _tag: "VoteResponse", granted })
    })
  }

  // §5.4.1: "Raft uses the voting process to prevent a candidate from winning an election unless its log contains all
  // committed entries."
  it("a node that lacks a committed entry cannot win", () => {
    const cluster = new Cluster()
    cluster.elect(1)
    cluster.isolate(3)
    cluster.propose(1, "x")
    cluster.settle()
    cluster.isolate(1)
    cluster.isolated.delete(3)
    cluster.timeout(3)
    cluster.settle()
    assert.notStrictEqual(cluster.status(3).role, "leader")
    cluster.timeout(2)
    cluster.settle()
    assert.strictEqual(cluster.status(2).role, "leader")
    cluster.run(2)
    assert.deepEqual(cluster.commands(3), ["x"])
  })

  // §5.4.2 and Figure 8: "Raft never commits log entries from previous terms by counting replicas. Only log entries from
  // the leader's current term are committed by counting replicas."
  it("Figure 8: an entry of a past term on a majority is not committed by counting", () => {
    const cluster = new Cluster({ disks: [diskOf([1, 2], 3), diskOf([1, 2], 3), diskOf([1], 3)] })
    cluster.timeout(1)
    while (cluster.status(1).role !== "leader") cluster.deliver()
    cluster.drop(({ _tag }) => _tag === "AppendRequest")
    const { raft } = cluster.member(1)
    const { term } = raft
    receive(raft, { _tag: "AppendAccepted", from: NodeId(2), to: NodeId(1), term, match: LogIndex(2), voter: true })
    receive(raft, { _tag: "AppendAccepted", from: NodeId(3), to: NodeId(1), term, match: LogIndex(2), voter: true })
    assert.strictEqual(raft.commit, 0)
    receive(raft, { _tag: "AppendAccepted", from: NodeId(3), to: NodeId(1), term, match: LogIndex(3), voter: true })
    assert.strictEqual(raft.commit, 3)
  })

  // §8, relied on by §5.4.2: "each leader commit a blank no-op entry into the log at the start of its term."
  it("a leader opens its term with an entry of its own", () => {
    const cluster = new Cluster({ disks: [diskOf([1, 2])] })
    cluster.elect(1)
    assert.deepInclude(cluster.member(1).disk.entries[2], { kind: "noop", term: Term(3), index: LogIndex(3) })
  })

  // §5.3: "If two entries in different logs have the same index and term, then the logs are identical in all preceding
  // entries." (Figure 3, Log Matching)
  it("logs that agree at a point agree before it, after every kind of quarrel", () => {
    const cluster = new Cluster({ disks: [diskOf([1, 1, 2]), diskOf([1, 1, 1, 1]), diskOf([1])] })
    cluster.elect(1)
    cluster.isolate(1)
    cluster.propose(1, "lost")
    cluster.timeout(2)
    cluster.settle()
    cluster.propose(2, "kept")
    cluster.settle()
    cluster.heal()
    cluster.run(40)
    assert.deepEqual(cluster.terms(1), cluster.terms(2))
    assert.deepEqual(cluster.terms(1), cluster.terms(3))
    assert.deepEqual(cluster.commands(1), cluster.commands(2))
    assert.include(cluster.commands(1), "kept")
    assert.notInclude(cluster.commands(1), "lost")
  })
})
