/** What a node says about where it stands. */
import { Clock, Effect } from "effect"
import { OwnIdentity } from "../machine/OwnIdentity.ts"
import { OwnLevel } from "../machine/OwnLevel.ts"
import type { ClusterIdentity } from "../protocol/ClusterIdentity.ts"
import type { Status } from "../raft/Raft.ts"
import type { NodeId, Role, Term } from "../raft/Types.ts"
import type { PeerHealth, PeerProcess } from "../transport/PeerTransport.ts"
import { PeerTransport } from "../transport/PeerTransport.ts"
import type { SnapshotStatus } from "./snapshot/SnapshotStatus.ts"
import type { Waiting } from "./Waiting.ts"
import { waitingOf } from "./Waiting.ts"
import { majorityWallMs } from "./WallClock.ts"

/** What the owner of a node knows: what its core says, and the snapshots in transfer. */
export interface OwnerStatus extends Omit<Status, "id" | "votedFor" | "stable"> {
  readonly nodeId: NodeId
  readonly snapshots: SnapshotStatus
}

/** Where the node stands, as its owner saw it. `protocol/NodeReport.ts` has what is said of it to others. */
export interface NodeStatus extends OwnerStatus {
  /** The identity of the cluster; `undefined` until this node has applied it. */
  readonly identity: ClusterIdentity | undefined
  /** What it waits for before it can serve; `undefined` when it can. */
  readonly waiting: Waiting | undefined
  readonly peers: ReadonlyArray<PeerHealth>
  /** The feature level of the cluster here, and the highest that this node knows. */
  readonly levels: { readonly current: number; readonly known: number }
  /** The processes of the peers that are connected to this node. */
  readonly processes: ReadonlyMap<NodeId, PeerProcess>
  /** What the clocks of a majority have reached; `undefined` while this node knows too few of them. */
  readonly wallMs: number | undefined
}

/** Completes what the owner knows. The clock is the node's own: who asks within its process may have another. */
export const completeStatus = Effect.gen(function*() {
  const clock = yield* Clock.Clock
  const identity = yield* OwnIdentity
  const level = yield* OwnLevel
  const transport = yield* PeerTransport
  return (own: OwnerStatus): Effect.Effect<NodeStatus> =>
    Effect.map(transport.health, (peers) => {
      const now = {
        ...own,
        identity: identity.current(),
        levels: { current: level.current().level, known: level.known.level },
        peers,
        processes: transport.peersUnsafe(),
        wallMs: majorityWallMs(clock.currentTimeMillisUnsafe(), own.voters, transport.wallClocksUnsafe())
      }
      return { ...now, waiting: waitingOf(now) }
    })
})

/** What the node last published about its role. */
export interface PublishedRole {
  readonly role: Role
  readonly term: Term
  readonly leader: NodeId | undefined
}

/** Where the node stands, as its owner sees it. */
export const ownerStatus = (nodeId: NodeId, status: Status, snapshots: SnapshotStatus): OwnerStatus => {
  const { id: _, stable: __, votedFor: ___, ...shown } = status
  return { nodeId, ...shown, snapshots }
}

/** How many entries each other voter lacks, as the leader knows; nothing at other nodes. */
export const followerLags = (
  { id, lastIndex, matches, role, voters }: Status
): ReadonlyArray<readonly [peer: NodeId, entries: number]> =>
  voters.filter((peer) => peer !== id).map((peer) => {
    const match = role === "leader" ? matches.find((known) => known.peer === peer)?.match ?? 0 : lastIndex
    return [peer, lastIndex - match]
  })
