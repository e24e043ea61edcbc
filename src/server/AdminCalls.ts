/**
 * The calls that administrators alone may make. Each asks here when it begins, and again while it goes on for long: a
 * role that is taken away ends it.
 */
import { Effect } from "effect"
import type { AccessError, Unavailable } from "../FlareDbError.ts"
import type { Barrier } from "../node/UpToDate.ts"
import type { Callers } from "./Callers.ts"
import type { AdminCall } from "./CallRules.ts"
import { callRules } from "./CallRules.ts"
import { unlessRefused } from "./UnlessRefused.ts"

export class AdminCalls {
  private readonly callers: Callers | undefined
  private readonly node: Barrier

  /** Without `callers` anybody may make them. */
  constructor(callers: Callers | undefined, node: Barrier) {
    this.callers = callers
    this.node = node
  }

  /** Whether a call may be made. One that is made is written down. */
  begin(clientId: number, call: AdminCall): Effect.Effect<void, AccessError | Unavailable> {
    return Effect.andThen(
      this.goOn(clientId, call),
      Effect.suspend((): Effect.Effect<void, Unavailable> => {
        const { callers } = this
        if (callers?.audit === undefined) return Effect.void
        const unaudited = callers.audit.reserve(1)
        if (unaudited !== undefined) return Effect.fail(unaudited)
        callers.audit.write(callers.record(clientId, callRules[call].name, [], "ok"))
        return Effect.void
      })
    )
  }

  /** Whether a call that goes on for long may go on. */
  goOn(clientId: number, call: AdminCall): Effect.Effect<void, AccessError | Unavailable> {
    return Effect.suspend((): Effect.Effect<void, AccessError | Unavailable> => {
      const { callers, node } = this
      if (callers === undefined) return Effect.void
      const { name, operation } = callRules[call]
      const ended = callers.ended(clientId, name)
      if (ended !== undefined) return Effect.fail(ended)
      const caller = callers.of(clientId)
      return caller === undefined ? Effect.void : unlessRefused(
        node,
        () => callers.access.admin(caller, operation),
        (refused) => callers.refused(clientId, name, [], refused)
      )
    })
  }
}
