/**
 * What a node does before it refuses something for good by what it knows: it may be behind, and not know of what
 * another node has acknowledged. A node apart from the others, or with an empty disk, cannot find out.
 */
import { Effect } from "effect"
import { formatDuration } from "../DurationText.ts"
import type { ReadError } from "../FlareDbError.ts"
import { Unavailable } from "../FlareDbError.ts"
import { within } from "../net/Deadline.ts"

/** How long that may take, in milliseconds: less than a client waits for an answer. */
const proofMs = 2_000

/** What a node cannot know that is behind. */
export type Unknown =
  | "whether the token is valid"
  | "what its caller may do"
  | "the feature level of the cluster"

/** Of a node, see `RaftNode.ts`. */
export interface Barrier {
  readonly readBarrier: Effect.Effect<void, ReadError>
}

/**
 * Succeeds once the node has applied everything that was acknowledged before, and fails where that cannot be known in
 * time: the caller is to ask another node. Callers that wait at the same time share one round.
 */
export const upToDate = (
  { readBarrier }: Barrier,
  unknown: Unknown
): Effect.Effect<void, Unavailable> =>
  readBarrier.pipe(
    within(proofMs, () => new Unavailable({ reason: `no majority was heard from for ${formatDuration(proofMs)}` })),
    Effect.mapError(({ message }) => new Unavailable({ reason: `this node cannot know ${unknown}: ${message}` }))
  )
