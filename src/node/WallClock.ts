/**
 * The time on the wall, as most of the voters have it. Nothing of Raft rests on it. What is due at a time that people
 * name does (`actors/DueTime.ts`): the log's clock stands still while no node leads, and stays behind by that.
 */
import { majority } from "../raft/Quorum.ts"
import type { NodeId } from "../raft/Types.ts"

/**
 * The latest time that the clocks of a majority have reached, in whole milliseconds since 1970; `undefined` while fewer
 * are known. A minority whose clocks are ahead changes nothing, however far ahead they are. `peers` has what theirs
 * have reached at least.
 */
export const majorityWallMs = (
  ownMs: number,
  voters: ReadonlyArray<NodeId>,
  peers: ReadonlyMap<NodeId, number>
): number | undefined => {
  const reached = [ownMs]
  for (const [peer, wallMs] of peers) {
    if (voters.includes(peer)) reached.push(wallMs)
  }
  const latest = reached.sort((a, b) => b - a)[majority(voters.length) - 1]
  return latest === undefined ? undefined : Math.max(0, Math.floor(latest))
}
