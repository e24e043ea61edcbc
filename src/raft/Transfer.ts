/** Leadership that is handed over, so that no client waits for an election timeout. (thesis §3.10) */
import type { Leadership, Raft } from "./State.ts"
import { send, trace } from "./State.ts"
import type { NodeId } from "./Types.ts"
import { LogIndex as toIndex } from "./Types.ts"

/**
 * Begins to hand leadership over: no new commands, and the target is asked once it has the whole log. (thesis §3.10)
 * To ask again while a transfer is under way does not lengthen it, also for another target, and a transfer that failed
 * is followed by a pause of the same length: writes are refused for a bounded share of the time, however often
 * an operator asks.
 */
export const transferLeadership = (raft: Raft, leadership: Leadership, wanted: NodeId | undefined): void => {
  const target = wanted ?? leadership.transfer?.target ?? bestFollower(raft, leadership)
  if (target === raft.config.id || target !== undefined && target === leadership.transfer?.target) return
  const refusal = target === undefined ? "no voter answers" : refuseTransfer(raft, leadership, target)
  if (target === undefined || refusal !== undefined) {
    return trace(raft, "warning", `does not hand leadership to node ${target ?? "(none)"}: ${refusal}`)
  }
  leadership.transfer = { target, elapsed: leadership.transfer?.elapsed ?? 0, asked: false }
  trace(raft, "info", `hands leadership to node ${target}`)
  completeTransfer(raft, leadership)
}

/** Why leadership cannot go to a node, if so. */
const refuseTransfer = (raft: Raft, leadership: Leadership, target: NodeId): string | undefined => {
  const progress = leadership.progress.get(target)
  if (progress === undefined) return "it is no member of this cluster"
  if (!progress.voter) return "it is no voter until it has caught up"
  if (!progress.heardWithin(raft.config.electionTicksMin)) {
    return `it has not answered for ${progress.silentTicks} ticks`
  }
  if (leadership.transferPause > 0) return "a transfer has just failed"
  return undefined
}

/** The voter that is furthest of those that answer. */
export const bestFollower = (raft: Raft, leadership: Leadership): NodeId | undefined => {
  let best: NodeId | undefined
  let match = toIndex(0)
  for (const [peer, progress] of leadership.progress) {
    if (!progress.voter || !progress.heardWithin(raft.config.electionTicksMin)) continue
    if (best !== undefined && progress.match <= match) continue
    best = peer
    match = progress.match
  }
  return best
}

export const completeTransfer = (raft: Raft, leadership: Leadership): void => {
  const { transfer } = leadership
  if (transfer === undefined || transfer.asked) return
  if (leadership.progress.get(transfer.target)?.match !== raft.log.lastIndex) return
  transfer.asked = true
  send(raft, { _tag: "TimeoutNow", from: raft.config.id, to: transfer.target, term: raft.term })
}

/** One tick of a transfer that is under way, or of the pause after one that failed. */
export const tickTransfer = (raft: Raft, leadership: Leadership): void => {
  const { electionTicksMin } = raft.config
  if (leadership.transferPause > 0) leadership.transferPause -= 1
  const { transfer } = leadership
  if (transfer !== undefined && ++transfer.elapsed >= electionTicksMin) {
    leadership.transfer = undefined
    leadership.transferPause = electionTicksMin
    trace(raft, "warning", `gives up handing leadership to node ${transfer.target}: it did not take over in time`)
  }
}
