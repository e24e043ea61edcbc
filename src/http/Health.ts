/** What a node says about its own health, for load balancers and orchestrators. */
import type { NodeStatus } from "../node/NodeStatus.ts"

/** Whether a node can serve, and if not, why in one line. */
export interface Readiness {
  readonly ready: boolean
  readonly reason: string
}

/** A node is ready once it waits for nothing (`node/Waiting.ts`). */
export const readiness = ({ applied, commit, leader, role, snapshots, term, waiting }: NodeStatus): Readiness => {
  if (waiting === undefined) {
    return { ready: true, reason: role === "leader" ? `leads term ${term}` : `follows node ${leader} in term ${term}` }
  }
  const { receiving } = snapshots
  if (waiting.kind === "state" && receiving !== undefined) {
    return { ready: false, reason: `${waiting.text}: ${receiving.bytes} of about ${receiving.estimatedBytes} bytes` }
  }
  return { ready: false, reason: waiting.kind === "apply" ? `${waiting.text}: ${commit - applied}` : waiting.text }
}
