/** What a node of a simulation finds around it, and what the simulation wants to know of it. */
import type { StepObserver } from "../../../src/node/StepObserver.ts"
import type { Message } from "../../../src/raft/Message.ts"
import type { Entry, NodeId } from "../../../src/raft/Types.ts"
import type { SnapshotRequest } from "../../../src/transport/PeerTransport.ts"
import type { Timeline } from "../engine/Timeline.ts"
import type { Random } from "../Random.ts"
import type { DiskHealth } from "./SimEngine.ts"
import type { SimNetwork } from "./SimNetwork.ts"
import type { SimNode } from "./SimNode.ts"

/** What the simulation wants to know of its nodes. */
export interface NodeWatcher {
  readonly stepped: (node: SimNode, ...step: Parameters<StepObserver["stepped"]>) => void
  readonly sends: (node: SimNode, messages: ReadonlyArray<Message>) => void
  readonly started: (node: SimNode) => void
  /** The node stopped serving, or, when it never `ran`, refuses to start. */
  readonly ended: (node: SimNode, reason: string, ran: boolean) => void
  /** Entries are about to be applied. */
  readonly applies: (node: SimNode, entries: ReadonlyArray<Entry>) => void
  /** Commands were applied and answered, before anybody hears of it. */
  readonly applied: (node: SimNode, entries: ReadonlyArray<Entry>, replies: ReadonlyArray<Uint8Array>) => void
  /** A state is complete up to an entry. */
  readonly completes: (node: SimNode, index: number, digest: number) => void
  /** A chunk of a snapshot reaches its receiver. */
  readonly snapshotArrives: (request: SnapshotRequest) => void
  /** A bit of a chunk had flipped in flight. */
  readonly snapshotFlipped: (request: SnapshotRequest, taken: boolean) => void
  /** A node closes the connection of a peer. */
  readonly closes: (node: SimNode, peer: NodeId, claim: string) => void
  readonly log: ((node: SimNode, line: string) => void) | undefined
}

export interface NodeWorld {
  readonly random: Random
  readonly timeline: Timeline
  readonly network: SimNetwork
  readonly watcher: NodeWatcher
  readonly health: (node: NodeId) => DiskHealth
}
