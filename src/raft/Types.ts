/**
 * The numbers and records every part of FlareDB speaks in: terms, log indices,
 * node ids, entries, hard state.
 *
 * All of them are safe integers behind a brand, so that a term cannot be passed
 * where an index is meant. They are compared with the named functions below and
 * never with the default `sort`, which compares numbers as text.
 */

declare const brand: unique symbol
type Branded<Name extends string> = number & { readonly [brand]: Name }

/** A Raft term: the logical clock of the cluster. 0 before the first election. (Raft §5.1) */
export type Term = Branded<"Term">

/** A position in the log. The first entry has index 1; 0 stands for "before the log". (Raft §5.3) */
export type LogIndex = Branded<"LogIndex">

/** The identity of a voter, a positive integer that never changes for a data directory. */
export type NodeId = Branded<"NodeId">

const integer = (what: string, value: number, minimum: number): number => {
  if (!Number.isSafeInteger(value) || value < minimum) {
    throw new RangeError(`${what} must be a safe integer of at least ${minimum}, got ${value}`)
  }
  return value
}

/** Brands a number as a {@link Term}. Throws a `RangeError` unless it is a safe integer ≥ 0. */
export const Term = (value: number): Term => integer("term", value, 0) as Term

/** Brands a number as a {@link LogIndex}. Throws a `RangeError` unless it is a safe integer ≥ 0. */
export const LogIndex = (value: number): LogIndex => integer("log index", value, 0) as LogIndex

/** Brands a number as a {@link NodeId}. Throws a `RangeError` unless it is a safe integer ≥ 1. */
export const NodeId = (value: number): NodeId => integer("node id", value, 1) as NodeId

/** Orders two log indices, for `sort` and friends. */
export const compareIndex = (a: LogIndex, b: LogIndex): number => a - b

/** Orders two terms. */
export const compareTerm = (a: Term, b: Term): number => a - b

/** Orders two node ids. */
export const compareNodeId = (a: NodeId, b: NodeId): number => a - b

/** The smaller of two indices. */
export const minIndex = (a: LogIndex, b: LogIndex): LogIndex => (a < b ? a : b)

/** The larger of two indices. */
export const maxIndex = (a: LogIndex, b: LogIndex): LogIndex => (a > b ? a : b)

/** `index + by`, still a log index. Throws when it leaves the safe integers or falls below 0. */
export const addIndex = (index: LogIndex, by: number): LogIndex => LogIndex(index + by)

/** The term after this one. */
export const nextTerm = (term: Term): Term => Term(term + 1)

/** A place in the log together with the term of the entry there: what log matching compares. (Raft §5.3) */
export interface LogPoint {
  readonly index: LogIndex
  readonly term: Term
}

/** The point before the first entry of an empty log. */
export const origin: LogPoint = { index: LogIndex(0), term: Term(0) }

/**
 * Raft's "at least as up-to-date": the later term wins, and the longer log
 * within the same term. Length is never compared first. (Raft §5.4.1)
 */
export const isUpToDate = (candidate: LogPoint, own: LogPoint): boolean =>
  candidate.term !== own.term ? candidate.term > own.term : candidate.index >= own.index

/**
 * What an entry carries: `command` goes to the state machine; `noop` opens a
 * leader's term (Raft §8) and changes no state.
 */
export type EntryKind = "noop" | "command"

/** One entry of the replicated log. */
export interface Entry {
  readonly index: LogIndex
  readonly term: Term
  readonly kind: EntryKind
  /**
   * The cluster's time in milliseconds when the leader appended the entry (`node/LogClock.ts`).
   * Nodes never read their own clock while applying: this is the only time the state
   * machine knows.
   */
  readonly timestampMs: number
  /**
   * The command, opaque to consensus; empty for `noop`. Its bytes never change after it was handed over; the codec
   * lets them move into `record`.
   */
  payload: Uint8Array
  /**
   * The encoded record of this entry, remembered by the codec at the first
   * encoding or decoding, so that one encoding serves the leader's disk, the
   * wire and the follower's disk. Consensus itself never looks at it.
   */
  record?: Uint8Array
  /**
   * The command as the state machine read it before the entry was persisted here, until it is applied. Consensus itself
   * never looks at it.
   */
  decoded?: unknown
}

/** The last timestamp of some entries that follow one another; 0 when none of them has one. */
export const lastTimestampOf = (entries: ReadonlyArray<Entry>): number =>
  entries.findLast(({ timestampMs }) => timestampMs !== 0)?.timestampMs ?? 0

/**
 * Whether what a node says counts. With `unknown` it has an empty disk and does not know yet why, a `learner` has lost
 * what its disk held and is catching up, a `voter` remembers everything it ever promised. (`Join.ts`)
 */
export type MembershipRole = "unknown" | "learner" | "voter"

/** What a node must never forget within a term. (Raft Figure 2, "persistent state") */
export interface HardState {
  readonly term: Term
  /** Who got this node's vote in `term`, if anyone did. */
  readonly votedFor: NodeId | undefined
  /**
   * A commit index known at the time of writing. It may lag behind: it is a hint
   * that saves work after a restart, never a promise.
   */
  readonly commit: LogIndex
  /** `voter` when absent. */
  readonly membership?: MembershipRole
}

/**
 * The fixed voters of the cluster, ascending. One or three. A data directory holds them for people who read it. The
 * core takes them from its settings, and a start compares those with the marker of the directory.
 */
export interface ConfState {
  readonly voters: ReadonlyArray<NodeId>
}

/** A run of consecutive entries of one term: `firstIndex` is where the term begins in the log. */
export interface TermRun {
  readonly firstIndex: LogIndex
  readonly term: Term
}

/**
 * The role of a node. A pre-candidate asks whether an election could succeed before it disturbs the term. (thesis §9.6)
 */
export type Role = "follower" | "pre-candidate" | "candidate" | "leader"
