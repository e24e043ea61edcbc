/** What a node says about its own health, for load balancers and orchestrators. */
import type { NodeStatus } from "../node/RaftNode.ts"

/** Whether a node can serve, and if not, why in one line. */
export interface Readiness {
  readonly ready: boolean
  readonly reason: string
}

/** Entries a ready node may be behind what it knows to be committed: about a batch of applying. */
const maxLag = 10_000

/**
 * A node is ready once it knows a leader and has applied nearly all that it knows to be committed. One that lost its
 * disk, or is being sent the state as a whole, knows too little to say so.
 */
export const readiness = (status: NodeStatus): Readiness => {
  const { applied, commit, leader, role, snapshots, standing, term } = status
  if (snapshots.receiving !== undefined) {
    return { ready: false, reason: `receives the state from node ${snapshots.receiving.peer}` }
  }
  if (standing === "learner") {
    return { ready: false, reason: "its disk was lost or went back, and it has not caught up yet" }
  }
  if (standing === "newcomer") {
    return { ready: false, reason: "its disk is empty, and it has not heard from all others yet" }
  }
  if (leader === undefined) return { ready: false, reason: `${role} in term ${term}: no leader is known` }
  const lag = commit - applied
  if (lag > maxLag) return { ready: false, reason: `${lag} committed entries are still to be applied` }
  return { ready: true, reason: role === "leader" ? `leads term ${term}` : `follows node ${leader} in term ${term}` }
}
