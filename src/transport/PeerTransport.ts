/**
 * How the nodes of one cluster talk: fire-and-forget batches of messages out, batches in as they come, and snapshots on
 * ways of their own. A contract with a live layer over Effect RPC and TCP (`RpcTransport.ts`), an in-memory network
 * under the test's control (`MemoryTransport.ts`), and a conformance suite (`flaredb/testing`) that both pass.
 */
import type { SnapshotRefused } from "../protocol/SnapshotRefused.ts"
import { Context, Data } from "effect"
import type { Effect, Queue, Scope } from "effect"
import type { ClusterIdentity } from "../protocol/ClusterIdentity.ts"
import type { FeatureLevel } from "../protocol/FeatureLevel.ts"
import type { Message } from "../raft/Message.ts"
import type { LogPoint, NodeId, Term } from "../raft/Types.ts"

/** How far the wall clock of a peer is from this node's. */
export interface ClockDifference {
  /** Milliseconds that the peer is ahead of this node; negative when it is behind. */
  readonly offsetMs: number
  /** Milliseconds that the offset may be wrong by, in either direction. */
  readonly uncertaintyMs: number
}

export interface PeerClockHealth extends ClockDifference {
  /** That this is too much, and what to do, in one line; `undefined` while it is not. */
  readonly problem: string | undefined
}

/** The link to one peer, as this node sees it. */
export interface PeerHealth {
  readonly peer: NodeId
  /** Where it is looked for, where the transport has addresses. */
  readonly address?: string | undefined
  readonly connected: boolean
  /** When the link last changed, in milliseconds since the epoch. */
  readonly sinceMs: number
  /** Messages waiting to be sent. */
  readonly queued: number
  /** Messages dropped since start because the queue was full or the link was down. */
  readonly dropped: number
  /** Why it is not connected, in one line. */
  readonly lastError: string | undefined
  /** That another process runs under the peer's id, in one line, while it does. */
  readonly conflict?: string | undefined
  /** How far off its clock is; absent before it has answered. */
  readonly clock?: PeerClockHealth | undefined
}

/** Messages that came together. */
export interface Received {
  readonly messages: ReadonlyArray<Message>
  /** Which connection they came on, for {@link PeerTransport} to close it. */
  readonly connection: number
}

/** What is said of a snapshot before its first chunk. */
export interface SnapshotRequest {
  readonly from: NodeId
  readonly to: NodeId
  /** The term of the leader that sends it. */
  readonly term: Term
  /** The last entry it covers. */
  readonly point: LogPoint
  /** About how many bytes it has, for progress. */
  readonly estimatedBytes: number
}

/** The connection of a snapshot broke, or the other side did not answer in time. */
export class SnapshotLost extends Data.TaggedError("SnapshotLost")<{ readonly reason: string }> {
  override get message() {
    return this.reason
  }
}

/**
 * Where the chunks of a snapshot go (`protocol/SnapshotChunk.ts`): at the sender the connection to the peer, at the
 * peer the state.
 */
export interface SnapshotStream<E> {
  /**
   * Succeeds once the chunk is stored, and for the last one once the snapshot is installed. Several may be under way;
   * they are taken in the order of the calls.
   */
  readonly write: (chunk: Uint8Array) => Effect.Effect<void, E>
}

/** What the process at the other end of a link said of itself. */
export interface PeerProcess {
  /** Its release; `undefined` for one from before it was said. */
  readonly release: string | undefined
  /** The highest feature level that it knows. */
  readonly level: number
  /** The version of the protocol that is spoken with it. */
  readonly protocol: number
}

export class PeerTransport extends Context.Service<PeerTransport, {
  /**
   * Hands messages to their links and returns at once. Never fails and never waits: a message to a
   * slow or lost peer is dropped, oldest first, and Raft makes up for it. Order per peer is kept
   * among the messages that arrive. Synchronous, for the hot path.
   */
  readonly sendUnsafe: (messages: ReadonlyArray<Message>) => void

  /**
   * Has what was sent leave before it returns, as far as the connections take it. For a caller that holds up the thread
   * next: otherwise messages gather until this go of the program ends.
   */
  readonly flushUnsafe: () => void

  /**
   * Tells the transport which cluster this node is of, once it is known. From then on nothing is exchanged with a node
   * that knows another identity, also over connections that are open already.
   */
  readonly identifyUnsafe: (identity: ClusterIdentity) => void

  /**
   * Tells the transport which feature level the cluster has. From then on nothing is exchanged with a node that does
   * not know it.
   */
  readonly requireLevelUnsafe: (level: FeatureLevel) => void

  /** The processes that are connected to this node now. */
  readonly peersUnsafe: () => ReadonlyMap<NodeId, PeerProcess>

  /**
   * Hands batches from peers to `receiver` as they come, in order per peer, until the scope closes; before and
   * afterwards they are dropped. `receiver` is called where the batch is read and has to return soon. One at a time.
   */
  readonly receive: (receiver: (received: Received) => void) => Effect.Effect<void, never, Scope.Scope>

  /**
   * Closes the connection of a peer that claims what no correct node could, and names the peer and its claim in the
   * log, as far as the limits on such lines allow. Other connections, also those of the same peer, stay: a stranger may
   * have used its name. The peer may connect again.
   */
  readonly closeForUnsafe: (connection: number, peer: NodeId, claim: string) => void

  /**
   * What the clocks of the peers that are connected have reached at least, in milliseconds since 1970. Counted on from
   * their answers by this node's monotonic clock: when its own wall clock is set, they stay.
   */
  readonly wallClocksUnsafe: () => ReadonlyMap<NodeId, number>

  /** The state of each link. */
  readonly health: Effect.Effect<ReadonlyArray<PeerHealth>>

  /** Peers whose link was lost, one element per loss. */
  readonly lost: Queue.Dequeue<NodeId>

  /**
   * Opens a connection of its own to the peer of `request`, until the scope closes, so that a snapshot delays no
   * heartbeat and a slow receiver slows down its sender only.
   */
  readonly sendSnapshot: (
    request: SnapshotRequest
  ) => Effect.Effect<SnapshotStream<SnapshotRefused | SnapshotLost>, SnapshotRefused | SnapshotLost, Scope.Scope>

  /**
   * Hands the snapshots that peers ask to send to `take`, until the scope closes; before and afterwards they are
   * refused. The scope that `take` gets ends with the connection of the snapshot. One acceptor at a time.
   */
  readonly takeSnapshots: (
    take: (request: SnapshotRequest) => Effect.Effect<SnapshotStream<SnapshotRefused>, SnapshotRefused, Scope.Scope>
  ) => Effect.Effect<void, never, Scope.Scope>
}>()("flaredb/transport/PeerTransport") {}
