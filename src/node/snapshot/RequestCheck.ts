/** Whether a node wants the state that a peer asks to send. */
import * as Raft from "../../raft/Raft.ts"
import type { SnapshotRequest } from "../../transport/PeerTransport.ts"
import { SnapshotRefused } from "../../protocol/SnapshotRefused.ts"

/** Why not, if it does not. `onClaim` gets the claim of a request that no correct node could make. */
export const refusalOf = (
  raft: Raft.Raft,
  { from, point, term }: SnapshotRequest,
  onClaim: (claim: string) => void
): SnapshotRefused | undefined => {
  const own = Raft.status(raft)
  const claim = Raft.snapshotProblem(raft, { from, point, term })
  if (claim !== undefined) {
    onClaim(claim)
    return new SnapshotRefused({ reason: claim, upToDate: false })
  }
  if (point.index <= own.applied) {
    return new SnapshotRefused({ reason: `node ${own.id} has applied ${own.applied} already`, upToDate: true })
  }
  if (term >= own.term && own.role !== "leader") return undefined
  return new SnapshotRefused({
    reason: `node ${own.id} is in term ${own.term}, and node ${from} sends in term ${term}`,
    upToDate: false
  })
}
