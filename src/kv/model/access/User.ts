/**
 * Users: names that callers prove, with what they may do and have.
 *
 * ```
 * most leases u32 · most sessions u32 · count u16 · { role u16+ } · count u16 · { token }
 * token   id u64 · created u64 · ends u64 (0: never) · SHA-256 of the secret, 32 bytes
 * ```
 *
 * A caller with a certificate needs no token. Secrets are 256 random bits, so their hash needs neither salt nor a slow
 * function.
 */
import { Reader, Writer } from "../../../bytes/Binary.ts"
import type { Problem } from "../Limits.ts"
import {
  expiryProblem,
  maxUserRoles,
  maxUserTokens,
  nameProblem,
  rolesProblem,
  tokenHashBytes,
  userLeasesProblem,
  userSessionsProblem
} from "./AccessLimits.ts"

export interface AccessToken {
  /** The index of the log entry that added it, so no other token of the cluster has it. */
  readonly id: number
  /** The SHA-256 of its secret. */
  readonly hash: Uint8Array
  /** When it was added, in log time. */
  readonly createdMs: number
  /** When it ends, in milliseconds since 1970; 0 is never. */
  readonly expiresMs: number
}

export interface UserRights {
  /** The names of its roles. Each of them exists. */
  readonly roles: ReadonlyArray<string>
  /** Most leases that it may have at a time. */
  readonly maxLeases: number
  /** Most sessions that it may have at a time. */
  readonly maxSessions: number
}

export interface User extends UserRights {
  readonly name: string
  /** In the order in which they were added. */
  readonly tokens: ReadonlyArray<AccessToken>
}

/** What is wrong with a user, if anything. Whether its roles exist is another question. */
export const userProblem = ({ maxLeases, maxSessions, name, roles }: UserRights & { name: string }) =>
  nameProblem(name) ?? rolesProblem(roles) ?? userLeasesProblem(maxLeases) ?? userSessionsProblem(maxSessions)

/** Appends roles and limits of a user. */
export const writeUserRights = (writer: Writer, { maxLeases, maxSessions, roles }: UserRights): Writer => {
  writer.u32(maxLeases).u32(maxSessions).u16(roles.length)
  for (const role of roles) writer.short(new TextEncoder().encode(role))
  return writer
}

/** What the reader holds next; `undefined` when it is malformed. */
export const readUserRights = (reader: Reader): UserRights | undefined => {
  const maxLeases = reader.u32()
  const maxSessions = reader.u32()
  const count = reader.u16()
  if (count > maxUserRoles) return undefined
  const roles: Array<string> = []
  for (let i = 0; i < count; i++) {
    roles.push(new TextDecoder().decode(reader.short()))
    if (reader.failed) return undefined
  }
  return reader.failed ? undefined : { roles, maxLeases, maxSessions }
}

export const encodeUser = (user: User): Uint8Array => {
  const writer = writeUserRights(new Writer(64), user).u16(user.tokens.length)
  for (const { createdMs, expiresMs, hash, id } of user.tokens) {
    writer.u64(id).u64(createdMs).u64(expiresMs).raw(hash)
  }
  return writer.bytes
}

/** The user in `bytes`, or `undefined` when they are none. */
export const decodeUser = (name: string, bytes: Uint8Array): User | undefined => {
  const reader = new Reader(bytes)
  const rights = readUserRights(reader)
  const count = reader.u16()
  if (rights === undefined || count > maxUserTokens) return undefined
  const tokens: Array<AccessToken> = []
  for (let i = 0; i < count; i++) {
    const id = reader.u64()
    const createdMs = reader.u64()
    const expiresMs = reader.u64()
    // A copy, because what was read may be a view of something larger.
    tokens.push({ id, createdMs, expiresMs, hash: new Uint8Array(reader.raw(tokenHashBytes)) })
    if (reader.failed) return undefined
  }
  const user: User = { name, ...rights, tokens }
  return reader.complete && (userProblem(user) ?? tokensProblem(tokens)) === undefined ? user : undefined
}

/** What is wrong with the tokens of a stored user, if anything. */
const tokensProblem = (tokens: ReadonlyArray<AccessToken>): Problem | undefined => {
  for (const { expiresMs } of tokens) {
    const found = expiryProblem(expiresMs)
    if (found !== undefined) return found
  }
  return undefined
}

/** Whether a token has ended at a time. */
export const hasEnded = ({ expiresMs }: AccessToken, nowMs: number): boolean => expiresMs !== 0 && expiresMs <= nowMs
