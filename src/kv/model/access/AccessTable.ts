/** Roles and users in memory, all of which are rows as well, and what follows from them for each name. */
import { PrefixSet } from "./PrefixSet.ts"
import type { Role } from "./Role.ts"
import { administrator } from "./Role.ts"
import type { User } from "./User.ts"

/** What somebody may do. */
export interface Permissions {
  readonly admin: boolean
  readonly read: PrefixSet
  readonly write: PrefixSet
}

const noPrefixes = new PrefixSet([])

const everything: Permissions = { admin: true, read: noPrefixes, write: noPrefixes }

/** The first names behind `after`, in order, and whether there are more. */
const pageOf = <A>(table: ReadonlyMap<string, A>, after: string, limit: number): { rows: Array<A>; more: boolean } => {
  const names = [...table.keys()].filter((name) => name > after).sort()
  return { rows: names.slice(0, limit).map((name) => table.get(name) as A), more: names.length > limit }
}

export class AccessTable {
  private readonly roles = new Map<string, Role>()
  private readonly users = new Map<string, User>()
  /** What was worked out since the last change; another one from then on. */
  private known = new Map<string, Permissions>()

  get roleCount(): number {
    return this.roles.size
  }

  get userCount(): number {
    return this.users.size
  }

  /** The same for as long as nothing has changed. */
  get version(): unknown {
    return this.known
  }

  role(name: string): Role | undefined {
    return this.roles.get(name)
  }

  user(name: string): User | undefined {
    return this.users.get(name)
  }

  setRole(role: Role): void {
    this.roles.set(role.name, role)
    this.known = new Map()
  }

  deleteRole(name: string): void {
    this.roles.delete(name)
    this.known = new Map()
  }

  setUser(user: User): void {
    this.users.set(user.name, user)
    this.known = new Map()
  }

  deleteUser(name: string): void {
    this.users.delete(name)
    this.known = new Map()
  }

  /** The first user, by name, who has a role. */
  userWith(role: string): string | undefined {
    let first: string | undefined
    for (const { name, roles } of this.users.values()) {
      if (roles.includes(role) && (first === undefined || name < first)) first = name
    }
    return first
  }

  rolesAfter(after: string, limit: number): { readonly rows: ReadonlyArray<Role>; readonly more: boolean } {
    return pageOf(this.roles, after, limit)
  }

  usersAfter(after: string, limit: number): { readonly rows: ReadonlyArray<User>; readonly more: boolean } {
    return pageOf(this.users, after, limit)
  }

  /** What a name may do; `undefined` for one that is no user, who may do nothing. */
  permissionsOf(name: string): Permissions | undefined {
    const known = this.known.get(name)
    if (known !== undefined) return known
    const found = this.workOut(name)
    // Bounded by the users there are.
    if (found !== undefined) this.known.set(name, found)
    return found
  }

  private workOut(name: string): Permissions | undefined {
    if (name === administrator) return everything
    const user = this.users.get(name)
    if (user === undefined) return undefined
    const read: Array<Uint8Array> = []
    const write: Array<Uint8Array> = []
    for (const roleName of user.roles) {
      const role = this.roles.get(roleName)
      if (roleName === administrator || role?.admin === true) return everything
      if (role === undefined) continue
      read.push(...role.read)
      write.push(...role.write)
    }
    return { admin: false, read: new PrefixSet(read), write: new PrefixSet(write) }
  }
}
