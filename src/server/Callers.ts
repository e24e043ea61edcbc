/**
 * Who calls at the client port, beside each connection, and what each call is refused for at once. A caller is found
 * out once, with `Hello`; whether it is still who it was is asked for every call: a token that is removed ends what it
 * opened.
 */
import type { AccessMetrics } from "../callers/AccessMetrics.ts"
import type { AuditLog, AuditRecord } from "../callers/AuditLog.ts"
import type { Authentication, KnownCaller, UnknownCaller } from "../callers/Authentication.ts"
import type { Unauthorized } from "../FlareDbError.ts"
import { Unauthenticated } from "../FlareDbError.ts"
import type { KeyRanges } from "../kv/model/KeyRanges.ts"
import type { Caller } from "../machine/Caller.ts"
import type { MachineAccess } from "../machine/MachineAccess.ts"
import type { Authorize } from "../net/Gate.ts"
import type { ProtocolViolations } from "../net/ProtocolViolations.ts"
import type { CallRule, ClientCall } from "./CallRules.ts"
import { formatRanges } from "./AuditedRanges.ts"
import { callRules } from "./CallRules.ts"

export interface CallersOptions {
  readonly authentication: Authentication
  readonly access: MachineAccess
  readonly violations: ProtocolViolations
  readonly metrics: AccessMetrics
  readonly audit: AuditLog | undefined
}

/** What became of an operation, for the audit log. */
export type Outcome = AuditRecord["outcome"]

/** What the audit log calls it, where a call has one name. */
const nameOf = (rule: CallRule): string | undefined => rule.who === "admin" ? rule.name : undefined

export class Callers implements Authorize<ClientCall> {
  readonly examples = [new Unauthenticated({ reason: "" })]
  readonly access: MachineAccess
  readonly audit: AuditLog | undefined
  private readonly options: CallersOptions
  private readonly known = new Map<number, KnownCaller>()
  /** Connections of callers that are not known any more, until they are closed. */
  private readonly lost = new Set<number>()

  constructor(options: CallersOptions) {
    this.options = options
    this.access = options.access
    this.audit = options.audit
  }

  /** The connection is admitted. */
  add(clientId: number, caller: KnownCaller): void {
    this.known.set(clientId, caller)
    this.lost.delete(clientId)
  }

  /** The connection has ended. */
  forget(clientId: number): void {
    this.known.delete(clientId)
    this.lost.delete(clientId)
  }

  /** The caller of a connection that is admitted; `undefined` where it was not asked who it is. */
  of(clientId: number): Caller | undefined {
    return this.known.get(clientId)?.caller
  }

  /** What a caller may do is asked by the handler of a call: that may take a proof, and no call waits here. */
  readonly refusal = (clientId: number, call: ClientCall): Unauthenticated | undefined =>
    this.ended(clientId, nameOf(callRules[call]))

  /**
   * Why what a connection proved holds no more. The connection is closed then, and has one line in the audit log: the
   * `operation` that found it out, for all that ends with it.
   */
  ended(clientId: number, operation = "Connection", watched?: KeyRanges): Unauthenticated | undefined {
    const known = this.known.get(clientId)
    if (known !== undefined && this.options.authentication.holds(known)) return undefined
    const reason = `the token of ${known?.caller?.name ?? "a caller"} was removed or has ended`
    const error = new Unauthenticated({ reason: `${reason}; connect with another one` })
    if (known === undefined || this.lost.has(clientId)) return error
    this.lost.add(clientId)
    const { metrics, violations } = this.options
    metrics.unauthenticated("token-ended")
    const ranges = watched === undefined ? [] : formatRanges(watched)
    this.note(known.caller?.name, this.record(clientId, operation, ranges, `refused: ${error._tag}`))
    violations.closeCaller("refused-hello", clientId, `closed a connection: ${reason}`)
    return error
  }

  /** Closes the connections of callers whose tokens were removed or have ended, whatever they are doing. */
  sweep(): void {
    for (const [clientId, { bootstrap, caller }] of this.known) {
      if (bootstrap || caller?.token !== undefined) this.ended(clientId)
    }
  }

  /** An operation is refused: counts it, and writes it down. */
  refused(
    clientId: number,
    operation: string,
    ranges: ReadonlyArray<string>,
    error: Unauthorized
  ): Unauthorized {
    this.count(error)
    this.note(error.name, this.record(clientId, operation, ranges, `refused: ${error._tag}`))
    return error
  }

  private note(name: string | undefined, record: AuditRecord): void {
    if (name !== undefined && this.access.isUser(name)) this.audit?.note(record)
    else this.audit?.noteStranger(record)
  }

  /** Counts an operation that is refused, for which there is a line in the audit log anyway. */
  count({ name }: Unauthorized): void {
    this.options.metrics.unauthorized(name)
  }

  /** A `Hello` is refused: counts it, logs it within limits, and writes it down. */
  unknown(clientId: number, { cause, reason }: UnknownCaller): Unauthenticated {
    const { metrics, violations } = this.options
    metrics.unauthenticated(cause)
    violations.reportCaller("refused-hello", clientId, `refused a client: ${reason}`)
    this.audit?.noteStranger(this.record(clientId, "Hello", [], "refused: Unauthenticated"))
    return new Unauthenticated({ reason })
  }

  record(clientId: number, operation: string, ranges: ReadonlyArray<string>, outcome: Outcome): AuditRecord {
    return {
      name: this.of(clientId)?.name,
      from: this.options.violations.remoteOf(clientId),
      operation,
      ranges,
      outcome
    }
  }
}
