/**
 * The latest changes of role, term or leader that a node saw. They are few, and an operator who comes later asks when
 * the leader changed: so they are kept whether somebody looks or not.
 */
import type { PublishedRole } from "./NodeStatus.ts"

export interface RoleChange extends PublishedRole {
  /** By the clock of the machine, in milliseconds since 1970. */
  readonly atMs: number
}

/** Changes that are kept. */
const maxRoleChanges = 64

export class RoleHistory {
  private readonly changes: Array<RoleChange> = []

  get all(): ReadonlyArray<RoleChange> {
    return this.changes
  }

  add(atMs: number, now: PublishedRole): void {
    this.changes.push({ atMs, ...now })
    if (this.changes.length > maxRoleChanges) this.changes.shift()
  }
}
