/** Where a node stands, for people and for tests. */
import type { ProgressState } from "./Progress.ts"
import type { Raft } from "./State.ts"
import type { LogIndex, MembershipRole, NodeId, Role, Term } from "./Types.ts"

export interface Status {
  readonly id: NodeId
  readonly voters: ReadonlyArray<NodeId>
  readonly role: Role
  /** Whether it votes. */
  readonly membership: MembershipRole
  /** While its membership is unknown: the peers that said that they have never taken part either. */
  readonly fresh: ReadonlyArray<NodeId>
  readonly term: Term
  readonly votedFor: NodeId | undefined
  readonly leader: NodeId | undefined
  readonly commit: LogIndex
  readonly applied: LogIndex
  /** Every entry up to here is durable on this node. */
  readonly stable: LogIndex
  readonly firstIndex: LogIndex
  readonly lastIndex: LogIndex
  /** At a leader: how far each peer's log is known to match, and how entries are sent to it. */
  readonly matches: ReadonlyArray<{ readonly peer: NodeId; readonly match: LogIndex; readonly state: ProgressState }>
}

/** Where the node stands now: a copy. */
export const status = (raft: Raft): Status => ({
  id: raft.config.id,
  voters: raft.config.voters,
  role: raft.role,
  membership: raft.membership,
  fresh: raft.membership === "unknown" ? [...raft.join.fresh] : [],
  term: raft.term,
  votedFor: raft.votedFor,
  leader: raft.leader,
  commit: raft.commit,
  applied: raft.applied,
  stable: raft.stable,
  firstIndex: raft.log.firstIndex,
  lastIndex: raft.log.lastIndex,
  matches: [...raft.leadership?.progress ?? []].map(([peer, { match, state }]) => ({ peer, match, state }))
})
