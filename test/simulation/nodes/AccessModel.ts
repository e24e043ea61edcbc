/** Who may do what in a simulated cluster, as of every entry of its log: maps, and no encoding. */
import type { Command } from "../../../src/kv/model/Command.ts"

export type Right = "read" | "write"

/** What each user may read and write, by prefixes. */
type Rights = ReadonlyMap<string, Readonly<Record<Right, ReadonlyArray<string>>>>

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1")

export class AccessModel {
  private readonly roles = new Map<string, Readonly<Record<Right, ReadonlyArray<string>>>>()
  private readonly users = new Map<string, ReadonlyArray<string>>()
  /** From which entry on who may do what. */
  private readonly versions: Array<readonly [index: number, rights: Rights]> = [[0, new Map()]]
  /** Whose a lease is. */
  readonly owners = new Map<number, string>()

  /** Carries out the command at an index, and answers in the words of `Model.ts`; `undefined` for what it lets pass. */
  apply(index: number, command: Command): string | undefined {
    switch (command._tag) {
      case "PutRole": {
        const { name, read, write } = command.role
        this.roles.set(name, { read: read.map(text), write: write.map(text) })
        return this.changed(index)
      }
      case "PutUser":
        if (command.roles.some((role) => !this.roles.has(role))) return "invalid"
        this.users.set(command.name, command.roles)
        return this.changed(index)
      case "DeleteUser":
        return this.users.delete(command.name) ? this.changed(index) : "invalid"
      case "GrantLease":
        if (command.caller === undefined) return undefined
        if (!this.users.has(command.caller)) return "overloaded"
        this.owners.set(index, command.caller)
        return undefined
      default:
        return undefined
    }
  }

  /** Whether some of the tables that were in force between two entries lets a user do something. */
  everAllowed(user: string, right: Right, key: string, from: number, through: number): boolean {
    return this.between(from, through).some((rights) => allows(rights, user, right, key))
  }

  /** Whether all of them do. */
  alwaysAllowed(user: string, right: Right, key: string, from: number, through: number): boolean {
    return this.between(from, through).every((rights) => allows(rights, user, right, key))
  }

  private between(from: number, through: number): ReadonlyArray<Rights> {
    const first = this.versions.findLastIndex(([index]) => index <= from)
    return this.versions.slice(first).filter(([index], at) => at === 0 || index <= through).map(([, rights]) => rights)
  }

  private changed(index: number): string {
    const rights = [...this.users].map(([user, roles]) => {
      const of = (right: Right) => roles.flatMap((role) => this.roles.get(role)?.[right] ?? [])
      return [user, { read: of("read"), write: of("write") }] as const
    })
    this.versions.push([index, new Map(rights)])
    return "done"
  }
}

const allows = (rights: Rights, user: string, right: Right, key: string): boolean =>
  rights.get(user)?.[right].some((prefix) => key.startsWith(prefix)) === true
