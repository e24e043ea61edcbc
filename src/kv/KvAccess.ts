/**
 * Who may do what with the key-value store, from the roles and users in its applied state. `model/access/Touches.ts`
 * says what an operation takes; this holds it against what a caller has.
 */
import { timingSafeEqual } from "node:crypto"
import type { KeyRange } from "../bytes/KeyRange.ts"
import { Unauthorized, Unavailable } from "../FlareDbError.ts"
import type { Caller } from "../machine/Caller.ts"
import type { AdminOperation, Described, MachineAccess } from "../machine/MachineAccess.ts"
import type { Permissions } from "./model/access/AccessTable.ts"
import { tokenHashBytes } from "./model/access/AccessLimits.ts"
import type { Touches } from "./model/access/Touches.ts"
import { touches } from "./model/access/Touches.ts"
import { hasEnded } from "./model/access/User.ts"
import type { Command, DecodedCommand } from "./model/Command.ts"
import { decodeCommand, encodeCommand, grantOf } from "./model/Command.ts"
import type { KeyRanges } from "./model/KeyRanges.ts"
import type { Problem } from "./model/Limits.ts"
import type { Query } from "./model/Query.ts"
import { decodeQuery } from "./model/Query.ts"
import type { State } from "./model/State.ts"
import { administrationText, describe, rangeText } from "./OperationText.ts"
import type { RecentCommands } from "./RecentCommands.ts"

export interface KvAccessOptions {
  /** What is applied now. */
  readonly state: () => State
  /** The last entry whose effects are in the state, or less. */
  readonly applied: () => number
  /**
   * This node's clock, in milliseconds since 1970. A token ends at a date that an administrator gave, as a certificate
   * does, and by the same clock. The log's clock stands still while the cluster does: by it a token would live longer.
   */
  readonly nowMs: () => number
  readonly recent: RecentCommands
}

const adminTexts: { readonly [Operation in AdminOperation]: string } = {
  "transfer-leader": "transfer leadership",
  backup: "take a backup",
  "hash-state": "hash the state",
  "status-page": "see the status page",
  debug: "see the internals of a node"
}

const undescribed: Described = { operation: "malformed", ranges: [], writes: false }

export class KvAccess implements MachineAccess {
  private readonly options: KvAccessOptions

  constructor(options: KvAccessOptions) {
    this.options = options
  }

  readonly authenticate = (name: string, secretHash: Uint8Array): Caller | undefined => {
    if (secretHash.byteLength !== tokenHashBytes) return undefined
    let found: Caller | undefined
    const nowMs = this.options.nowMs()
    // Every token is compared, so that time does not tell which of them was nearly right.
    for (const token of this.options.state().access.user(name)?.tokens ?? []) {
      if (timingSafeEqual(token.hash, secretHash) && !hasEnded(token, nowMs)) {
        found = { name, isNode: false, token: token.id }
      }
    }
    return found
  }

  readonly isValid = ({ isNode, name, token: id }: Caller): boolean => {
    if (isNode || id === undefined) return true
    const token = this.options.state().access.user(name)?.tokens.find((one) => one.id === id)
    return token !== undefined && !hasEnded(token, this.options.nowMs())
  }

  readonly isUser = (name: string): boolean => this.options.state().access.permissionsOf(name) !== undefined

  readonly isEmpty = (): boolean => this.options.state().access.userCount === 0

  readonly version = (): unknown => this.options.state().access.version

  readonly command = (caller: Caller, bytes: Uint8Array): Uint8Array | Unauthorized | Unavailable => {
    const decoded = decodeCommand(bytes)
    // The check of the node refuses it, and says why.
    if (decoded._tag === "Problem") return bytes
    const refusal = this.refusal(caller, decoded.command) ?? this.sessionRefusal(caller, decoded)
    if (refusal !== undefined) return refusal
    // Nodes may use every lease, and theirs have no name, but for those that one grants for its own callers.
    const named = withCaller(caller.isNode ? callerIn(decoded.command) : caller.name, decoded)
    if (named !== undefined) return named
    this.options.recent.remember(bytes, decoded)
    return bytes
  }

  readonly unnamed = (bytes: Uint8Array): Uint8Array => {
    if (grantOf(bytes) === undefined) return bytes
    const decoded = decodeCommand(bytes)
    return decoded._tag === "Problem" ? bytes : withCaller("", decoded) ?? bytes
  }

  readonly query = (caller: Caller, bytes: Uint8Array): Unauthorized | Unavailable | undefined => {
    const query = decodeQuery(bytes)
    return query._tag === "Problem" ? undefined : this.refusal(caller, query)
  }

  readonly ranges = (caller: Caller, { all }: KeyRanges): Unauthorized | undefined =>
    this.isAdmin(caller) ? undefined : rangesRefusal(caller, this.permissionsOf(caller), "read", all)

  readonly admin = (caller: Caller, operation: AdminOperation): Unauthorized | undefined =>
    this.isAdmin(caller) ? undefined : unauthorized(caller, adminTexts[operation])

  readonly describeCommand = (bytes: Uint8Array): Described => {
    const decoded = decodeCommand(bytes)
    return decoded._tag === "Problem" ? undescribed : describe(decoded.command)
  }

  readonly describeQuery = (bytes: Uint8Array): Described => described(decodeQuery(bytes))

  private permissionsOf({ name }: Caller): Permissions | undefined {
    return this.options.state().access.permissionsOf(name)
  }

  private isAdmin(caller: Caller): boolean {
    return caller.isNode || this.permissionsOf(caller)?.admin === true
  }

  private refusal(caller: Caller, operation: Command | Query): Unauthorized | Unavailable | undefined {
    if (caller.isNode) return undefined
    const permissions = this.permissionsOf(caller)
    if (permissions?.admin === true) return undefined
    const touched = touches(operation)
    if (touched.admin) return unauthorized(caller, administrationText(operation))
    // What touches no key takes a user all the same.
    if (permissions === undefined && touched.reads.length + touched.writes.length === 0) {
      return unauthorized(caller, `do anything: there is no user of that name`)
    }
    return rangesRefusal(caller, permissions, "write", touched.writes) ??
      rangesRefusal(caller, permissions, "read", touched.reads) ?? this.leasesRefusal(caller, touched)
  }

  /**
   * An id is the index of the entry that granted the lease. One that is applied here and not known has ended, and the
   * command says so when it is applied. One beyond that may be anybody's: a node that has just become leader does not
   * know every lease yet.
   */
  private leasesRefusal({ name }: Caller, { leases }: Touches): Unauthorized | Unavailable | undefined {
    const { applied, state } = this.options
    for (const id of leases) {
      const lease = state().leases.get(id)
      if (lease === undefined) {
        if (id > applied()) {
          return new Unavailable({ reason: `this node has not applied the log up to lease ${id} yet; try again` })
        }
      } else if (lease.caller !== name) {
        return new Unauthorized({ name, what: `use lease ${id}, which was not granted to it` })
      }
    }
    return undefined
  }

  /** The secret alone says whose a session without a caller is. */
  private sessionRefusal(caller: Caller, { commandId }: DecodedCommand): Unauthorized | undefined {
    if (commandId.session === 0) return undefined
    const opened = this.options.state().sessions.get(commandId.session)?.caller ?? ""
    return opened === "" || opened === caller.name || this.isAdmin(caller)
      ? undefined
      : unauthorized(caller, `send commands in session ${commandId.session}, which it did not open`)
  }
}

const described = (query: Query | Problem): Described => query._tag === "Problem" ? undescribed : describe(query)

const unauthorized = ({ name }: Caller, what: string): Unauthorized => new Unauthorized({ name, what })

const rangesRefusal = (
  caller: Caller,
  permissions: Permissions | undefined,
  right: "read" | "write",
  ranges: ReadonlyArray<KeyRange>
): Unauthorized | undefined => {
  const allowed = permissions?.[right]
  for (const range of ranges) {
    if (allowed?.covers(range) !== true) return unauthorized(caller, `${right} ${rangeText(range)}`)
  }
  return undefined
}

/** Whose a command says that it is. Only a node is believed. */
const callerIn = (command: Command): string => "caller" in command ? command.caller ?? "" : ""

/**
 * The bytes of a command that makes something of a caller's, with this name in it, or with none when it is empty;
 * `undefined` for any other command.
 */
const withCaller = (caller: string, { command, commandId }: DecodedCommand): Uint8Array | undefined => {
  switch (command._tag) {
    case "GrantLease":
    case "OpenSession":
      return encodeCommand({ ...command, caller }, commandId)
    default:
      return undefined
  }
}
