/**
 * How long nothing can come of time alone. Ticks before the deadline only count, so a driver may let them pass and hand
 * them over in one event: the outputs are the same as those of single ticks. (`test/raft/deadline.property.test.ts`)
 */
import type { Leadership, Raft } from "./State.ts"

/** Ticks from now until the first that may have outputs, at least one; infinite where none ever has. */
export const ticksUntilDue = (raft: Raft): number => {
  const { leadership } = raft
  return Math.max(1, leadership === undefined ? notLeading(raft) : leading(raft, leadership))
}

/** A follower, a candidate, or a node that does not vote: the election timeout, a read passed on, the next question. */
const notLeading = ({ config, electionElapsed, electionTimeout, forwarded, join, membership }: Raft): number => {
  const due = Math.min(electionTimeout - electionElapsed, forwarded.ticksUntilExpiry(config.electionTicksMin))
  return membership === "voter" ? due : Math.min(due, config.heartbeatTicks - join.elapsed)
}

/** A leader: the next heartbeat, and what makes it step down or hand over. Without peers it needs none. */
const leading = ({ config, outstanding, peers, persistElapsed }: Raft, leadership: Leadership): number => {
  if (peers.length === 0) return Number.POSITIVE_INFINITY
  const { diskLagTicks, heartbeatElapsed, quorumElapsed, transfer } = leadership
  const { electionTicksMin, heartbeatTicks, maxPersistTicks } = config
  let due = Math.min(heartbeatTicks - heartbeatElapsed, electionTicksMin - quorumElapsed)
  if (transfer !== undefined) due = Math.min(due, electionTicksMin - transfer.elapsed)
  if (outstanding.length > 0) due = Math.min(due, maxPersistTicks - persistElapsed, electionTicksMin - diskLagTicks)
  return due
}
