/** What may be done with a state machine that says nothing of its callers: administrators and nodes do everything. */
import { Unauthorized } from "../FlareDbError.ts"
import type { Caller } from "../machine/Caller.ts"
import { administrator } from "../machine/Caller.ts"
import type { Described, MachineAccess } from "../machine/MachineAccess.ts"

const refusal = ({ isNode, name }: Caller, what: string): Unauthorized | undefined =>
  isNode || name === administrator
    ? undefined
    : new Unauthorized({ name, what: `${what}: this cluster's state machine is open to administrators alone` })

const described = (operation: string, writes: boolean): Described => ({ operation, ranges: [], writes })

export const onlyAdministrators: MachineAccess = {
  authenticate: () => undefined,
  isValid: () => true,
  isUser: (name) => name === administrator,
  isEmpty: () => true,
  version: () => 0,
  command: (caller, command) => refusal(caller, "write") ?? command,
  unnamed: (command) => command,
  query: (caller) => refusal(caller, "read"),
  ranges: (caller) => refusal(caller, "watch"),
  admin: (caller, operation) => refusal(caller, operation),
  describeCommand: () => described("Command", true),
  describeQuery: () => described("Query", false)
}
