/**
 * What roles, users and tokens may measure. The counts of them are decided when a command is applied, so another value
 * is another format of the log.
 */
import type { Problem } from "../Limits.ts"
import { maxKeyBytes, maxLeases, maxOwnerLength, maxSessions, maxStoredNumber, problem } from "../Limits.ts"

/** Most characters of the name of a role or a user. */
export const maxNameLength = maxOwnerLength

/** Most roles at a time; one more is refused as `Overloaded`. */
export const maxRoles = 1_000

/** Most users at a time; one more is refused as `Overloaded`. */
export const maxUsers = 10_000

/** Most prefixes that a role may read, and as many that it may write. */
export const maxRolePrefixes = 128

/** Most bytes of all prefixes of a role. */
export const maxRoleBytes = 16 * 1024

/** Most roles of one user. */
export const maxUserRoles = 32

/** Most tokens of one user, ended ones included until they are removed; one more is refused as `Overloaded`. */
export const maxUserTokens = 16

/** Bytes of the SHA-256 of a token's secret. */
export const tokenHashBytes = 32

/** Most roles or users of one page of a list. */
export const maxAccessPage = 200

/** Leases and sessions that a user may have at a time when nothing else is said. */
export const defaultUserLeases = 1_000
export const defaultUserSessions = 1_000

/** What is wrong with the name of a role or a user, if anything. */
export const nameProblem = (name: string, field = "name"): Problem | undefined =>
  name.length >= 1 && name.length <= maxNameLength && /^[A-Za-z0-9._-]+$/.test(name)
    ? undefined
    : problem(
      field,
      `${JSON.stringify(name.slice(0, maxNameLength))} is not 1 to ${maxNameLength} letters, digits, dots, dashes or ` +
        "underscores"
    )

const isWhole = (value: number, most: number): boolean => Number.isSafeInteger(value) && value >= 0 && value <= most

/** What is wrong with the number of leases that a user may have, if anything. */
export const userLeasesProblem = (count: number): Problem | undefined =>
  isWhole(count, maxLeases) ? undefined : problem("maxLeases", `${count} is not an integer from 0 to ${maxLeases}`)

/** What is wrong with the number of sessions that a user may have, if anything. */
export const userSessionsProblem = (count: number): Problem | undefined =>
  isWhole(count, maxSessions)
    ? undefined
    : problem("maxSessions", `${count} is not an integer from 0 to ${maxSessions}`)

/** What is wrong with the time at which a token ends, if anything: 0 is never. */
export const expiryProblem = (expiresMs: number): Problem | undefined =>
  isWhole(expiresMs, maxStoredNumber)
    ? undefined
    : problem("expiresMs", `${expiresMs} is no time in milliseconds since 1970`)

/** What is wrong with the prefixes of a role, if anything. */
export const prefixesProblem = (
  read: ReadonlyArray<Uint8Array>,
  write: ReadonlyArray<Uint8Array>
): Problem | undefined => {
  let bytes = 0
  for (const [field, prefixes] of [["read", read], ["write", write]] as const) {
    if (prefixes.length > maxRolePrefixes) {
      return problem(field, `has ${prefixes.length} prefixes; at most ${maxRolePrefixes} are allowed`)
    }
    for (const { byteLength } of prefixes) {
      if (byteLength > maxKeyBytes) {
        return problem(field, `has a prefix of ${byteLength} bytes; at most ${maxKeyBytes} are allowed`)
      }
      bytes += byteLength
    }
  }
  return bytes > maxRoleBytes
    ? problem("read", `and write have ${bytes} bytes of prefixes; at most ${maxRoleBytes} are allowed`)
    : undefined
}

/** What is wrong with the names of a user's roles, if anything. */
export const rolesProblem = (roles: ReadonlyArray<string>): Problem | undefined => {
  if (roles.length > maxUserRoles) {
    return problem("roles", `has ${roles.length} names; at most ${maxUserRoles} are allowed`)
  }
  if (new Set(roles).size < roles.length) return problem("roles", "names a role twice")
  for (let i = 0; i < roles.length; i++) {
    const found = nameProblem(roles[i] as string, `roles[${i}]`)
    if (found !== undefined) return found
  }
  return undefined
}
