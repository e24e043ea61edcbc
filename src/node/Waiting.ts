/**
 * What a node waits for before it can serve, in words for people: for those that read its log, its status page,
 * `/readyz` or `flaredb status`, and for clients that wait with it.
 */
import { isFarBehind } from "../config/HealthThresholds.ts"
import { majority } from "../raft/Quorum.ts"
import type { LogIndex, MembershipRole, NodeId, Role, Term } from "../raft/Types.ts"
import { compareNodeId } from "../raft/Types.ts"
import type { PeerHealth } from "../transport/PeerTransport.ts"
import type { SnapshotStatus } from "./snapshot/SnapshotStatus.ts"

/** The kinds of waiting, in the order in which they come. */
export const waitKinds = ["nodes", "catch-up", "state", "leader", "apply"] as const

export type WaitKind = typeof waitKinds[number]

export interface Waiting {
  /**
   * `nodes`: a new cluster has to be complete before it begins. `catch-up`: the disk was lost or went back, and the
   * node does not vote before it has caught up. `state`: the whole state is being received. `leader`: no node leads.
   * `apply`: what is known to be committed is still to be applied.
   */
  readonly kind: WaitKind
  /** The nodes that are missing. */
  readonly nodes: ReadonlyArray<NodeId>
  /** Without numbers that change while nothing else does, so that the same sentence means the same state. */
  readonly text: string
}

/** What is looked at. */
export interface WaitingNode {
  readonly voters: ReadonlyArray<NodeId>
  readonly role: Role
  readonly membership: MembershipRole
  readonly fresh: ReadonlyArray<NodeId>
  readonly term: Term
  readonly leader: NodeId | undefined
  readonly commit: LogIndex
  readonly applied: LogIndex
  readonly snapshots: Pick<SnapshotStatus, "receiving">
  readonly peers: ReadonlyArray<PeerHealth>
}

/** Characters of a peer's problem that are repeated. */
const maxProblem = 200

/** `node 3 (10.0.0.3:7101: nobody listens there)`. */
const missing = (peers: ReadonlyArray<PeerHealth>): string =>
  [...peers].sort((a, b) => compareNodeId(a.peer, b.peer)).map(({ address, connected, lastError, peer }) => {
    const problem = connected ? "connected, no answer yet" : (lastError ?? "not connected yet").slice(0, maxProblem)
    return `node ${peer} (${address === undefined ? "" : `${address}: `}${problem})`
  }).join(" and ")

/** What the node waits for; `undefined` when it can serve. */
export const waitingOf = (node: WaitingNode): Waiting | undefined => {
  const { applied, commit, fresh, leader, peers, role, snapshots, membership, term, voters } = node
  const waiting = (kind: WaitKind, text: string, nodes: ReadonlyArray<PeerHealth> = []): Waiting => ({
    kind,
    nodes: nodes.map(({ peer }) => peer),
    text: `waiting for ${text}`
  })
  const unconnected = peers.filter(({ connected }) => !connected)

  if (snapshots.receiving !== undefined) {
    return waiting("state", `the whole state from node ${snapshots.receiving.peer}, which is being received`)
  }
  if (membership === "unknown") {
    const unheard = peers.filter(({ peer }) => !fresh.includes(peer))
    const who = unheard.length === 0 ? "the other nodes" : missing(unheard)
    return waiting("nodes", `${who}: a new cluster begins when all ${voters.length} nodes have answered`, unheard)
  }
  if (membership === "learner") {
    const why = "its disk was lost or went back, so it does not vote until it has caught up"
    if (unconnected.length > 0) {
      return waiting("catch-up", `${missing(unconnected)}: ${why}, and needs all other nodes for that`, unconnected)
    }
    if (leader === undefined) return waiting("catch-up", `a leader: ${why}`)
    return waiting("catch-up", `the log of node ${leader}, which leads: ${why}`)
  }
  if (leader === undefined) {
    const needed = majority(voters.length)
    return peers.length - unconnected.length + 1 < needed
      ? waiting("leader", `${missing(unconnected)}: ${needed} of ${voters.length} nodes elect a leader`, unconnected)
      : waiting("leader", `a leader: ${role} in term ${term}`)
  }
  return isFarBehind(commit - applied)
    ? waiting("apply", "committed entries to be applied")
    : undefined
}
