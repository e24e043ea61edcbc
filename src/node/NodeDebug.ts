/**
 * What the owner of a running node sees, for people who look for the cause of something: every counter that decides
 * what the core does next. Of bounded size, whatever the node holds.
 */
import { describeState } from "../raft/Describe.ts"
import type { Progress } from "../raft/Progress.ts"
import type { Raft } from "../raft/Raft.ts"
import { ticksUntilDue } from "../raft/Raft.ts"
import type { Leadership } from "../raft/State.ts"
import { diskStalled, termIsDurable } from "../raft/State.ts"
import type { NodeId } from "../raft/Types.ts"
import type { Inbox } from "./Inbox.ts"
import type { Pending } from "./Pending.ts"
import type { SnapshotStatus } from "./snapshot/SnapshotStatus.ts"

/** JSON as it is; times are in ticks of the logical clock. */
export type NodeDebug = ReturnType<typeof debugOf>

const followerOf = (peer: NodeId, progress: Progress) => ({
  peer,
  state: progress.state,
  match: progress.match,
  acknowledged: progress.acknowledged,
  next: progress.next,
  voter: progress.voter,
  probing: progress.probing,
  reading: progress.reading,
  silentTicks: progress.silentTicks,
  inflightMessages: progress.inflightMessages,
  inflightBytes: progress.inflightBytes
})

const leadershipOf = (leadership: Leadership) => ({
  termStart: leadership.termStart,
  followers: [...leadership.progress].map(([peer, progress]) => followerOf(peer, progress)),
  uncommittedBytes: leadership.backlog.bytes,
  uncommittedBatches: leadership.backlog.batches.length,
  waitingReads: leadership.reads.waiting,
  readRound: leadership.reads.newest,
  transfer: leadership.transfer ?? null,
  transferPause: leadership.transferPause,
  diskBehindTicks: leadership.diskBehindTicks,
  diskLagTicks: leadership.diskLagTicks,
  heartbeatElapsed: leadership.heartbeatElapsed,
  quorumElapsed: leadership.quorumElapsed
})

const logOf = ({ applied, applying, commit, log, stable }: Raft) => ({
  firstIndex: log.firstIndex,
  last: log.last,
  compacted: log.compacted,
  stable,
  commit,
  applied,
  applying: applying ?? null,
  cachedFrom: log.windowFirst,
  cachedBytes: log.windowBytes
})

const ticksOf = (raft: Raft) => {
  const due = ticksUntilDue(raft)
  return {
    electionElapsed: raft.electionElapsed,
    electionTimeout: raft.electionTimeout,
    persistElapsed: raft.persistElapsed,
    untilDue: Number.isFinite(due) ? due : null
  }
}

/** For a turn of the owner, or once there is none. */
export const debugOf = (raft: Raft, inbox: Inbox, pending: Pending, snapshots: SnapshotStatus) => {
  const { config, leadership, outstanding } = raft
  return {
    summary: describeState(raft),
    nodeId: config.id,
    role: raft.role,
    membership: raft.membership,
    leader: raft.leader ?? null,
    hardState: { term: raft.term, votedFor: raft.votedFor ?? null, durable: termIsDurable(raft) },
    log: logOf(raft),
    ticks: ticksOf(raft),
    persists: {
      outstanding: outstanding.length,
      oldest: outstanding[0]?.id ?? null,
      newest: raft.persistId,
      stalled: diskStalled(raft)
    },
    leadership: leadership === undefined ? null : leadershipOf(leadership),
    forwardedReads: raft.forwarded.size,
    claims: { termAllowance: raft.claims.allowance, farPeers: [...raft.claims.far.keys()] },
    pending: { commands: pending.waitingCommands, queries: pending.waitingQueries },
    inbox: { waiting: inbox.size },
    snapshots,
    settings: config
  }
}
