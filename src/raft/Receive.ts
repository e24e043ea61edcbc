/**
 * What a message does: it is checked for claims that no node can make (`Claims.ts`) and against the term of this node,
 * and goes to the handler of the role.
 */
import { campaign, receivePreVoteResponse, receiveVoteResponse } from "./Candidate.ts"
import { implausible, spendTerms, unasked } from "./Claims.ts"
import {
  answerHeartbeat,
  becomeFollower,
  receiveAppend,
  receiveHeartbeat,
  receivePreVoteRequest,
  receiveReadIndexResponse,
  receiveVoteRequest,
  refuseRead
} from "./Follower.ts"
import { receiveHeartbeatResponse, receiveReadIndexRequest } from "./Heartbeats.ts"
import { answerJoin, becomeLearner, receiveJoinResponse } from "./Join.ts"
import { receiveAppendAccepted, receiveJoinRequest as admitLearner } from "./Leader.ts"
import type { JoinRequest, Message } from "./Message.ts"
import { receiveAppendRejected } from "./Replication.ts"
import type { Raft } from "./State.ts"
import { emit, send, trace, trustsLeader } from "./State.ts"

export const receive = (raft: Raft, message: Message): void => {
  if (message.to !== raft.config.id || !raft.peers.includes(message.from)) {
    return trace(raft, "warning", `dropped a ${message._tag} from node ${message.from} to node ${message.to}`)
  }
  const claim = implausible(raft, message)
  if (claim !== undefined) return emit(raft, { _tag: "PeerViolation", peer: message.from, claim })
  const invented = unasked(raft, message)
  if (invented !== undefined) return trace(raft, "warning", `ignores node ${message.from}: ${invented}`)
  if (message.term > raft.term && !enterLaterTerm(raft, message)) return
  if (message.term < raft.term) return answerEarlierTerm(raft, message)
  const { leadership } = raft
  switch (message._tag) {
    case "PreVoteRequest":
      return receivePreVoteRequest(raft, message)
    case "PreVoteResponse":
      return raft.role === "pre-candidate" ? receivePreVoteResponse(raft, message) : undefined
    case "VoteRequest":
      return receiveVoteRequest(raft, message)
    case "VoteResponse":
      return receiveVoteResponse(raft, message)
    case "AppendRequest":
      return receiveAppend(raft, message)
    case "Heartbeat":
      return receiveHeartbeat(raft, message)
    case "AppendAccepted":
      return leadership === undefined ? undefined : receiveAppendAccepted(raft, leadership, message)
    case "AppendRejected":
      return leadership === undefined ? undefined : receiveAppendRejected(raft, leadership, message)
    case "HeartbeatResponse":
      return leadership === undefined ? undefined : receiveHeartbeatResponse(raft, leadership, message)
    case "ReadIndexRequest":
      return leadership === undefined
        ? refuseRead(raft, message.from, message.readId)
        : receiveReadIndexRequest(raft, leadership, message)
    case "ReadIndexResponse":
      return leadership === undefined ? receiveReadIndexResponse(raft, message) : undefined
    case "JoinRequest":
      return receiveJoinRequest(raft, message)
    case "JoinResponse":
      return receiveJoinResponse(raft, message)
    case "TimeoutNow":
      return raft.role === "follower" && raft.membership === "voter" && raft.leader === message.from
        ? campaign(raft, true, `node ${message.from} hands leadership over`)
        : undefined
  }
}

/** Every node answers whether it has ever taken part; a leader takes the asker on. */
const receiveJoinRequest = (raft: Raft, message: JoinRequest): void => {
  answerJoin(raft, message)
  if (raft.leadership !== undefined) admitLearner(raft, raft.leadership, message)
}

/**
 * A later term: this node follows into it (Raft §5.1), except for questions and answers of a pre-vote, which
 * belong to no term yet, and except for a candidate that would depose a leader this node still hears. `false` drops
 * the message.
 */
const enterLaterTerm = (raft: Raft, message: Message): boolean => {
  switch (message._tag) {
    case "PreVoteRequest":
      return true
    case "PreVoteResponse":
      if (message.granted) return true
      break
    case "VoteRequest":
      if (!message.transfer && trustsLeader(raft)) {
        trace(
          raft,
          "info",
          `ignores the campaign of node ${message.from} for term ${message.term}: node ${raft.leader} leads`
        )
        return false
      }
      break
    default:
      break
  }
  const leads = message._tag === "AppendRequest" || message._tag === "Heartbeat"
  const reason = leads ? `node ${message.from} leads` : `node ${message.from} is in term ${message.term}`
  spendTerms(raft, message.term)
  becomeFollower(raft, message.term, leads ? message.from : undefined, reason)
  if (raft.membership === "unknown") becomeLearner(raft, reason)
  return true
}

/** A message of an earlier term: its sender must learn that the term is over, or it would wait forever. */
const answerEarlierTerm = (raft: Raft, message: Message): void => {
  const { term } = raft
  const { id: from } = raft.config
  const to = message.from
  switch (message._tag) {
    case "AppendRequest":
    case "Heartbeat":
      return answerHeartbeat(raft, to, 0)
    case "VoteRequest":
      return send(raft, { _tag: "VoteResponse", from, to, term, granted: false })
    case "PreVoteRequest":
      return send(raft, { _tag: "PreVoteResponse", from, to, term, granted: false })
    case "ReadIndexRequest":
      return refuseRead(raft, to, message.readId)
    case "JoinRequest":
      return receiveJoinRequest(raft, message)
    default:
      return
  }
}
