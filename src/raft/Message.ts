/**
 * Everything one Raft node says to another.
 *
 * Any message may be lost, repeated, delayed or reordered; the core is right
 * under all of it. Messages that promise durability (granted votes, append
 * acknowledgements, a candidate's own requests) leave the core inside a `Persist` output, or as a plain `Send` when
 * the disk holds everything already that this node has written. (`flush` in `State.ts`)
 */
import type { Entry, LogIndex, LogPoint, NodeId, Term } from "./Types.ts"

interface Envelope {
  readonly from: NodeId
  readonly to: NodeId
  /** The sender's term. For pre-votes: the term the sender would campaign in (request), see each message. */
  readonly term: Term
}

/**
 * "Would you vote for me in `term`?" `term` is the sender's term + 1, and asking changes nothing
 * at either side. (thesis §9.6)
 */
export interface PreVoteRequest extends Envelope {
  readonly _tag: "PreVoteRequest"
  readonly last: LogPoint
}

/** When granted, `term` echoes the request's; when refused it is the responder's own term. */
export interface PreVoteResponse extends Envelope {
  readonly _tag: "PreVoteResponse"
  readonly granted: boolean
}

/** RequestVote (Raft §5.2). */
export interface VoteRequest extends Envelope {
  readonly _tag: "VoteRequest"
  readonly last: LogPoint
  /**
   * Set when the old leader asked for this election: receivers then skip the leader-stickiness check. (thesis §3.10)
   */
  readonly transfer: boolean
}

export interface VoteResponse extends Envelope {
  readonly _tag: "VoteResponse"
  readonly granted: boolean
}

/** AppendEntries with entries, or an empty probe (Raft §5.3). */
export interface AppendRequest extends Envelope {
  readonly _tag: "AppendRequest"
  /** The entry right before `entries`; the receiver must hold it. */
  readonly prev: LogPoint
  readonly entries: ReadonlyArray<Entry>
  readonly commit: LogIndex
}

/** An answer to a leader. */
interface Answer extends Envelope {
  /**
   * The sender is a voter. What a non-voter says tells the leader what to send it next and counts for nothing else: no
   * commit, no quorum check, no read round, no transfer. (`Join.ts`)
   */
  readonly voter: boolean
}

/** The follower's log matches the leader's up to `match`, and is durable that far. */
export interface AppendAccepted extends Answer {
  readonly _tag: "AppendAccepted"
  readonly match: LogIndex
}

/**
 * The follower does not hold the request's `prev`. `hint` is the last point of
 * its log at or before `prev` whose term is at most `prev`'s: the leader skips a
 * whole conflicting term at a time instead of one entry. (Raft §5.3, end)
 */
export interface AppendRejected extends Answer {
  readonly _tag: "AppendRejected"
  /** The index of the refused request's `prev`, which tells a stale refusal from a fresh one. */
  readonly rejected: LogIndex
  readonly hint: LogPoint
  /** The last index of the follower's log. */
  readonly lastIndex: LogIndex
}

/**
 * Keeps the follower's election timer quiet, carries the commit index, and, with `readRound`,
 * asks for the proof of leadership that linearizable reads need. (thesis §6.4)
 */
export interface Heartbeat extends Envelope {
  readonly _tag: "Heartbeat"
  /**
   * The last entry that the follower acknowledged to this leader in this term: `origin` before the first one, and
   * while the leader's log no longer holds it. A follower that holds it has the leader's log up to there. One that
   * does not has lost what it acknowledged.
   */
  readonly match: LogPoint
  /** min(leader's commit, match): a follower never commits past what is known to match in this term. */
  readonly commit: LogIndex
  /** The newest read round of this leader's term; 0 when there was none. */
  readonly readRound: number
}

export interface HeartbeatResponse extends Answer {
  readonly _tag: "HeartbeatResponse"
  /** Echo of the heartbeat's `readRound`. */
  readonly readRound: number
}

/** A follower passes linearizable reads on to the leader: all those of one turn have one id. (thesis §6.4) */
export interface ReadIndexRequest extends Envelope {
  readonly _tag: "ReadIndexRequest"
  /** Chosen by the follower, unique within its process lifetime. */
  readonly readId: number
}

/** The leader's answer: reads of `readId` may be served once `index` is applied; `undefined` refuses them. */
export interface ReadIndexResponse extends Envelope {
  readonly _tag: "ReadIndexResponse"
  readonly readId: number
  readonly index: LogIndex | undefined
}

/** The leader asks the follower that it hands leadership to, which has the whole log, to campaign. (thesis §3.10) */
export interface TimeoutNow extends Envelope {
  readonly _tag: "TimeoutNow"
}

/** A node that is no voter asks whether the cluster is new, and what it has to learn when it is not. (`Join.ts`) */
export interface JoinRequest extends Envelope {
  readonly _tag: "JoinRequest"
  /**
   * Random at each start, so that an answer from before a restart is not taken for one to this, and another one
   * whenever the node has to begin again.
   */
  readonly joinId: number
}

export interface JoinResponse extends Envelope {
  readonly _tag: "JoinResponse"
  /** Echo of the request's. */
  readonly joinId: number
  /** The sender has never taken part: it is empty itself. */
  readonly fresh: boolean
  /** From a leader that has proved its leadership since: up to here the asker has to learn. */
  readonly learnThrough: LogIndex | undefined
}

export type Message =
  | PreVoteRequest
  | PreVoteResponse
  | VoteRequest
  | VoteResponse
  | AppendRequest
  | AppendAccepted
  | AppendRejected
  | Heartbeat
  | HeartbeatResponse
  | ReadIndexRequest
  | ReadIndexResponse
  | TimeoutNow
  | JoinRequest
  | JoinResponse
