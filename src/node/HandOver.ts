/** What a leader does before it stops: hands leadership over, so that no write waits for an election. (thesis §3.10) */
import { Effect, Stream, SubscriptionRef } from "effect"
import type { RaftNode } from "./RaftNode.ts"

/**
 * Ends once another node leads, at once where this one does not lead, and after `limitMs` at the latest: then the
 * others elect a leader when this one is gone. The core gives a transfer up after the shortest election timeout.
 */
export const handOver = (node: RaftNode["Service"], limitMs: number): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (SubscriptionRef.getUnsafe(node.role).role !== "leader") return Effect.void
    const another = SubscriptionRef.changes(node.role).pipe(
      Stream.filter(({ leader, role }) => role !== "leader" && leader !== undefined),
      Stream.runHead
    )
    return Effect.andThen(node.transferLeader(undefined), another).pipe(Effect.timeoutOption(limitMs), Effect.asVoid)
  })
