/**
 * Watches of callers that may not see everything: whether one may see its ranges is asked when it begins, and again for
 * each part, before it is looked for and before it is sent. A role that is taken away ends the watch.
 */
import { Effect } from "effect"
import type { AccessError, WatchError } from "../FlareDbError.ts"
import type { Unavailable } from "../FlareDbError.ts"
import type { KeyRanges } from "../kv/model/KeyRanges.ts"
import type { RaftNode } from "../node/RaftNode.ts"
import { formatRanges } from "./AuditedRanges.ts"
import { upToDate } from "../node/UpToDate.ts"
import type { Callers } from "./Callers.ts"
import type { WatchServer } from "./WatchServer.ts"

export type Watches = Pick<WatchServer["Service"], "open" | "next" | "progress" | "end" | "endAll">

/** The watches of the port, whose owners are connections, behind the questions of `callers`. */
export const guardedWatches = (
  watches: WatchServer["Service"],
  callers: Callers,
  node: Pick<RaftNode["Service"], "readBarrier">
): Watches => {
  const refusal = (owner: number, operation: string, watched: KeyRanges | undefined): AccessError | undefined => {
    const ended = callers.ended(owner, operation, watched)
    const caller = callers.of(owner)
    if (ended !== undefined || caller === undefined || watched === undefined) return ended
    const refused = callers.access.ranges(caller, watched)
    return refused === undefined ? undefined : callers.refused(owner, operation, formatRanges(watched), refused)
  }
  return {
    ...watches,
    open: (owner, request) => {
      if (owner === "process") return watches.open(owner, request)
      const opened = Effect.suspend(() => {
        const refused = refusal(owner, "Watch", request.ranges) ?? begun(callers, owner, request.ranges)
        return refused === undefined ? watches.open(owner, request) : Effect.fail<WatchError>(refused)
      })
      return Effect.suspend(() => {
        const caller = callers.of(owner)
        // As for reads: a node that is behind may not know of a role that was given to the caller.
        return caller === undefined || callers.access.ranges(caller, request.ranges) === undefined
          ? opened
          : Effect.andThen(upToDate(node, "what its caller may do"), opened)
      })
    },
    next: (owner, watch, from, waitMs) => {
      const part = watches.next(owner, watch, from, waitMs)
      if (owner === "process") return part
      const check = Effect.suspend((): Effect.Effect<void, WatchError> => {
        const refused = refusal(owner, "Changes", watches.ranges(owner, watch))
        return refused === undefined ? Effect.void : Effect.andThen(watches.end(owner, watch), Effect.fail(refused))
      })
      return Effect.tap(Effect.andThen(check, part), () => check)
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
