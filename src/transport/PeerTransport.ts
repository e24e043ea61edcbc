/**
 * How the nodes of one cluster talk: fire-and-forget batches of messages out, one inbox in. A
 * contract with a live layer over Effect RPC and TCP (`RpcTransport.ts`), an in-memory network under the
 * test's control (`MemoryTransport.ts`), and a conformance suite (`flaredb/testing`) that both pass.
 */
import { Context } from "effect"
import type { Queue } from "effect"
import type { Effect } from "effect"
import type { Message } from "../raft/Message.ts"
import type { NodeId } from "../raft/Types.ts"

/** The link to one peer, as this node sees it. */
export interface PeerHealth {
  readonly peer: NodeId
  readonly connected: boolean
  /** When the link last changed, in milliseconds since the epoch. */
  readonly sinceMs: number
  /** Messages waiting to be sent. */
  readonly queued: number
  /** Messages dropped since start because the queue was full or the link was down. */
  readonly dropped: number
  /** Why it is not connected, in one line. */
  readonly lastError: string | undefined
}

export class PeerTransport extends Context.Service<PeerTransport, {
  /**
   * Hands messages to their links and returns at once. Never fails and never waits: a message to a
   * slow or lost peer is dropped, oldest first, and Raft makes up for it. Order per peer is kept
   * among the messages that arrive. Synchronous, for the hot path.
   */
  readonly sendUnsafe: (messages: ReadonlyArray<Message>) => void

  /** Batches received from peers, in order per peer. Bounded: when the owner falls behind, the oldest are dropped. */
  readonly inbox: Queue.Dequeue<ReadonlyArray<Message>>

  /** The state of each link. */
  readonly health: Effect.Effect<ReadonlyArray<PeerHealth>>

  /** Peers whose link was lost, one element per loss. */
  readonly lost: Queue.Dequeue<NodeId>
}>()("flaredb/transport/PeerTransport") {}
