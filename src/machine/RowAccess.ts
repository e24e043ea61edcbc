/**
 * What a machine of rows says of who may do what, from one function of its own. It knows names from certificates alone:
 * tokens are kept by the key-value store.
 */
import { InvalidArgument, Unauthorized } from "../FlareDbError.ts"
import type { Caller } from "./Caller.ts"
import { administrator } from "./Caller.ts"
import type { AdminOperation, Described, MachineAccess } from "./MachineAccess.ts"

/** What a caller asks of a machine. */
export type MachineRequest<Command, Query> =
  | { readonly _tag: "Command"; readonly command: Command }
  | { readonly _tag: "Query"; readonly query: Query }

/** The part of a machine that is about callers. */
export interface RowAccess<Command, Query> {
  readonly decodeCommand: (bytes: Uint8Array) => Command | InvalidArgument
  readonly decodeQuery: (bytes: Uint8Array) => Query | InvalidArgument
  readonly authorize: (caller: Caller, request: MachineRequest<Command, Query>) => string | undefined
  readonly describe?: ((request: MachineRequest<Command, Query>) => Described) | undefined
}

const isAdmin = ({ isNode, name }: Caller): boolean => isNode || name === administrator

const refusalOf = (caller: Caller, what: string): Unauthorized | undefined =>
  isAdmin(caller) ? undefined : new Unauthorized({ name: caller.name, what })

const malformed: Described = { operation: "malformed", ranges: [], writes: false }

export const rowAccess = <Command, Query>(machine: RowAccess<Command, Query>): MachineAccess => {
  type Request = MachineRequest<Command, Query>

  const commandOf = (bytes: Uint8Array): Request | undefined => {
    const command = machine.decodeCommand(bytes)
    return command instanceof InvalidArgument ? undefined : { _tag: "Command", command }
  }

  const queryOf = (bytes: Uint8Array): Request | undefined => {
    const query = machine.decodeQuery(bytes)
    return query instanceof InvalidArgument ? undefined : { _tag: "Query", query }
  }

  /** What is malformed is refused by the machine, which says why. */
  const refusal = (caller: Caller, request: Request | undefined): Unauthorized | undefined => {
    if (request === undefined || isAdmin(caller)) return undefined
    const what = machine.authorize(caller, request)
    return what === undefined ? undefined : new Unauthorized({ name: caller.name, what })
  }

  const described = (request: Request | undefined): Described => {
    if (request === undefined) return malformed
    return machine.describe?.(request) ??
      { operation: request._tag, ranges: [], writes: request._tag === "Command" }
  }

  return {
    authenticate: () => undefined,
    isValid: ({ token }) => token === undefined,
    isUser: (name) => name === administrator,
    isEmpty: () => false,
    // What `authorize` looks at is not known here, so that it is asked each time.
    version: () => ({}),
    command: (caller, bytes) => refusal(caller, commandOf(bytes)) ?? bytes,
    unnamed: (bytes) => bytes,
    query: (caller, bytes) => refusal(caller, queryOf(bytes)),
    ranges: (caller) => refusalOf(caller, "watch keys, which this state machine has none of"),
    admin: (caller, operation: AdminOperation) => refusalOf(caller, `ask for ${operation}`),
    describeCommand: (bytes) => described(commandOf(bytes)),
    describeQuery: (bytes) => described(queryOf(bytes))
  }
}
