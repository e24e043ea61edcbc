/** What the commands that change roles, users and tokens do. Who may send them was decided before the log. */
import type { Batch } from "../Batch.ts"
import { maxLeases, maxSessions } from "../Limits.ts"
import { done, overloaded, refused } from "../Refusal.ts"
import type { CommandReply, RefusedReply } from "../Reply.ts"
import type { AccessCommand, AddToken, PutUser, RemoveToken } from "./AccessCommand.ts"
import { maxRoles, maxUsers, maxUserTokens } from "./AccessLimits.ts"
import type { AccessTable } from "./AccessTable.ts"
import { administrator } from "./Role.ts"
import type { User } from "./User.ts"

/** Carries out the command that stands at an index of the log. */
export const applyAccess = (batch: Batch, index: number, command: AccessCommand): CommandReply => {
  const { access } = batch.state
  switch (command._tag) {
    case "PutRole":
      if (access.role(command.role.name) === undefined && access.roleCount >= maxRoles) {
        return overloaded(batch, "maxRoles", access.roleCount, maxRoles)
      }
      batch.setRole(command.role)
      return done(batch)
    case "DeleteRole": {
      const { name } = command
      if (access.role(name) === undefined) return missing(batch, "name", name, "role")
      const user = access.userWith(name)
      if (user !== undefined) {
        return refused(batch, "invalid", "name", `${name} is a role of the user ${user}; take it away from users first`)
      }
      batch.deleteRole(name)
      return done(batch)
    }
    case "PutUser":
      return putUser(batch, command)
    case "DeleteUser":
      if (access.user(command.name) === undefined) return missing(batch, "name", command.name, "user")
      batch.deleteUser(command.name)
      return done(batch)
    case "AddToken":
      return addToken(batch, index, command)
    case "RemoveToken":
      return removeToken(batch, command)
  }
}

const missing = (batch: Batch, field: string, name: string, kind: "role" | "user"): RefusedReply =>
  refused(batch, "invalid", field, `${name} is no ${kind}`)

const putUser = (batch: Batch, { maxLeases, maxSessions, name, roles }: PutUser): CommandReply => {
  const { access } = batch.state
  const unknown = roles.find((role) => role !== administrator && access.role(role) === undefined)
  if (unknown !== undefined) return missing(batch, "roles", unknown, "role")
  const before = access.user(name)
  if (before === undefined && access.userCount >= maxUsers) {
    return overloaded(batch, "maxUsers", access.userCount, maxUsers)
  }
  batch.setUser({ name, roles, maxLeases, maxSessions, tokens: before?.tokens ?? [] })
  return done(batch)
}

/** The user of a name; the administrator needs no row before it gets a token. */
const userOf = (access: AccessTable, name: string): User | undefined =>
  access.user(name) ?? (name === administrator ? { name, roles: [], maxLeases, maxSessions, tokens: [] } : undefined)

const addToken = (batch: Batch, index: number, { expiresMs, hash, user: name }: AddToken): CommandReply => {
  const { access } = batch.state
  const user = userOf(access, name)
  if (user === undefined) return missing(batch, "user", name, "user")
  if (access.user(name) === undefined && access.userCount >= maxUsers) {
    return overloaded(batch, "maxUsers", access.userCount, maxUsers)
  }
  if (user.tokens.length >= maxUserTokens) {
    return overloaded(batch, "maxUserTokens", user.tokens.length, maxUserTokens)
  }
  const token = { id: index, hash, createdMs: batch.metadata.logTimeMs, expiresMs }
  batch.setUser({ ...user, tokens: [...user.tokens, token] })
  return { _tag: "TokenReply", revision: batch.revision, token: index }
}

const removeToken = (batch: Batch, { token, user: name }: RemoveToken): CommandReply => {
  const user = batch.state.access.user(name)
  const tokens = user?.tokens.filter(({ id }) => id !== token) ?? []
  if (user === undefined || tokens.length === user.tokens.length) {
    return refused(batch, "invalid", "token", `${token} is no token of ${name}`)
  }
  batch.setUser({ ...user, tokens })
  return done(batch)
}

/** Why a caller may not have one lease or session more, if there is a reason. */
export const quotaProblem = (
  batch: Batch,
  caller: string,
  limit: "maxLeases" | "maxSessions"
): RefusedReply | undefined => {
  if (caller === "") return undefined
  const { access, leases, sessions } = batch.state
  const user = access.user(caller)
  // The administrator has no row before it has a token, and no limit but the one of all.
  if (user === undefined && caller === administrator) return undefined
  const maximum = user?.[limit] ?? 0
  const current = limit === "maxLeases" ? leases.countOf(caller) : sessions.countOf(caller)
  return current < maximum ? undefined : overloaded(batch, `${limit} of ${caller}`, current, maximum)
}
