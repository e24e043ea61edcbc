/**
 * How a node that may have forgotten what it promised comes back. Its disk was lost, or it is older than what the node
 * acknowledged; a node with an empty disk cannot even know whether the cluster is new.
 *
 * - A node of *unknown* membership has an empty disk and asks its peers. Only when every one of them says that it has
 *   never taken part is the cluster new, and the node a voter. Any other answer, and any message with a term, makes it
 *   a learner.
 * - A *learner* is no voter. It takes entries and acknowledges them, so that the leader knows what to send next, but it
 *   neither votes nor campaigns, and nothing it says counts: not towards a commit, a quorum check or a read round, and
 *   leadership is not handed to it. It asks the leader how far it has to learn. The leader answers with the end of its
 *   log, once another voter has confirmed, after the question, that it still leads. With the log committed and durable
 *   up to there the learner is a voter again.
 * - A *voter* whose log does not hold what the leader of its term says it acknowledged becomes a learner.
 *
 * `docs/divergence.md` has the argument that this keeps every promise. It holds for one disk at a time: the other two
 * nodes must keep theirs, and both have to run, until the learner is a voter again.
 */
import type { Heartbeat, JoinRequest, JoinResponse } from "./Message.ts"
import type { Raft } from "./State.ts"
import { acknowledge, emit, resetElectionTimer, send, trace } from "./State.ts"

/** One tick of a node that is no voter: it asks all peers, at the pace of heartbeats. */
export const tickJoin = (raft: Raft): void => {
  raft.join.elapsed += 1
  if (raft.join.elapsed < raft.config.heartbeatTicks) return
  raft.join.elapsed = 0
  const { id } = raft.config
  for (const to of raft.peers) {
    send(raft, { _tag: "JoinRequest", from: id, to, term: raft.term, joinId: raft.join.id })
  }
}

/** Says whether this node has ever taken part. What a leader says besides is in `Leader.ts`. */
export const answerJoin = (raft: Raft, { from, joinId }: JoinRequest): void => {
  const fresh = raft.term === 0 && raft.log.lastIndex === 0 && raft.membership !== "learner"
  send(raft, {
    _tag: "JoinResponse",
    from: raft.config.id,
    to: from,
    term: raft.term,
    joinId,
    fresh,
    learnThrough: undefined
  })
}

export const receiveJoinResponse = (raft: Raft, message: JoinResponse): void => {
  const { join } = raft
  if (raft.membership === "voter" || message.joinId !== join.id) return
  if (raft.membership === "unknown") {
    if (!message.fresh) return becomeLearner(raft, `node ${message.from} has taken part already`)
    join.fresh.add(message.from)
    if (join.fresh.size === raft.peers.length) becomeVoter(raft, "the cluster is new: every node is empty")
    return
  }
  if (message.learnThrough !== undefined && message.from === raft.leader) join.through = message.learnThrough
}

/** The cluster exists, so this node's disk was lost, or it comes late. */
export const becomeLearner = (raft: Raft, reason: string): void => {
  raft.membership = "learner"
  raft.gathered.hardState = true
  trace(raft, "warning", `has an empty disk in a cluster that exists (${reason}): does not vote until it has caught up`)
}

/**
 * The leader of this term has an acknowledgement of this node for an entry that this node does not hold. Within a term
 * a follower never loses what it acknowledged, so its disk went back. A learner hears this of the disk that was lost,
 * when an acknowledgement from before arrived after its question: it asks again, and the leader begins again with it.
 */
export const acknowledgedEntriesLost = (raft: Raft, { from, match }: Heartbeat): void => {
  raft.join.id += 1
  raft.join.through = undefined
  if (raft.membership !== "voter") return
  emit(raft, { _tag: "DirectoryRolledBack", leader: from, acknowledged: match, last: raft.log.last })
  raft.membership = "learner"
  raft.gathered.hardState = true
}

/**
 * A learner that has what the leader told it to learn is a voter, and what it holds counts from now on. The disk that
 * was lost may have held a vote of this term, so this node gives no other one in it: it notes the leader, which has won
 * the term already. (`docs/divergence.md`, point 2)
 */
export const finishLearning = (raft: Raft): void => {
  const { through } = raft.join
  if (raft.membership !== "learner" || through === undefined || raft.commit < through || raft.stable < through) return
  raft.votedFor ??= raft.leader
  becomeVoter(raft, `it has caught up through ${through}`)
  if (raft.leader !== undefined) acknowledge(raft, raft.leader, raft.commit)
}

const becomeVoter = (raft: Raft, reason: string): void => {
  raft.membership = "voter"
  raft.gathered.hardState = true
  resetElectionTimer(raft)
  trace(raft, "info", `is a voter: ${reason}`)
}
