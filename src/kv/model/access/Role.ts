/**
 * Roles: what their users may do. A role only allows; what no role of a user allows is refused.
 *
 * ```
 * flags u8 (1 administrator) · count u16 · { prefix to read u16+ } · count u16 · { prefix to write u16+ }
 * ```
 */
import { Reader, Writer } from "../../../bytes/Binary.ts"
import type { Problem } from "../Limits.ts"
import { maxRoleBytes, maxRolePrefixes, nameProblem, prefixesProblem } from "./AccessLimits.ts"

/** The name of the user and of the role that are always there and may do everything. */
export const administrator = "admin"

export interface RoleRights {
  /** Users may read every key that begins with one of these; the empty prefix is every key. */
  readonly read: ReadonlyArray<Uint8Array>
  /** Users may write every key that begins with one of these. That alone does not let them read it. */
  readonly write: ReadonlyArray<Uint8Array>
  /** Users may do everything, to keys and to the cluster. */
  readonly admin: boolean
}

/** A role with its name: what may be read and written, by prefix, and whether it administers. */
export interface Role extends RoleRights {
  readonly name: string
}

/** What is wrong with a role, if anything. */
export const roleProblem = ({ name, read, write }: Role): Problem | undefined =>
  nameProblem(name) ?? prefixesProblem(read, write)

/** Appends what a role allows. */
export const writeRights = (writer: Writer, { admin, read, write }: RoleRights): Writer => {
  writer.u8(admin ? 1 : 0)
  for (const prefixes of [read, write]) {
    writer.u16(prefixes.length)
    for (const prefix of prefixes) writer.short(prefix)
  }
  return writer
}

/** What the reader holds next; `undefined` when it is malformed. Its prefixes are copies, which a table keeps. */
export const readRights = (reader: Reader): RoleRights | undefined => {
  const flags = reader.u8()
  const read = readPrefixes(reader)
  const write = readPrefixes(reader)
  return read === undefined || write === undefined || reader.failed || flags > 1
    ? undefined
    : { read, write, admin: flags === 1 }
}

const readPrefixes = (reader: Reader): ReadonlyArray<Uint8Array> | undefined => {
  const count = reader.u16()
  if (count > maxRolePrefixes) return undefined
  const prefixes: Array<Uint8Array> = []
  let bytes = 0
  for (let i = 0; i < count; i++) {
    const prefix = new Uint8Array(reader.short())
    bytes += prefix.byteLength
    if (reader.failed || bytes > maxRoleBytes) return undefined
    prefixes.push(prefix)
  }
  return prefixes
}

export const encodeRole = (role: RoleRights): Uint8Array => writeRights(new Writer(64), role).bytes

/** The role in `bytes`, or `undefined` when they are none. */
export const decodeRole = (name: string, bytes: Uint8Array): Role | undefined => {
  const reader = new Reader(bytes)
  const rights = readRights(reader)
  if (rights === undefined || !reader.complete) return undefined
  const role: Role = { name, ...rights }
  return roleProblem(role) === undefined && name !== administrator ? role : undefined
}
