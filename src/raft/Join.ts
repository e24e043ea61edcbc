/**
 * How a node with an empty disk comes into the cluster. It cannot know whether the cluster is new or its disk was lost;
 * if the disk was lost it has forgotten votes and acknowledgements, and must not vote as if it had never given any.
 *
 * - A *newcomer* asks its peers. Only when every one of them says that it has never taken part is the cluster new, and
 *   the newcomer a voter. Anything else, and any word of a term, makes it a learner.
 * - A *learner* takes entries and acknowledges them like a follower; it neither votes nor campaigns, and its heartbeats
 *   prove nothing to a reading leader. It asks the leader how far it has to learn. The leader answers with the end of its
 *   log, once another voter has confirmed, after the question, that it still leads. With the log committed and durable up
 *   to there the learner is a voter again.
 *
 * Why that is enough. What the lost disk had acknowledged to this leader, it was sent before the question: it is within
 * the leader's log at that time, so the learner has it again before it votes. What it had acknowledged to an earlier
 * leader was either committed, and then this leader has it, or it was not. And a vote that was lost can elect nobody any
 * more: the leader and the voter that confirmed it are both in the leader's term, so no candidate of a later
 * term has anything to count; in this term the node holds itself to the leader it follows.
 */
import type { JoinRequest, JoinResponse } from "./Message.ts"
import type { Raft } from "./State.ts"
import { resetElectionTimer, send, trace } from "./State.ts"

/** One tick of a node that is no voter: it asks everybody, at the pace of heartbeats. */
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
  const fresh = raft.term === 0 && raft.log.lastIndex === 0 && raft.standing !== "learner"
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
  if (raft.standing === "voter" || message.joinId !== join.id) return
  if (raft.standing === "newcomer") {
    if (!message.fresh) return becomeLearner(raft, `node ${message.from} has taken part already`)
    join.fresh.add(message.from)
    if (join.fresh.size === raft.peers.length) becomeVoter(raft, "the cluster is new: every node is empty")
    return
  }
  if (message.learnThrough !== undefined && message.from === raft.leader) join.through = message.learnThrough
}

/** The cluster exists, so this node's disk was lost, or it comes late. */
export const becomeLearner = (raft: Raft, reason: string): void => {
  raft.standing = "learner"
  raft.gathered.hardState = true
  trace(raft, "warning", `has an empty disk in a cluster that exists (${reason}): does not vote until it has caught up`)
}

/** A learner that has what the leader told it to learn is a voter. */
export const finishLearning = (raft: Raft): void => {
  const { through } = raft.join
  if (raft.standing !== "learner" || through === undefined || raft.commit < through || raft.stable < through) return
  raft.votedFor ??= raft.leader
  becomeVoter(raft, `it has caught up through ${through}`)
}

const becomeVoter = (raft: Raft, reason: string): void => {
  raft.standing = "voter"
  raft.gathered.hardState = true
  resetElectionTimer(raft)
  trace(raft, "info", `is a voter: ${reason}`)
}
