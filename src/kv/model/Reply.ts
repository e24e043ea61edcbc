/** What commands and queries are answered with. `ReplyCodec.ts` has their bytes. */
import type { RolesReply, UsersReply } from "./access/AccessReply.ts"
import type { KeyRecord } from "./KeyRecord.ts"

export interface PutReply {
  readonly _tag: "PutReply"
  /** The revision this write took. */
  readonly revision: number
  readonly createRevision: number
  /** 1 when the put created the key. */
  readonly version: number
}

export interface DeleteReply {
  readonly _tag: "DeleteReply"
  /** The revision this delete took; the store's revision when there was nothing to delete. */
  readonly revision: number
  readonly deleted: boolean
}

export interface Row {
  readonly key: Uint8Array
  readonly record: KeyRecord
}

/** What became of one operation of a transaction, in the place of the operation. */
export type OperationResult =
  | { readonly _tag: "Put"; readonly createRevision: number; readonly version: number }
  /** Of a delete or a delete-range: how many keys it removed. */
  | { readonly _tag: "Delete"; readonly deleted: number }
  | { readonly _tag: "Get"; readonly record: KeyRecord | undefined }
  | { readonly _tag: "Range"; readonly rows: ReadonlyArray<Row>; readonly more: boolean }

export interface TransactionReply {
  readonly _tag: "TransactionReply"
  /** The revision it took; the store's revision when it changed nothing. */
  readonly revision: number
  /** Whether all compares held, so that `success` was carried out. */
  readonly succeeded: boolean
  readonly results: ReadonlyArray<OperationResult>
}

/**
 * A transaction was carried out, and its reply was too large to be kept until it was asked for again. Only a client
 * that repeats a command gets this; the first answer is whole.
 */
export interface DigestReply {
  readonly _tag: "DigestReply"
  /** The revision that the transaction took; the store's revision when it changed nothing. */
  readonly revision: number
  readonly succeeded: boolean
  /** How many results it had, and the bytes of the whole reply. */
  readonly results: number
  readonly bytes: number
}

/** A lease was granted or kept alive. */
export interface LeaseReply {
  readonly _tag: "LeaseReply"
  readonly revision: number
  readonly lease: number
  readonly ttlMs: number
  /** What is left of its time, by the log's clock. */
  readonly remainingMs: number
}

/** A lease was revoked, with its keys. */
export interface RevokedReply {
  readonly _tag: "RevokedReply"
  readonly revision: number
  /** How many keys were attached to it, and are deleted. */
  readonly deleted: number
}

export interface SessionReply {
  readonly _tag: "SessionReply"
  readonly revision: number
  readonly session: number
  readonly ttlMs: number
}

/** A token was added to a user. */
export interface TokenReply {
  readonly _tag: "TokenReply"
  readonly revision: number
  readonly token: number
}

/** The command was carried out; there is nothing to tell. */
export interface DoneReply {
  readonly _tag: "DoneReply"
  readonly revision: number
}

/**
 * Why a committed command changed nothing. Its field and text are those of an error message.
 *
 * - `session-expired`: the session that it was sent in has ended, or never was.
 * - `already-answered`: the client said before that it has the answer.
 * - `wrong-secret`: the command does not carry the secret of the session that it names.
 */
export type Refusal =
  | "session-expired"
  | "already-answered"
  | "lease-not-found"
  | "invalid"
  | "overloaded"
  | "wrong-secret"

export interface RefusedReply {
  readonly _tag: "RefusedReply"
  readonly revision: number
  readonly reason: Refusal
  /** The argument or limit it is about. */
  readonly field: string
  readonly text: string
  /** Where the limit stood; the lease's id when that is what was not found. */
  readonly current: number
  readonly maximum: number
}

export interface GetReply {
  readonly _tag: "GetReply"
  /** The store's revision when it was read. */
  readonly revision: number
  readonly record: KeyRecord | undefined
}

export interface ScanReply {
  readonly _tag: "ScanReply"
  /** The store's revision when it was read. */
  readonly revision: number
  readonly rows: ReadonlyArray<Row>
  /** Whether the page ended before the range did. */
  readonly more: boolean
}

export interface CountReply {
  readonly _tag: "CountReply"
  readonly revision: number
  readonly count: number
}

export interface LeaseRow {
  readonly lease: number
  readonly ttlMs: number
  readonly remainingMs: number
  /** How many keys are attached. */
  readonly keys: number
  /** Who was granted it; empty when no name was asked for. */
  readonly caller: string
}

export interface LeasesReply {
  readonly _tag: "LeasesReply"
  readonly revision: number
  readonly leases: ReadonlyArray<LeaseRow>
}

export interface LeaseKeysReply {
  readonly _tag: "LeaseKeysReply"
  readonly revision: number
  readonly lease: number
  readonly ttlMs: number
  readonly remainingMs: number
  readonly keys: ReadonlyArray<Uint8Array>
}

/** A session: who opened it, how long it lives, and what is kept for it. */
export interface SessionRow {
  readonly session: number
  readonly owner: string
  /** Who opened it; empty when no name was asked for. */
  readonly caller: string
  readonly ageMs: number
  readonly ttlMs: number
  /** What is left until it ends, unless its client sends something. */
  readonly remainingMs: number
  /** The highest number of its commands so far. */
  readonly lastSequence: number
  /** How many replies are kept, and the bytes that they take. */
  readonly replies: number
  readonly keptBytes: number
}

export interface SessionsReply {
  readonly _tag: "SessionsReply"
  readonly revision: number
  readonly sessions: ReadonlyArray<SessionRow>
  readonly more: boolean
}

export type CommandReply =
  | PutReply
  | DeleteReply
  | TransactionReply
  | DigestReply
  | LeaseReply
  | RevokedReply
  | SessionReply
  | TokenReply
  | DoneReply
  | RefusedReply

export type QueryReply =
  | TransactionReply
  | GetReply
  | ScanReply
  | CountReply
  | LeasesReply
  | LeaseKeysReply
  | SessionsReply
  | RolesReply
  | UsersReply
  | RefusedReply

export type Reply = CommandReply | QueryReply
