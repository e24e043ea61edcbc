/**
 * The operations of one call, each asked for whether its caller may do it, and written down in the audit log. One that
 * is refused is answered in its place, and takes no other with it.
 */
import type { AuditRecord } from "../callers/AuditLog.ts"
import type { AccessError, NotLeader, Unavailable } from "../FlareDbError.ts"
import { Unauthorized } from "../FlareDbError.ts"
import type { Caller } from "../machine/Caller.ts"
import type { Described, MachineAccess } from "../machine/MachineAccess.ts"
import type { Trace } from "../protocol/Trace.ts"
import type { Callers, Outcome } from "./Callers.ts"
import type { Operations } from "./OperationCount.ts"

/** What an operation may be answered with before it is carried out. */
export type Refusal = AccessError | Unavailable | NotLeader

/** What of a call is carried out, and where the rest is answered. */
export interface Guarded {
  /** What is carried out: commands have their caller's name in them where they make something that has an owner. */
  readonly allowed: Operations
  /** The answers to all operations of the call, from those of `allowed`. Called once, or `abandoned` is. */
  readonly finish: <Result>(results: ReadonlyArray<Result>) => ReadonlyArray<Result | Refusal>
  /** There will be no results, because the connection ended. */
  readonly abandoned: () => void
  /** Whether an operation is refused for what its caller may do. A node that is behind may be wrong in that. */
  readonly isRefusing: boolean
  /** Instead of the others: the operations are looked at again. */
  readonly discard: () => void
}

/** How the operations of one kind are looked at. */
interface Kind {
  /**
   * Whether an operation is asked for again with its result in hand. A read waits until its node has applied what was
   * acknowledged before, and a role that was taken away may be among that.
   */
  readonly again: boolean
  /** What of a caller that was not asked who it is is carried out. */
  readonly unnamed: (operation: Uint8Array) => Uint8Array
  readonly check: (caller: Caller, operation: Uint8Array) => Uint8Array | Unauthorized | Unavailable | NotLeader
  readonly describe: (operation: Uint8Array) => Described
}

const commandsOf = (access: MachineAccess): Kind => ({
  again: false,
  unnamed: access.unnamed,
  check: access.command,
  describe: access.describeCommand
})

const queriesOf = (access: MachineAccess): Kind => ({
  again: true,
  unnamed: (query) => query,
  check: (caller, query) => access.query(caller, query) ?? query,
  describe: access.describeQuery
})

/** What a result says of an operation; `undefined` when another node is asked, so that nothing happened here. */
const outcomeOf = (result: unknown): Outcome | undefined => {
  if (result instanceof Uint8Array) return "ok"
  const tag = (result as { readonly _tag?: string } | undefined)?._tag ?? ""
  if (tag === "NotLeader") return undefined
  return tag === "Indeterminate" || tag === "Fatal" || tag === "" ? "unknown" : `refused: ${tag}`
}

export class OperationGuard {
  private readonly callers: Callers
  private readonly kinds: { readonly commands: Kind; readonly queries: Kind }

  constructor(callers: Callers) {
    this.callers = callers
    this.kinds = { commands: commandsOf(callers.access), queries: queriesOf(callers.access) }
  }

  /** `unproven` answers what would be refused, at a node that may be behind and cannot find out. */
  commands(clientId: number, operations: Operations, unproven?: Unavailable): Guarded {
    return this.guard(clientId, operations, this.kinds.commands, this.callers.audit !== undefined, unproven)
  }

  /** The same of queries. */
  queries(clientId: number, operations: Operations, unproven?: Unavailable): Guarded {
    return this.guard(clientId, operations, this.kinds.queries, this.callers.audit?.events === "all", unproven)
  }

  private guard(
    clientId: number,
    operations: Operations,
    kind: Kind,
    audited: boolean,
    unproven?: Unavailable
  ): Guarded {
    const caller = this.callers.of(clientId)
    const version = this.callers.access.version()
    const allowed: Array<Uint8Array> = []
    // By their places; most calls have none.
    let refused: Map<number, Refusal> | undefined
    let isRefusing = false
    for (let index = 0; index < operations.length; index++) {
      const operation = operations[index] as Uint8Array
      const checked = this.check(caller, operation, kind, audited)
      if (checked instanceof Uint8Array) allowed.push(checked)
      else {
        const refusal = checked instanceof Unauthorized ? unproven ?? checked : checked
        ;(refused ??= new Map()).set(index, refusal)
        isRefusing ||= refusal instanceof Unauthorized
      }
    }
    // As it is now: the connection may be gone when the outcome is known.
    let open = audited && allowed.length > 0 ? this.callers.record(clientId, "", [], "ok") : undefined
    const settle = (outcomes: (index: number) => Outcome | undefined) => {
      const record = open
      open = undefined
      if (record !== undefined) {
        allowed.forEach((operation, index) => this.settled(record, operation, kind, outcomes(index)))
      }
      if (isRefusing) this.tell(clientId, operations, kind, refused)
      isRefusing = false
    }
    return {
      allowed,
      finish: <Result>(found: ReadonlyArray<Result>) => {
        const isSame = caller === undefined || !kind.again || this.callers.access.version() === version
        const results = isSame ? found : this.askedAgain(clientId, caller, allowed, found, kind)
        settle((index) => outcomeOf(results[index]))
        return refused === undefined ? results : merged(operations.length, results, refused)
      },
      abandoned: () => settle(() => "unknown"),
      isRefusing,
      discard: () => {
        if (open !== undefined) this.callers.audit?.release(allowed.length)
      }
    }
  }

  private check(
    caller: Caller | undefined,
    operation: Uint8Array,
    kind: Kind,
    audited: boolean
  ): Uint8Array | Refusal {
    const checked = caller === undefined ? kind.unnamed(operation) : kind.check(caller, operation)
    return checked instanceof Uint8Array ? (audited ? this.callers.audit?.reserve(1) : undefined) ?? checked : checked
  }

  /** The results that the caller may still have, and the refusals of the others. */
  private askedAgain<Result>(
    clientId: number,
    caller: Caller,
    allowed: Operations,
    results: ReadonlyArray<Result>,
    kind: Kind
  ): ReadonlyArray<Result | Refusal> {
    const ended = this.callers.ended(clientId)
    if (ended !== undefined) return results.map(() => ended)
    return results.map((result, index) => {
      const checked = kind.check(caller, allowed[index] as Uint8Array)
      if (checked instanceof Uint8Array) return result
      if (checked instanceof Unauthorized) this.callers.count(checked)
      return checked
    })
  }

  /** Counts what a caller may not do, and writes it down. */
  private tell(
    clientId: number,
    operations: Operations,
    kind: Kind,
    refused: ReadonlyMap<number, Refusal> | undefined
  ): void {
    for (const [index, error] of refused ?? []) {
      if (!(error instanceof Unauthorized)) continue
      const described = this.callers.audit === undefined ? undefined : kind.describe(operations[index] as Uint8Array)
      this.callers.refused(clientId, described?.operation ?? "", described?.ranges ?? [], error)
    }
  }

  private settled(caller: AuditRecord, operation: Uint8Array, kind: Kind, outcome: Outcome | undefined): void {
    const { audit } = this.callers
    if (audit === undefined) return
    if (outcome === undefined) return audit.release(1)
    const { operation: name, ranges } = kind.describe(operation)
    audit.write({ ...caller, operation: name, ranges, outcome })
  }
}

/** The spans of a call's operations, which go by their places: none when some are left out. */
export const tracesOf = (
  all: Operations,
  allowed: Operations,
  traces: ReadonlyArray<Trace> | undefined
): ReadonlyArray<Trace> | undefined => allowed.length === all.length ? traces : undefined

const merged = <Result>(
  count: number,
  results: ReadonlyArray<Result>,
  refused: ReadonlyMap<number, Refusal>
): ReadonlyArray<Result | Refusal> => {
  const all: Array<Result | Refusal> = []
  let next = 0
  for (let index = 0; index < count; index++) all.push(refused.get(index) ?? results[next++] as Result)
  return all
}
