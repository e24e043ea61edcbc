/** What a node says about its own health, for load balancers and orchestrators. */
import type { NodeStatus } from "../node/RaftNode.ts"

/** Whether a node can serve, and if not, why in one line. */
export interface Readiness {
  readonly ready: boolean
  readonly reason: string
}

/** Entries a ready node may be behind what it knows to be committed: about a batch of applying. */
const maxLag = 10_000

/** A node is ready once it knows a leader and has applied nearly all that it knows to be committed. */
export const readiness = (status: NodeStatus): Readiness => {
  const { applied, commit, leader, role, term } = status
  if (leader === undefined) return { ready: false, reason: `${role} in term ${term}: no leader is known` }
  const lag = commit - applied
  if (lag > maxLag) return { ready: false, reason: `${lag} committed entries are still to be applied` }
  return { ready: true, reason: role === "leader" ? `leads term ${term}` : `follows node ${leader} in term ${term}` }
}
