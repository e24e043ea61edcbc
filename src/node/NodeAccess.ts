/**
 * What the state machine says of a caller's commands, asked where the answer holds. Only a leader that has applied
 * everything from before its term knows every role that was taken away: an administrator was answered when it was
 * applied at the leader of that time. Any other node would judge by an older table, and so it does not judge.
 */
import type { NotLeader } from "../FlareDbError.ts"
import { Unavailable } from "../FlareDbError.ts"
import type { MachineAccess } from "../machine/MachineAccess.ts"

/** How far this node may judge: `behind` is a leader that has not applied the beginning of its term. */
export type Judgement = "current" | "behind" | NotLeader

const behind = new Unavailable({
  reason: "this node has just become leader and has yet to apply what was written before, roles too; try again"
})

/** The access of a machine at a node. Queries are judged by what this node has applied, which also answers them. */
const nodeAccess = (access: MachineAccess, judgement: () => Judgement): MachineAccess => ({
  ...access,
  command: (caller, command) => {
    // What a node may do hangs on no table.
    const now = caller.isNode ? "current" : judgement()
    if (now === "current") return access.command(caller, command)
    return now === "behind" ? behind : now
  }
})

/** What a node has of the access of its machine; nothing when the machine leaves everything to administrators. */
export const accessOf = (
  access: MachineAccess | undefined,
  judgement: () => Judgement
): { readonly access?: MachineAccess; readonly appliedAccess?: MachineAccess } =>
  access === undefined ? {} : { access: nodeAccess(access, judgement), appliedAccess: access }
