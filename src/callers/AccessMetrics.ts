/** How often callers are refused, by whom and why. */
import { Effect, Metric } from "effect"
import type { MachineAccess } from "../machine/MachineAccess.ts"
import { seriesOf } from "../MetricSeries.ts"
import type { UnauthenticatedReason } from "./Authentication.ts"

/** Names that have a label of their own in the metric. */
const maxNames = 200

/** The label of callers that are no users, and of those beyond {@link maxNames}. */
const otherNames = "unknown"

/** A user that is refused again and again lacks a role, or looks for what it should not see. */
const unauthorized = seriesOf((name) =>
  Metric.counter("flaredb_unauthorized_total", {
    description: "operations refused because their caller may not do that, by the name of the user",
    incremental: true,
    attributes: { name }
  })
)

/** Credentials that ended unseen, or somebody who tries. */
const unauthenticated = seriesOf((reason: UnauthenticatedReason) =>
  Metric.counter("flaredb_unauthenticated_total", {
    description: "callers refused because the node does not know them, by the reason",
    incremental: true,
    attributes: { reason }
  })
)

export interface AccessMetrics {
  readonly unauthorized: (name: string) => void
  readonly unauthenticated: (reason: UnauthenticatedReason) => void
}

/** The updates, bound to the metric registry of the running fiber. */
export const make = ({ isUser }: Pick<MachineAccess, "isUser">): Effect.Effect<AccessMetrics> =>
  Effect.map(Effect.context<never>(), (context) => {
    const names = new Set<string>()
    const labelOf = (name: string): string => {
      if (names.has(name)) return name
      if (names.size >= maxNames || !isUser(name)) return otherNames
      names.add(name)
      return name
    }
    return {
      unauthorized: (name) => unauthorized(labelOf(name)).updateUnsafe(1, context),
      unauthenticated: (reason) => unauthenticated(reason).updateUnsafe(1, context)
    }
  })
