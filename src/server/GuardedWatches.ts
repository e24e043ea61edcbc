/**
 * Watches of callers that may not see everything: whether one may see its ranges is asked when it begins, and again for
 * each part, before it is looked for and before it is sent. A role that is taken away ends the watch.
 */
import { Effect } from "effect"
import type { AccessError } from "../FlareDbError.ts"
import type { Unavailable } from "../FlareDbError.ts"
import type { KeyRanges } from "../kv/model/KeyRanges.ts"
import type { Barrier } from "../node/UpToDate.ts"
import { formatRanges } from "./AuditedRanges.ts"
import type { Callers } from "./Callers.ts"
import { unlessRefused } from "./UnlessRefused.ts"
import type { WatchServer } from "./WatchServer.ts"

export type Watches = Pick<WatchServer["Service"], "open" | "next" | "progress" | "end" | "endAll">

/** The watches of the port, whose owners are connections, behind the questions of `callers`. */
export const guardedWatches = (
  watches: WatchServer["Service"],
  callers: Callers,
  node: Barrier
): Watches => {
  const check = (
    owner: number,
    operation: string,
    watched: KeyRanges | undefined
  ): Effect.Effect<void, AccessError | Unavailable> => {
    const ended = callers.ended(owner, operation, watched)
    if (ended !== undefined) return Effect.fail(ended)
    const caller = callers.of(owner)
    return caller === undefined || watched === undefined ? Effect.void : unlessRefused(
      node,
      () => callers.access.ranges(caller, watched),
      (refused) => callers.refused(owner, operation, formatRanges(watched), refused)
    )
  }
  return {
    ...watches,
    open: (owner, request) => {
      if (owner === "process") return watches.open(owner, request)
      return Effect.suspend(() => check(owner, "Watch", request.ranges)).pipe(
        Effect.andThen(Effect.suspend(() => {
          const unaudited = begun(callers, owner, request.ranges)
          return unaudited === undefined ? watches.open(owner, request) : Effect.fail(unaudited)
        }))
      )
    },
    next: (owner, watch, from, waitMs) => {
      const part = watches.next(owner, watch, from, waitMs)
      if (owner === "process") return part
      const mayGoOn = Effect.tapError(
        Effect.suspend(() => check(owner, "Changes", watches.ranges(owner, watch))),
        () => watches.end(owner, watch)
      )
      return Effect.tap(Effect.andThen(mayGoOn, part), () => mayGoOn)
    }
  }
}

/** The beginning of a watch, in the audit log when reads are. */
const begun = (callers: Callers, owner: number, watched: KeyRanges): Unavailable | undefined => {
  const { audit } = callers
  if (audit?.events !== "all") return undefined
  const unaudited = audit.reserve(1)
  if (unaudited === undefined) audit.write(callers.record(owner, "Watch", formatRanges(watched), "ok"))
  return unaudited
}
