/**
 * What is said of roles and users. Hashes of tokens stay where they are.
 *
 * ```
 * roles   more u8 · count u32 · { name u16+ · what it allows, as in Role.ts }
 * users   more u8 · count u32 · { name u16+ · limits and roles, as in User.ts · leases u32 · sessions u32
 *         · count u16 · { token u64 · created u64 · ends u64 } }
 * ```
 */
import type { Reader, Writer } from "../../../bytes/Binary.ts"
import { maxAccessPage, maxUserTokens } from "./AccessLimits.ts"
import type { Role } from "./Role.ts"
import { readRights, writeRights } from "./Role.ts"
import type { UserRights } from "./User.ts"
import { readUserRights, writeUserRights } from "./User.ts"

/** A token of a user, without its secret. */
export interface TokenRow {
  readonly token: number
  /** When it was added, in log time. */
  readonly createdMs: number
  /** When it ends, in milliseconds since 1970; 0 is never. */
  readonly expiresMs: number
}

/** A user with its roles, its limits, its tokens, and what it has now. */
export interface UserRow extends UserRights {
  readonly name: string
  readonly tokens: ReadonlyArray<TokenRow>
  /** How many leases and sessions it has now. */
  readonly leases: number
  readonly sessions: number
}

export interface RolesReply {
  readonly _tag: "RolesReply"
  readonly revision: number
  /** In the order of their names. The built-in one is not among them. */
  readonly roles: ReadonlyArray<Role>
  readonly more: boolean
}

export interface UsersReply {
  readonly _tag: "UsersReply"
  readonly revision: number
  /** In the order of their names. The administrator is among them once it has had a token. */
  readonly users: ReadonlyArray<UserRow>
  readonly more: boolean
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value)

const readText = (reader: Reader): string => new TextDecoder().decode(reader.short())

/** Appends a page of roles. */
export const writeRoles = (writer: Writer, { more, roles }: RolesReply): Writer => {
  writer.u8(more ? 1 : 0).u32(roles.length)
  for (const role of roles) writeRights(writer.short(text(role.name)), role)
  return writer
}

/** Appends a page of users. */
export const writeUsers = (writer: Writer, { more, users }: UsersReply): Writer => {
  writer.u8(more ? 1 : 0).u32(users.length)
  for (const user of users) {
    writeUserRights(writer.short(text(user.name)), user).u32(user.leases).u32(user.sessions).u16(user.tokens.length)
    for (const { createdMs, expiresMs, token } of user.tokens) writer.u64(token).u64(createdMs).u64(expiresMs)
  }
  return writer
}

/** The page of roles that the reader holds next. */
export const readRoles = (reader: Reader): Omit<RolesReply, "_tag" | "revision"> | undefined => {
  const more = reader.u8() === 1
  const count = reader.u32()
  if (count > maxAccessPage) return undefined
  const roles: Array<Role> = []
  for (let i = 0; i < count; i++) {
    const name = readText(reader)
    const rights = readRights(reader)
    if (rights === undefined) return undefined
    roles.push({ name, ...rights })
  }
  return { more, roles }
}

/** The page of users that the reader holds next. */
export const readUsers = (reader: Reader): Omit<UsersReply, "_tag" | "revision"> | undefined => {
  const more = reader.u8() === 1
  const count = reader.u32()
  if (count > maxAccessPage) return undefined
  const users: Array<UserRow> = []
  for (let i = 0; i < count; i++) {
    const name = readText(reader)
    const rights = readUserRights(reader)
    const leases = reader.u32()
    const sessions = reader.u32()
    const tokens = readTokens(reader)
    if (rights === undefined || tokens === undefined) return undefined
    users.push({ name, ...rights, leases, sessions, tokens })
  }
  return { more, users }
}

const readTokens = (reader: Reader): ReadonlyArray<TokenRow> | undefined => {
  const count = reader.u16()
  if (count > maxUserTokens) return undefined
  const tokens: Array<TokenRow> = []
  for (let i = 0; i < count; i++) {
    tokens.push({ token: reader.u64(), createdMs: reader.u64(), expiresMs: reader.u64() })
  }
  return reader.failed ? undefined : tokens
}
