/**
 * Everything that can happen to a Raft node. `step` takes one of these and
 * answers with outputs; the core learns about the world in no other way.
 */
import type { Message } from "./Message.ts"
import type { Entry, LogIndex, LogPoint, NodeId, Term } from "./Types.ts"

/** A command a client wants in the log. */
export interface Proposal {
  /** Chosen by the driver, echoed in `Accepted` / `Refused`; never part of the log. */
  readonly id: number
  readonly payload: Uint8Array
  /** What the state machine made of the payload, for the entry. */
  readonly decoded?: unknown
}

/** Ticks of the logical clock (`Config.ts` counts timeouts in ticks). */
export interface Tick {
  readonly _tag: "Tick"
  /**
   * How many have passed; one where it is absent. Several, at most `ticksUntilDue` (`Deadline.ts`), do what as many
   * single ones do.
   */
  readonly count?: number
}

export interface Receive {
  readonly _tag: "Receive"
  readonly message: Message
}

/** Proposals of one turn, appended together when this node leads. */
export interface Propose {
  readonly _tag: "Propose"
  readonly proposals: ReadonlyArray<Proposal>
  /** The driver's clock of the log, the timestamp of the entries. */
  readonly nowMs: number
}

/** Linearizable reads of one turn; all of them share one round. `readId` is chosen by the driver, ascending. */
export interface ReadIndex {
  readonly _tag: "ReadIndex"
  readonly readId: number
}

/** Every `Persist` output up to and including `persistId` is durable. */
export interface Persisted {
  readonly _tag: "Persisted"
  readonly persistId: number
}

/** The state machine has applied everything up to `index`. */
export interface Applied {
  readonly _tag: "Applied"
  readonly index: LogIndex
}

/** The answer to a `ReadLog` output. Empty `entries` mean the range is no longer in the log. */
export interface LogRead {
  readonly _tag: "LogRead"
  readonly peer: NodeId
  /** Echo of the request, so that an answer from an earlier leadership is dropped. */
  readonly term: Term
  readonly from: LogIndex
  readonly entries: ReadonlyArray<Entry>
}

/** How sending a snapshot to `peer` ended. */
export interface SnapshotReported {
  readonly _tag: "SnapshotReported"
  readonly peer: NodeId
  /** The last entry the snapshot covers, when the peer installed it. */
  readonly installed: LogPoint | undefined
}

/** A snapshot replaced this node's state machine durably; its log is to restart after `point` (`RestartLog`). */
export interface SnapshotInstalled {
  readonly _tag: "SnapshotInstalled"
  readonly point: LogPoint
}

/**
 * The driver removed the log up to and including `through`: always applied, and durable in the state on disk. Raft §7
 * has a snapshot there; here the state itself is what a follower is sent.
 */
export interface Compacted {
  readonly _tag: "Compacted"
  readonly through: LogIndex
}

/** Hand leadership to `target`, or to the best follower when it is `undefined`. (thesis §3.10) */
export interface TransferLeader {
  readonly _tag: "TransferLeader"
  readonly target: NodeId | undefined
}

/**
 * The transport lost the link to `peer`: a leader's optimistic window falls back to probing, and a follower that lost
 * its leader does not wait for a whole election timeout.
 */
export interface PeerUnreachable {
  readonly _tag: "PeerUnreachable"
  readonly peer: NodeId
}

export type Event =
  | Tick
  | Receive
  | Propose
  | ReadIndex
  | Persisted
  | Applied
  | LogRead
  | SnapshotReported
  | SnapshotInstalled
  | Compacted
  | TransferLeader
  | PeerUnreachable
