/**
 * What a state machine says of who may do what. The client port asks before a command reaches the log and before a
 * query is answered; `apply` never asks, because a decision there could differ from one version to the next and nodes
 * would then differ for ever. A machine without it is open to administrators and nodes only, as soon as callers have to
 * say who they are.
 *
 * Everything here is synchronous, reads the applied state of this node, and is asked again for every call: a role that
 * is taken away no longer counts on open connections as soon as this node applies the change.
 */
import type { KeyRanges } from "../kv/model/KeyRanges.ts"
import type { NotLeader, Unauthorized, Unavailable } from "../FlareDbError.ts"
import type { Caller } from "./Caller.ts"

/** What an operator asks of a node, beside commands and queries. */
export type AdminOperation = "transfer-leader" | "backup" | "hash-state" | "status-page" | "debug"

/** What the audit log says of a command or a query: never a value. */
export interface Described {
  /** `Put`, `Transact`, `Scan` … */
  readonly operation: string
  /** Keys and ranges it reads and changes, as text that can be printed. At most a few, with a count of the rest. */
  readonly ranges: ReadonlyArray<string>
  readonly writes: boolean
}

/** What a state machine knows of callers and their rights, when it keeps them itself. */
export interface MachineAccess {
  /** The caller with a token, by the SHA-256 of its secret; `undefined` when no such token is valid now. */
  readonly authenticate: (name: string, secretHash: Uint8Array) => Caller | undefined
  /** Whether what the caller proved still holds: its token was not removed and has not ended. */
  readonly isValid: (caller: Caller) => boolean
  /** Whether a name is one of the users, or the administrator: for metrics, whose labels must be bounded. */
  readonly isUser: (name: string) => boolean
  /** Whether the table of names is empty, so that the bootstrap token is accepted. */
  readonly isEmpty: () => boolean
  /** The same value for as long as no role, user or token has changed: what was allowed meanwhile still is. */
  readonly version: () => unknown
  /**
   * The command to propose, which is the given one unless it makes something that has an owner (a lease, a session):
   * then with the caller's name in it. `Unavailable` when this node cannot know yet, which another attempt solves.
   * `NotLeader` comes from the node and not from a machine: what another node leads is not judged here.
   */
  readonly command: (caller: Caller, command: Uint8Array) => Uint8Array | NotLeader | Unauthorized | Unavailable
  /** The command of a caller that was not asked who it is: no name is in it, whatever the caller wrote. */
  readonly unnamed: (command: Uint8Array) => Uint8Array
  readonly query: (caller: Caller, query: Uint8Array) => Unauthorized | Unavailable | undefined
  /** For watches. */
  readonly ranges: (caller: Caller, ranges: KeyRanges) => Unauthorized | undefined
  readonly admin: (caller: Caller, operation: AdminOperation) => Unauthorized | undefined
  readonly describeCommand: (command: Uint8Array) => Described
  readonly describeQuery: (query: Uint8Array) => Described
}
