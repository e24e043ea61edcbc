/**
 * How a caller is refused for what it may not do. A node that is behind may not know of a role that was given to the
 * caller, and one that led may not know that it does no more. So a node refuses nothing before it has heard from a
 * majority; where it cannot, the caller is to ask another node. What it would allow waits for nothing.
 */
import { Effect } from "effect"
import type { Unauthorized, Unavailable } from "../FlareDbError.ts"
import type { Barrier } from "../node/UpToDate.ts"
import { upToDate } from "../node/UpToDate.ts"

/** Succeeds unless `judge` refuses, by the newest roles. `tell` is called with what the caller is refused for. */
export const unlessRefused = (
  node: Barrier,
  judge: () => Unauthorized | undefined,
  tell: (refused: Unauthorized) => void
): Effect.Effect<void, Unauthorized | Unavailable> =>
  Effect.suspend(() =>
    judge() === undefined ? Effect.void : Effect.flatMap(upToDate(node, "what its caller may do"), () => {
      const refused = judge()
      if (refused === undefined) return Effect.void
      tell(refused)
      return Effect.fail(refused)
    })
  )
