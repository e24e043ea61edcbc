/**
 * The door of the consensus core: `step(raft, event) → outputs`.
 *
 * Same state and same event give the same outputs, always. The core does no I/O, reads no clock, and needs no
 * synchronous answer from a disk: whatever takes time is an output now and an event later.
 *
 * ```
 *   events ──▶ step ──▶ Persist · Send · Apply · ReadReady · RoleChanged …
 *                ▲                    │
 *                └── persisted, applied, messages …
 * ```
 */
import { countOwnVote, preCampaign } from "./Candidate.ts"
import { implausibleSnapshot, tickClaims } from "./Claims.ts"
import { noClaims } from "./TermAllowance.ts"
import type { Config } from "./Config.ts"
import type { Applied, Compacted, Event, Persisted, SnapshotInstalled } from "./Event.ts"
import { becomeFollower, forwardRead, leaderUnreachable, tickFollower } from "./Follower.ts"
import { read } from "./Heartbeats.ts"
import { checkInvariants, invariant, watermarks } from "./Invariants.ts"
import { finishLearning, tickJoin } from "./Join.ts"
import { advanceCommit, ownWriteFinished, propose, relieve, tickLeader } from "./Leader.ts"
import { Log } from "./Log.ts"
import type { Output } from "./Output.ts"
import { Random } from "./Random.ts"
import { ForwardedReads } from "./ReadIndex.ts"
import { receive } from "./Receive.ts"
import type { Recovered } from "./Recovered.ts"
import { checkConfig, checkRecovered } from "./Recovered.ts"
import { logRead, peerUnreachable, snapshotReported } from "./Replication.ts"
import type { Raft } from "./State.ts"
import {
  acknowledge,
  emit,
  emptyGathered,
  flush,
  persisted,
  resetElectionTimer,
  termIsDurable,
  trace
} from "./State.ts"
import { transferLeadership } from "./Transfer.ts"
import type { LogPoint, NodeId, Term } from "./Types.ts"
import { addIndex, compareNodeId, compareTerm, maxIndex, minIndex } from "./Types.ts"

export { ticksUntilDue } from "./Deadline.ts"
export type { Recovered } from "./Recovered.ts"
export type { Raft } from "./State.ts"
export type { Status } from "./Status.ts"
export { status } from "./Status.ts"

/**
 * A node as it starts: a follower that knows no leader.
 *
 * @throws RangeError when `config` or `recovered` contradicts itself; nothing such comes from a disk this node wrote.
 */
export const make = (config: Config, recovered: Recovered): Raft => {
  checkConfig(config)
  checkRecovered(recovered)
  const { applied, compacted, hardState, lastIndex, termRuns } = recovered
  const log = new Log(compacted, lastIndex, termRuns)
  const random = new Random(config.seed)
  const raft: Raft = {
    config,
    peers: config.voters.filter((voter) => voter !== config.id).sort(compareNodeId),
    random,
    log,
    role: "follower",
    term: hardState.term,
    votedFor: hardState.votedFor,
    leader: undefined,
    commit: maxIndex(applied, minIndex(hardState.commit, lastIndex)),
    applied,
    stable: lastIndex,
    applying: undefined,
    persistId: 0,
    termPersist: 0,
    outstanding: [],
    persistElapsed: 0,
    electionElapsed: 0,
    electionTimeout: 0,
    votes: new Map(),
    preVotes: new Map(),
    ownVotePersist: 0,
    leadership: undefined,
    // 21 random bits above 32 bits of counting stay within the safe integers.
    forwarded: new ForwardedReads(random.between(0, 2 ** 21) * 2 ** 32),
    membership: config.voters.length === 1 ? "voter" : hardState.membership ?? "voter",
    // It asks at the first tick. The seed differs from one start to the next, as the id has to.
    join: { id: config.seed, elapsed: config.heartbeatTicks, fresh: new Set(), through: undefined },
    claims: noClaims(),
    gathered: emptyGathered()
  }
  // So it is after a crash between an installed snapshot and the hard state behind it: the snapshot ends in a term that
  // the disk does not know. This node gave no vote in that term, or its hard state would say so.
  if (compareTerm(log.lastTerm, raft.term) > 0) {
    raft.term = log.lastTerm
    raft.votedFor = undefined
    raft.gathered.hardState = true
  }
  resetElectionTimer(raft)
  return raft
}

/**
 * Takes one event and returns what to do about it, in order.
 *
 * @throws InvariantViolation when a property of Raft no longer holds: the node must stop.
 */
export const step = (raft: Raft, event: Event): ReadonlyArray<Output> => {
  const { leader, role, term } = raft
  const before = watermarks(raft)
  handle(raft, event)
  if (raft.membership !== "voter") finishLearning(raft)
  // After every event, because this leader's own disk counts like a follower's: its report may complete a majority.
  if (raft.leadership !== undefined) advanceCommit(raft, raft.leadership)
  applyCommitted(raft)
  const { persist, messages } = flush(raft)
  const { outputs, reason } = raft.gathered
  raft.gathered = emptyGathered()
  // The role comes first: what follows may only make sense in it.
  if (raft.role !== role || raft.term !== term || raft.leader !== leader) {
    outputs.unshift({ _tag: "RoleChanged", role: raft.role, term: raft.term, leader: raft.leader, reason })
  }
  if (persist !== undefined) outputs.push(persist)
  if (messages.length > 0) outputs.push({ _tag: "Send", messages })
  raft.log.evict(raft.config.maxCachedBytes, raft.stable)
  checkInvariants(raft, before)
  return outputs
}

const handle = (raft: Raft, event: Event): void => {
  const { leadership } = raft
  switch (event._tag) {
    case "Tick":
      for (let left = event.count ?? 1; left > 0; left--) tick(raft)
      return
    case "Receive":
      return receive(raft, event.message)
    case "Propose":
      if (leadership !== undefined) return propose(raft, leadership, event)
      return emit(raft, {
        _tag: "Refused",
        ids: event.proposals.map((proposal) => proposal.id),
        reason: { _tag: "NotLeader", leader: raft.leader }
      })
    case "ReadIndex":
      return leadership === undefined
        ? forwardRead(raft, event.readId)
        : read(raft, leadership, { node: raft.config.id, readId: event.readId })
    case "Persisted":
      return persistDone(raft, event)
    case "Applied":
      return applyDone(raft, event)
    case "LogRead":
      return leadership === undefined ? undefined : logRead(raft, leadership, event)
    case "SnapshotReported":
      return leadership === undefined ? undefined : snapshotReported(raft, leadership, event)
    case "SnapshotInstalled":
      return snapshotInstalled(raft, event)
    case "Compacted":
      return compacted(raft, event)
    case "TransferLeader":
      if (leadership !== undefined) return transferLeadership(raft, leadership, event.target)
      return trace(raft, "info", "was asked to hand leadership over, but does not lead")
    case "PeerUnreachable":
      return leadership === undefined ? leaderUnreachable(raft, event.peer) : peerUnreachable(leadership, event.peer)
  }
}

/**
 * A write is durable. Who voted, or asks for votes, begins to wait now: nothing could come of it before. A candidate
 * gives the others' disks as long as its own took.
 */
const persistDone = (raft: Raft, { persistId }: Persisted): void => {
  const { leadership } = raft
  const wasDurable = termIsDurable(raft)
  persisted(raft, persistId)
  if (!wasDurable && termIsDurable(raft) && raft.leader === undefined) {
    if (raft.role === "candidate") raft.electionTimeout += raft.electionElapsed
    raft.electionElapsed = 0
  }
  if (leadership !== undefined) ownWriteFinished(raft, leadership)
  if (raft.role === "candidate") countOwnVote(raft, persistId)
}

const tick = (raft: Raft): void => {
  tickClaims(raft)
  if (raft.outstanding.length > 0) raft.persistElapsed += 1
  if (raft.leadership !== undefined) tickLeader(raft, raft.leadership)
  else if (raft.membership !== "voter") tickLearner(raft)
  else if (tickFollower(raft)) preCampaign(raft)
}

/** A node that does not vote cannot do anything about a silent leader but say that it knows none. */
const tickLearner = (raft: Raft): void => {
  tickJoin(raft)
  if (tickFollower(raft) && raft.leader !== undefined) {
    becomeFollower(raft, raft.term, undefined, "no word from a leader for an election timeout")
  }
}

/** Hands the next committed entries to the state machine. What is applied here is durable here. */
const applyCommitted = (raft: Raft): void => {
  if (raft.applying !== undefined) return
  const ready = minIndex(raft.commit, raft.stable)
  if (raft.applied >= ready) return
  const from = addIndex(raft.applied, 1)
  const entries = raft.log.slice(from, ready, raft.config.maxApplyBytes, Number.MAX_SAFE_INTEGER)
  const through = entries === undefined
    ? minIndex(ready, addIndex(raft.log.windowFirst, -1))
    : addIndex(raft.applied, entries.length)
  raft.applying = through
  emit(raft, { _tag: "Apply", from, through, entries })
}

const applyDone = (raft: Raft, { index }: Applied): void => {
  if (raft.applying === undefined || index > raft.applying) {
    return trace(raft, "warning", `got a report that ${index} is applied, which it did not ask for`)
  }
  raft.applied = maxIndex(raft.applied, index)
  if (index === raft.applying) raft.applying = undefined
  if (raft.leadership !== undefined) relieve(raft.leadership.backlog, raft.applied)
}

/** A snapshot took the place of the state machine: the log restarts behind it. (Raft §7) */
const snapshotInstalled = (raft: Raft, { point }: SnapshotInstalled): void => {
  if (point.index <= raft.applied) return
  // A log never ends in a term its node has not reached, or the node could campaign in a term that has a leader.
  if (point.term > raft.term) becomeFollower(raft, point.term, undefined, `its snapshot ends in term ${point.term}`)
  const keepsTail = raft.log.matches(point)
  emit(raft, { _tag: "RestartLog", point, keepsTail })
  if (keepsTail) {
    raft.log.compact(point)
    raft.stable = maxIndex(raft.stable, point.index)
  } else {
    // Nothing of a log that contradicts the snapshot may stay, or it would be taken for what follows it.
    raft.log.reset(point)
    raft.stable = point.index
    for (const persist of raft.outstanding) persist.last = minIndex(persist.last, point.index)
  }
  raft.commit = maxIndex(raft.commit, point.index)
  raft.applied = point.index
  raft.applying = undefined
  if (raft.leader === undefined || raft.leadership !== undefined) return
  acknowledge(raft, raft.leader, point.index)
}

const compacted = (raft: Raft, { through }: Compacted): void => {
  if (through <= raft.log.compacted.index) return
  invariant(through <= raft.applied, "CompactionOfApplied", () => `compacts ${through}, applied ${raft.applied}`)
  const term = raft.log.termAt(through)
  if (term !== undefined) raft.log.compact({ index: through, term })
}

/** Why a snapshot that a peer asks to send cannot be what it says, if so. Changes nothing. */
export const snapshotProblem = (
  raft: Raft,
  request: { readonly from: NodeId; readonly point: LogPoint; readonly term: Term }
): string | undefined => implausibleSnapshot(raft, request)
