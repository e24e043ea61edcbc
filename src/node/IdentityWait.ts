/** Waits for the identity of the cluster, which a node that has just begun to lead learns with its first commit. */
import { Effect, Stream, SubscriptionRef } from "effect"
import type { ReadError } from "../FlareDbError.ts"
import { Unavailable } from "../FlareDbError.ts"
import type { ClusterIdentity } from "../protocol/ClusterIdentity.ts"
import type { OwnIdentity } from "../machine/OwnIdentity.ts"
import type { NodeId } from "../raft/Types.ts"
import type { NodeLife } from "./NodeLife.ts"
import type { PublishedRole } from "./NodeStatus.ts"

export interface IdentityWait {
  /** The identity as soon as it is known, or `undefined` once this node does not lead or serves no more. */
  readonly whileLeading: Effect.Effect<ClusterIdentity | undefined>
  /** Positions in a history mean nothing before it is known which history that is. */
  readonly known: Effect.Effect<void, ReadError>
}

export const make = (
  nodeId: NodeId,
  identity: OwnIdentity["Service"],
  role: SubscriptionRef.SubscriptionRef<PublishedRole>,
  life: NodeLife
): IdentityWait => {
  const whileLeading: IdentityWait["whileLeading"] = Effect.suspend(() => {
    const current = identity.current()
    if (current !== undefined) return Effect.succeed(current)
    const ends = SubscriptionRef.changes(role).pipe(
      Stream.filter((published) => published.role !== "leader"),
      Stream.take(1),
      Stream.runDrain
    )
    const failed = Effect.catch(life.fatal, () => Effect.void)
    return Effect.raceFirst(
      identity.known,
      Effect.map(Effect.raceFirst(ends, failed), () => identity.current())
    )
  })
  const known: IdentityWait["known"] = Effect.suspend(() =>
    identity.current() !== undefined
      ? Effect.void
      : Effect.flatMap(whileLeading, (current) =>
        current === undefined
          ? Effect.fail(
            life.stopped ?? new Unavailable({ reason: `node ${nodeId} does not know the identity of its cluster yet` })
          )
          : Effect.void)
  )
  return { whileLeading, known }
}
