/**
 * The commands that change who may do what. Only administrators may send them.
 *
 * ```
 * PutRole       name u16+ · what it allows, as in Role.ts
 * DeleteRole    name u16+
 * PutUser       name u16+ · limits and roles, as in User.ts
 * DeleteUser    name u16+
 * AddToken      user u16+ · ends u64 · SHA-256 of the secret, 32 bytes
 * RemoveToken   user u16+ · token u64
 * ```
 */
import type { Reader, Writer } from "../../../bytes/Binary.ts"
import type { Problem } from "../Limits.ts"
import { countProblem, problem } from "../Limits.ts"
import { expiryProblem, nameProblem, tokenHashBytes } from "./AccessLimits.ts"
import type { Role } from "./Role.ts"
import { administrator, readRights, roleProblem, writeRights } from "./Role.ts"
import type { UserRights } from "./User.ts"
import { readUserRights, userProblem, writeUserRights } from "./User.ts"

/** Makes a role, or replaces what it allows. */
export interface PutRole {
  readonly _tag: "PutRole"
  readonly role: Role
}

/**
 * Refused while a user has the role. Taking it away from all of them in one command would change what many may do, and
 * a role of that name that is made later would not come back to them.
 */
export interface DeleteRole {
  readonly _tag: "DeleteRole"
  readonly name: string
}

/** Makes a user, or replaces its roles and limits. Tokens stay. */
export interface PutUser extends UserRights {
  readonly _tag: "PutUser"
  readonly name: string
}

/** Takes a user away with its tokens. Its leases and sessions stay until they end, and belong to the name. */
export interface DeleteUser {
  readonly _tag: "DeleteUser"
  readonly name: string
}

/** Adds a token, whose id is in the reply. */
export interface AddToken {
  readonly _tag: "AddToken"
  readonly user: string
  /** The SHA-256 of its secret. The secret itself is never sent. */
  readonly hash: Uint8Array
  /** When it ends, in milliseconds since 1970; 0 is never. */
  readonly expiresMs: number
}

/** Ends a token at once, on open connections too. */
export interface RemoveToken {
  readonly _tag: "RemoveToken"
  readonly user: string
  readonly token: number
}

export type AccessCommand = PutRole | DeleteRole | PutUser | DeleteUser | AddToken | RemoveToken

export const accessTags = {
  PutRole: 14,
  DeleteRole: 15,
  PutUser: 16,
  DeleteUser: 17,
  AddToken: 18,
  RemoveToken: 19
} as const

const builtIn = (name: string, field: string): Problem | undefined =>
  name === administrator ? problem(field, `${name} is built in and stays as it is`) : undefined

/** What is wrong with a command's arguments, if anything. */
export const accessCommandProblem = (command: AccessCommand): Problem | undefined => {
  switch (command._tag) {
    case "PutRole":
      return roleProblem(command.role) ?? builtIn(command.role.name, "name")
    case "PutUser":
      return userProblem(command) ?? builtIn(command.name, "name")
    case "DeleteRole":
    case "DeleteUser":
      return nameProblem(command.name) ?? builtIn(command.name, "name")
    case "AddToken":
      return nameProblem(command.user, "user") ?? expiryProblem(command.expiresMs) ??
        (command.hash.byteLength === tokenHashBytes
          ? undefined
          : problem("hash", `has ${command.hash.byteLength} bytes; it must have ${tokenHashBytes}`))
    case "RemoveToken":
      return nameProblem(command.user, "user") ?? countProblem(command.token, "token")
  }
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value)

/** Appends the body of a command. */
export const writeAccessCommand = (writer: Writer, command: AccessCommand): Writer => {
  switch (command._tag) {
    case "PutRole":
      return writeRights(writer.short(text(command.role.name)), command.role)
    case "PutUser":
      return writeUserRights(writer.short(text(command.name)), command)
    case "DeleteRole":
    case "DeleteUser":
      return writer.short(text(command.name))
    case "AddToken":
      return writer.short(text(command.user)).u64(command.expiresMs).raw(command.hash)
    case "RemoveToken":
      return writer.short(text(command.user)).u64(command.token)
  }
}

/** The command of a tag whose body the reader holds next; `undefined` for another tag, and when it is malformed. */
export const readAccessCommand = (tag: number, reader: Reader): AccessCommand | undefined => {
  const name = () => new TextDecoder().decode(reader.short())
  switch (tag) {
    case accessTags.PutRole: {
      const role = name()
      const rights = readRights(reader)
      return rights === undefined ? undefined : { _tag: "PutRole", role: { name: role, ...rights } }
    }
    case accessTags.DeleteRole:
      return { _tag: "DeleteRole", name: name() }
    case accessTags.PutUser: {
      const user = name()
      const rights = readUserRights(reader)
      return rights === undefined ? undefined : { _tag: "PutUser", name: user, ...rights }
    }
    case accessTags.DeleteUser:
      return { _tag: "DeleteUser", name: name() }
    case accessTags.AddToken: {
      const user = name()
      const expiresMs = reader.u64()
      // A copy: the table keeps it for longer than its entry is in memory.
      return { _tag: "AddToken", user, expiresMs, hash: new Uint8Array(reader.raw(tokenHashBytes)) }
    }
    case accessTags.RemoveToken:
      return { _tag: "RemoveToken", user: name(), token: reader.u64() }
    default:
      return undefined
  }
}
