/** A campaign: pre-vote, then the vote. (Raft §5.2, thesis §9.6) */
import { becomeFollower, refuseForwarded } from "./Follower.ts"
import { becomeLeader } from "./Leader.ts"
import type { PreVoteResponse, VoteResponse } from "./Message.ts"
import { voteResult } from "./Quorum.ts"
import type { Raft } from "./State.ts"
import { diskStalled, enterTerm, promise, resetElectionTimer, send, termIsDurable, trace } from "./State.ts"
import type { NodeId } from "./Types.ts"
import { nextTerm } from "./Types.ts"

/**
 * Asks whether an election could be won before any term is disturbed, so that a node that was cut off does not
 * depose a working leader when it comes back.
 *
 * Elections do not outrun the disk. A candidate whose vote for itself is not durable yet waits for it instead of
 * starting over, or a disk slower than the election timeout would never see a vote counted. Votes of the present term
 * count during a pre-vote too: those who gave them may have slow disks.
 */
export const preCampaign = (raft: Raft): void => {
  if (!termIsDurable(raft) && !diskStalled(raft)) return
  resetElectionTimer(raft)
  if (diskStalled(raft)) {
    raft.electionTimeout = Math.max(raft.electionTimeout, raft.config.electionTicksMin)
    return trace(raft, "warning", "does not campaign: its disk has stopped answering")
  }
  refuseForwarded(raft)
  raft.role = "pre-candidate"
  raft.leader = undefined
  raft.gathered.reason = raft.peers.length === 0 ? "the only voter" : "no word from a leader for an election timeout"
  raft.preVotes.clear()
  for (const peer of raft.peers) {
    send(raft, {
      _tag: "PreVoteRequest",
      from: raft.config.id,
      to: peer,
      term: nextTerm(raft.term),
      last: raft.log.last
    })
  }
  countPreVote(raft, raft.config.id, true)
}

/**
 * Stands for election in a new term. The requests leave once this node's vote for itself is durable: a node that
 * forgot it could win the same term twice, with different logs.
 */
export const campaign = (raft: Raft, transfer: boolean, reason: string): void => {
  refuseForwarded(raft)
  enterTerm(raft, nextTerm(raft.term))
  raft.role = "candidate"
  raft.votedFor = raft.config.id
  raft.gathered.reason = reason
  raft.ownVotePersist = raft.persistId + 1
  resetElectionTimer(raft)
  for (const peer of raft.peers) {
    promise(raft, {
      _tag: "VoteRequest",
      from: raft.config.id,
      to: peer,
      term: raft.term,
      last: raft.log.last,
      transfer
    })
  }
}

/** This candidate's own vote counts like any other: once it is durable. */
export const countOwnVote = (raft: Raft, persistId: number): void => {
  if (persistId >= raft.ownVotePersist) countVote(raft, raft.config.id, true)
}

/**
 * Counts in a candidate, also while it asks for pre-votes for the next term. Any other node has no campaign in this
 * term.
 */
export const receiveVoteResponse = (raft: Raft, message: VoteResponse): void => {
  if (diskStalled(raft)) return
  if (raft.role === "candidate" || raft.role === "pre-candidate" && raft.votes.size > 0) {
    countVote(raft, message.from, message.granted)
  }
}

export const receivePreVoteResponse = (raft: Raft, message: PreVoteResponse): void => {
  // A grant echoes the term that was asked for; an answer to an earlier question does not count.
  if (message.granted && message.term !== nextTerm(raft.term)) return
  countPreVote(raft, message.from, message.granted)
}

const countVote = (raft: Raft, from: NodeId, granted: boolean): void => {
  raft.votes.set(from, granted)
  switch (voteResult(raft.config.voters.length, raft.votes.values())) {
    case "won":
      return becomeLeader(raft, `won term ${raft.term} with the votes of ${granters(raft.votes)}`)
    case "lost":
      if (raft.role === "candidate") {
        becomeFollower(raft, raft.term, undefined, `lost the election of term ${raft.term}`)
      }
      return
    case "pending":
      return
  }
}

const countPreVote = (raft: Raft, from: NodeId, granted: boolean): void => {
  raft.preVotes.set(from, granted)
  switch (voteResult(raft.config.voters.length, raft.preVotes.values())) {
    case "won":
      return campaign(raft, false, `a majority would vote for it: ${granters(raft.preVotes)}`)
    case "lost":
      return becomeFollower(raft, raft.term, undefined, "a majority would not vote for it")
    case "pending":
      return
  }
}

const granters = (answers: ReadonlyMap<NodeId, boolean>): string =>
  [...answers].filter(([, granted]) => granted).map(([node]) => `node ${node}`).join(", ")
