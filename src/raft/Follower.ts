/** A follower: takes the leader's entries, votes, and passes reads on. (Raft §5.2, §5.3) */
import { invariant } from "./Invariants.ts"
import { acknowledgedEntriesLost } from "./Join.ts"
import type { AppendRequest, Heartbeat, PreVoteRequest, ReadIndexResponse, VoteRequest } from "./Message.ts"
import type { Raft } from "./State.ts"
import {
  acknowledge,
  appendEntries,
  emit,
  enterTerm,
  promise,
  resetElectionTimer,
  send,
  termIsDurable,
  trace,
  truncateFrom,
  trustsLeader
} from "./State.ts"
import type { Entry, LogPoint, NodeId, Term } from "./Types.ts"
import { addIndex, isUpToDate, maxIndex, minIndex } from "./Types.ts"

/** Follows `leader` (when it is known) in `term`, giving up whatever role this node had. */
export const becomeFollower = (raft: Raft, term: Term, leader: NodeId | undefined, reason: string): void => {
  if (term > raft.term) enterTerm(raft, term)
  refuseForwarded(raft)
  abandonReads(raft)
  raft.role = "follower"
  raft.leader = leader
  raft.leadership = undefined
  raft.votes.clear()
  raft.preVotes.clear()
  raft.gathered.reason = reason
  resetElectionTimer(raft)
}

/** Reads that wait at a leader cannot be answered by it any more; the askers may try again. */
const abandonReads = (raft: Raft): void => {
  const readers = raft.leadership?.reads.takeAll() ?? []
  const own: Array<number> = []
  for (const { join, node, readId } of readers) {
    // A node that joins repeats its question by itself.
    if (join === true) continue
    if (node === raft.config.id) own.push(readId)
    else refuseRead(raft, node, readId)
  }
  if (own.length > 0) emit(raft, { _tag: "ReadRefused", readIds: own, leader: undefined })
}

/** Reads that were passed on wait for the answer of a leader that this node does not follow any more. */
export const refuseForwarded = (raft: Raft): void => {
  const readIds = raft.forwarded.takeAll()
  if (readIds.length > 0) emit(raft, { _tag: "ReadRefused", readIds, leader: undefined })
}

/** Tells a follower that its read cannot be served here. */
export const refuseRead = (raft: Raft, to: NodeId, readId: number): void =>
  send(raft, { _tag: "ReadIndexResponse", from: raft.config.id, to, term: raft.term, readId, index: undefined })

/** Any message of the term's leader: follow it. At most one node leads a term. (Figure 3, Election Safety) */
const follow = (raft: Raft, leader: NodeId): void => {
  invariant(
    raft.leader === undefined || raft.leader === leader,
    "ElectionSafety",
    () => `nodes ${raft.leader} and ${leader} both lead term ${raft.term}`
  )
  if (raft.role !== "follower" || raft.leader === undefined) {
    becomeFollower(raft, raft.term, leader, `node ${leader} leads`)
  }
  raft.electionElapsed = 0
}

/** AppendEntries, receiver's side. (Raft Figure 2) */
export const receiveAppend = (raft: Raft, message: AppendRequest): void => {
  follow(raft, message.from)
  const { log } = raft
  const { entries, prev } = message
  // Everything before the compaction point is committed, so the leader holds the same.
  if (prev.index < log.compacted.index) return acknowledge(raft, message.from, raft.commit)
  if (!log.matches(prev)) return rejectAppend(raft, message)

  // Only a real conflict removes entries: an old append that arrives late must not shorten the log.
  let known = 0
  while (known < entries.length && log.matches(entries[known] as Entry)) known += 1
  const fresh = known === 0 ? entries : entries.slice(known)
  const first = fresh[0]
  if (first !== undefined && first.index <= log.lastIndex) removeConflict(raft, first)
  if (fresh.length > 0) appendEntries(raft, fresh)
  const lastMatched = addIndex(prev.index, entries.length)
  raft.commit = maxIndex(raft.commit, minIndex(message.commit, lastMatched))
  acknowledge(raft, message.from, lastMatched)
}

/** The log from `first` on contradicts the leader's. (Raft §5.3) */
const removeConflict = (raft: Raft, first: Entry): void => {
  invariant(
    first.index > raft.commit,
    "LeaderCompleteness",
    () => `the leader of term ${raft.term} contradicts committed entry ${first.index} (commit ${raft.commit})`
  )
  trace(
    raft,
    "info",
    `removes entries ${first.index}..${raft.log.lastIndex} of term ${raft.log.termAt(first.index)} and later: ` +
      `the leader has term ${first.term} there`
  )
  truncateFrom(raft, first.index)
}

const rejectAppend = (raft: Raft, message: AppendRequest): void => {
  const { prev } = message
  const { lastIndex } = raft.log
  const hint = raft.log.lastPointAtMost(minIndex(prev.index, lastIndex), prev.term)
  trace(
    raft,
    "debug",
    `refuses entries after ${prev.index} of term ${prev.term}: the log ends at ${lastIndex}, ` +
      `it may agree up to ${hint.index} of term ${hint.term}`
  )
  send(raft, {
    _tag: "AppendRejected",
    from: raft.config.id,
    to: message.from,
    term: raft.term,
    rejected: prev.index,
    hint,
    lastIndex,
    voter: raft.membership === "voter"
  })
}

export const receiveHeartbeat = (raft: Raft, message: Heartbeat): void => {
  follow(raft, message.from)
  const { match } = message
  // What lies before the compaction point is committed, and the leader holds the same.
  if (match.index > raft.log.compacted.index && !raft.log.matches(match)) acknowledgedEntriesLost(raft, message)
  else raft.commit = maxIndex(raft.commit, minIndex(message.commit, match.index))
  answerHeartbeat(raft, message.from, message.readRound)
}

/** Also the answer to a deposed leader: it learns the later term from it. */
export const answerHeartbeat = (raft: Raft, to: NodeId, readRound: number): void =>
  send(raft, {
    _tag: "HeartbeatResponse",
    from: raft.config.id,
    to,
    term: raft.term,
    readRound,
    voter: raft.membership === "voter"
  })

/** RequestVote, receiver's side, for this node's term. (Raft §5.2, §5.4.1) */
export const receiveVoteRequest = (raft: Raft, message: VoteRequest): void => {
  // Figure 2 asks for an unused vote only. But a term with a leader has been won, and no other node can win it.
  const free = raft.votedFor === undefined && raft.leader === undefined
  const refusal = raft.membership !== "voter"
    ? notVoting(raft)
    : raft.votedFor !== message.from && !free
    ? raft.votedFor === undefined ? `node ${raft.leader} leads` : `the vote went to node ${raft.votedFor}`
    : behind(raft, message.last)
  if (refusal !== undefined) {
    trace(raft, "info", `refuses node ${message.from} its vote in term ${message.term}: ${refusal}`)
    return send(raft, {
      _tag: "VoteResponse",
      from: raft.config.id,
      to: message.from,
      term: raft.term,
      granted: false
    })
  }
  if (raft.votedFor === undefined) {
    raft.votedFor = message.from
    raft.gathered.hardState = true
  }
  raft.electionElapsed = 0
  trace(raft, "info", `votes for node ${message.from} in term ${message.term}`)
  promise(raft, { _tag: "VoteResponse", from: raft.config.id, to: message.from, term: raft.term, granted: true })
}

/** "Would you vote for me?" Nothing changes here, whatever the answer. (thesis §9.6) */
export const receivePreVoteRequest = (raft: Raft, message: PreVoteRequest): void => {
  if (trustsLeader(raft)) {
    return trace(raft, "debug", `ignores node ${message.from}, which asks for pre-votes: node ${raft.leader} leads`)
  }
  // This node could not vote yet, and the candidate may only be waiting for the vote that is being written.
  if (!termIsDurable(raft)) {
    return trace(
      raft,
      "debug",
      `ignores node ${message.from}, which asks for pre-votes: its last vote is not durable yet`
    )
  }
  const could = message.term > raft.term || raft.votedFor === message.from ||
    message.term === raft.term && raft.votedFor === undefined && raft.leader === undefined
  const refusal = raft.membership !== "voter"
    ? notVoting(raft)
    : could
    ? behind(raft, message.last)
    : `its term ${message.term} is not news in term ${raft.term}`
  if (refusal !== undefined) {
    trace(raft, "info", `refuses node ${message.from} its pre-vote for term ${message.term}: ${refusal}`)
  }
  const granted = refusal === undefined
  send(raft, {
    _tag: "PreVoteResponse",
    from: raft.config.id,
    to: message.from,
    term: granted ? message.term : raft.term,
    granted
  })
}

const notVoting = (raft: Raft): string =>
  `this node is ${raft.membership === "learner" ? "a learner" : "of unknown membership"} and does not vote`

/** Why a candidate with this log must not be elected, if so. (Raft §5.4.1) */
const behind = (raft: Raft, last: LogPoint): string | undefined => {
  const own = raft.log.last
  if (isUpToDate(last, own)) return undefined
  return `its log ends at ${last.index} of term ${last.term}, behind ${own.index} of term ${own.term}`
}

/** Passes a read of this node's clients on to the leader. (thesis §6.4) */
export const forwardRead = (raft: Raft, readId: number): void => {
  if (raft.leader === undefined || raft.forwarded.size >= raft.config.maxPendingReads) {
    return emit(raft, { _tag: "ReadRefused", readIds: [readId], leader: raft.leader })
  }
  send(raft, {
    _tag: "ReadIndexRequest",
    from: raft.config.id,
    to: raft.leader,
    term: raft.term,
    readId: raft.forwarded.add(readId)
  })
}

export const receiveReadIndexResponse = (raft: Raft, message: ReadIndexResponse): void => {
  const readId = raft.forwarded.take(message.readId)
  if (readId === undefined) return
  if (message.index === undefined) emit(raft, { _tag: "ReadRefused", readIds: [readId], leader: raft.leader })
  else emit(raft, { _tag: "ReadReady", readIds: [readId], index: message.index })
}

/**
 * The link to the leader broke, as it does when a leader's process dies: this node trusts it no more, and
 * campaigns after a short wait. The wait is random, because the other follower sees the same, and the new timeout stays
 * between the shortest and the longest one of the settings. A leader that lives sets the clock back with its next word.
 * Where only this node lost it, the others still trust it and give no pre-vote. (thesis §4.2.3, §9.6)
 */
export const leaderUnreachable = (raft: Raft, peer: NodeId): void => {
  const { electionTicksMax, electionTicksMin, heartbeatTicks } = raft.config
  if (raft.role !== "follower" || raft.leader !== peer || raft.electionElapsed >= electionTicksMin) return
  trace(raft, "info", `the link to node ${peer}, which leads, is broken`)
  refuseForwarded(raft)
  raft.electionElapsed = electionTicksMin
  // Wide enough for one follower to ask before the other does, and no wider: it is how long the cluster has no leader.
  const spread = Math.max(Math.min(16, 3 * heartbeatTicks + 1), Math.floor(1.5 * heartbeatTicks) + 1)
  const latest = Math.min(electionTicksMax, electionTicksMin + spread)
  raft.electionTimeout = raft.random.between(electionTicksMin + 1, latest)
}

/** One tick of waiting for a leader's word; `true` when it is time to campaign. */
export const tickFollower = (raft: Raft): boolean => {
  const expired = raft.forwarded.expire(raft.config.electionTicksMin)
  if (expired.length > 0) emit(raft, { _tag: "ReadRefused", readIds: expired, leader: raft.leader })
  raft.electionElapsed += 1
  return raft.electionElapsed >= raft.electionTimeout
}
