/**
 * What a node does before it refuses a caller: it may be behind, and not know of the role or token that another node
 * has acknowledged already.
 */
import { Effect } from "effect"
import type { RaftNode } from "../node/RaftNode.ts"

/** How long it waits for that, in milliseconds: less than a client waits for an answer. */
const waitMs = 1_000

/**
 * Waits until the node has applied everything that was acknowledged before, as far as it can be known in time. Callers
 * that wait at the same time share one round.
 */
export const untilUpToDate = ({ readBarrier }: Pick<RaftNode["Service"], "readBarrier">): Effect.Effect<void> =>
  Effect.asVoid(Effect.exit(Effect.timeoutOption(readBarrier, waitMs)))
