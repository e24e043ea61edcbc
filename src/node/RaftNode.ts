/**
 * One node of the cluster: takes commands, gets them committed by a majority, applies them, and answers
 * linearizable reads. `RaftNode.layer` composes the driver in this folder over the ports (`LogStore`,
 * `PeerTransport`, `RaftTimer`) and a `StateMachine`.
 */
import { Context } from "effect"
import type { Deferred, Effect, SubscriptionRef } from "effect"
import type { ReadError, WriteError, Fatal } from "../FlareDbError.ts"
import type { LogIndex, LogPoint, NodeId, Role, Term } from "../raft/Types.ts"
import type { PeerHealth } from "../transport/PeerTransport.ts"

/** Where the node stands, as its owner fiber last published it. */
export interface NodeStatus {
  readonly nodeId: NodeId
  readonly voters: ReadonlyArray<NodeId>
  readonly role: Role
  readonly term: Term
  readonly leader: NodeId | undefined
  readonly commit: LogIndex
  readonly applied: LogIndex
  readonly firstIndex: LogIndex
  readonly lastIndex: LogIndex
  /** At a leader: how far each peer's log is known to match. */
  readonly matches: ReadonlyArray<{ readonly peer: NodeId; readonly match: LogIndex }>
  readonly peers: ReadonlyArray<PeerHealth>
}

export type Consistency = "linearizable" | "stale"

export class RaftNode extends Context.Service<RaftNode, {
  /**
   * Appends the commands in order when this node leads and answers each once it was committed and applied.
   * The result of each command stands alone: an error of one says nothing about the next. Resolves when all have one.
   */
  readonly propose: (commands: ReadonlyArray<Uint8Array>) => Effect.Effect<ReadonlyArray<Uint8Array | WriteError>>

  /**
   * Answers queries from this node's state. `linearizable` sees every write acknowledged before the call,
   * at any node (a follower asks the leader for the read index); `stale` answers from whatever is applied here.
   */
  readonly query: (
    queries: ReadonlyArray<Uint8Array>,
    consistency: Consistency
  ) => Effect.Effect<ReadonlyArray<Uint8Array | ReadError>>

  readonly status: Effect.Effect<NodeStatus>

  /** The published role, for waiting on state: "until this node leads", "until a leader is known". */
  readonly role: SubscriptionRef.SubscriptionRef<{ readonly role: Role; readonly term: Term; readonly leader: NodeId | undefined }>

  /** The applied point, for waiting on state. */
  readonly applied: SubscriptionRef.SubscriptionRef<LogPoint>

  /** Hands leadership to `target` (or the best follower) and returns once the request was taken. */
  readonly transferLeader: (target: NodeId | undefined) => Effect.Effect<void>

  /** Fails when the node had to stop serving; never succeeds. The process exits on it. */
  readonly fatal: Deferred.Deferred<never, Fatal>
}>()("flaredb/node/RaftNode") {}
