/**
 * What the core asks of the world. The driver carries the outputs of one step
 * out in their order.
 *
 * The heart is `Persist`: messages that promise what the disk does not hold yet
 * travel inside it and leave only once the disk has it, so "answered before
 * durable" cannot be written down.
 */
import type { Message } from "./Message.ts"
import type { Entry, HardState, LogIndex, LogPoint, NodeId, Role, Term } from "./Types.ts"

/** Make this durable, in order, then send `thenSend`, then report `Persisted { persistId }`. */
export interface Persist {
  readonly _tag: "Persist"
  /** Ascending by one within a process. */
  readonly persistId: number
  readonly hardState: HardState | undefined
  /** Delete the log from this index on, before `entries` are written. */
  readonly truncateFrom: LogIndex | undefined
  readonly entries: ReadonlyArray<Entry>
  readonly thenSend: ReadonlyArray<Message>
}

/** Send now. Safe to lose, repeat, reorder. */
export interface Send {
  readonly _tag: "Send"
  readonly messages: ReadonlyArray<Message>
}

/**
 * Apply committed entries `from..through`, which are durable here. `entries` holds them
 * unless they have left the core's memory; then the driver reads them from the log store.
 * At most one `Apply` is outstanding: the next one follows the `Applied` event.
 */
export interface Apply {
  readonly _tag: "Apply"
  readonly from: LogIndex
  readonly through: LogIndex
  readonly entries: ReadonlyArray<Entry> | undefined
}

/** These proposals were appended at `firstIndex`, consecutively, in `term`. Not committed yet. */
export interface Accepted {
  readonly _tag: "Accepted"
  readonly ids: ReadonlyArray<number>
  readonly firstIndex: LogIndex
  readonly term: Term
}

/** Why a proposal was not appended. */
export type RefusedReason =
  | { readonly _tag: "NotLeader"; readonly leader: NodeId | undefined }
  | { readonly _tag: "Overloaded"; readonly uncommittedBytes: number; readonly limitBytes: number }
  /** Leadership is being handed over; safe to retry at the next leader. */
  | { readonly _tag: "Transferring"; readonly target: NodeId }

/** These proposals were not appended and never will be: safe to retry. */
export interface Refused {
  readonly _tag: "Refused"
  readonly ids: ReadonlyArray<number>
  readonly reason: RefusedReason
}

/** These reads may be served once `index` is applied here. */
export interface ReadReady {
  readonly _tag: "ReadReady"
  readonly readIds: ReadonlyArray<number>
  readonly index: LogIndex
}

/** These reads were given up (no leader known, leadership lost, refused by the leader): safe to retry. */
export interface ReadRefused {
  readonly _tag: "ReadRefused"
  readonly readIds: ReadonlyArray<number>
  readonly leader: NodeId | undefined
}

/** The role, term or known leader changed. */
export interface RoleChanged {
  readonly _tag: "RoleChanged"
  readonly role: Role
  readonly term: Term
  readonly leader: NodeId | undefined
  /** One sentence for the log: why. */
  readonly reason: string
}

/** Read `from..` for a follower whose next entries have left the core's memory; answer with `LogRead`. */
export interface ReadLog {
  readonly _tag: "ReadLog"
  readonly peer: NodeId
  readonly term: Term
  readonly from: LogIndex
  readonly through: LogIndex
  readonly maxBytes: number
}

/**
 * `peer` needs entries the log no longer has. Send a snapshot of at least `atLeast`; answer with `SnapshotReported`.
 */
export interface SendSnapshot {
  readonly _tag: "SendSnapshot"
  readonly peer: NodeId
  readonly term: Term
  readonly atLeast: LogPoint
}

/**
 * A snapshot took the place of this node's state: remove the log up to and including `point` and, unless `keepsTail`,
 * all that follows it, in order with the `Persist`s before and after. Nothing waits for it: the state that covers it
 * is durable, and a start that finds that state with the old log does the same.
 */
export interface RestartLog {
  readonly _tag: "RestartLog"
  readonly point: LogPoint
  /** The log holds the entry at `point`, so what follows is still its continuation. */
  readonly keepsTail: boolean
}

/**
 * The leader of this term holds an acknowledgement of this node that the node's log does not bear out: the data
 * directory is older than what was acknowledged (a copy, a restored disk image), or the disk lost synced writes. The
 * node is no voter until it has caught up.
 */
export interface DirectoryRolledBack {
  readonly _tag: "DirectoryRolledBack"
  readonly leader: NodeId
  /** The last entry that this node acknowledged to that leader. */
  readonly acknowledged: LogPoint
  /** The last entry that this node has. */
  readonly last: LogPoint
}

/**
 * A peer claims what no node that follows Raft can claim. Its message was dropped and changed nothing; the connection
 * it came on is to be closed, and the peer named in the log.
 */
export interface PeerViolation {
  readonly _tag: "PeerViolation"
  readonly peer: NodeId
  /** What it claims, and what this node knows that contradicts it. */
  readonly claim: string
}

/** Something worth a log line that changes nothing (a refused vote and why, a conflict and how far it went back). */
export interface Trace {
  readonly _tag: "Trace"
  readonly level: "debug" | "info" | "warning"
  readonly message: string
}

export type Output =
  | Persist
  | Send
  | Apply
  | Accepted
  | Refused
  | ReadReady
  | ReadRefused
  | RoleChanged
  | ReadLog
  | SendSnapshot
  | RestartLog
  | DirectoryRolledBack
  | PeerViolation
  | Trace
