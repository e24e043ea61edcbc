/** Where entities keep their states, and whose turn it is to change those of an entity. */
import { Context, Effect, Layer } from "effect"
import type { Scope } from "effect"
import type { Entity } from "effect/cluster"
import type { KeyValue } from "../../client/KeyValue.ts"
import { LatestReads } from "../LatestReads.ts"
import type { ClusterName } from "../cluster/ClusterKeys.ts"
import { ClusterKeys } from "../cluster/ClusterKeys.ts"
import type { ShardTable } from "../cluster/HeldShards.ts"
import { HeldShards } from "../cluster/HeldShards.ts"
import { Turn } from "./Turn.ts"

type Address = Entity.CurrentAddress["Service"]

/** The turn of one entity, as long as states of it are in use. */
interface InUse {
  readonly turn: Turn
  states: number
}

/**
 * What the states of a runner's entities share: where they lie, the locks that they depend on, and turns.
 *
 * **When to use**
 *
 * It is there in every runner of `Actors`. `DurableState` takes it; other code has no use for it.
 */
export class EntityStates extends Context.Service<EntityStates, {
  readonly keys: ClusterKeys
  readonly kv: KeyValue["Service"]
  readonly shards: ShardTable
  /** The one turn of all states of an entity. */
  readonly turnOf: (address: Address) => Effect.Effect<Turn, never, Scope.Scope>
}>()("flaredb/actors/EntityStates") {
  static readonly layer = (name: ClusterName = {}): Layer.Layer<EntityStates, never, KeyValue | HeldShards> =>
    Layer.effect(
      EntityStates,
      Effect.gen(function*() {
        const inUse = new Map<string, InUse>()
        const take = (entity: string): InUse => {
          const known = inUse.get(entity) ?? { turn: new Turn(), states: 0 }
          inUse.set(entity, known)
          known.states += 1
          return known
        }
        const giveBack = (entity: string, taken: InUse): void => {
          taken.states -= 1
          if (taken.states === 0) inUse.delete(entity)
        }
        return EntityStates.of({
          keys: new ClusterKeys(name),
          kv: yield* LatestReads,
          shards: yield* HeldShards,
          turnOf: ({ entityId, entityType }) => {
            const entity = JSON.stringify([entityType, entityId])
            return Effect.map(
              Effect.acquireRelease(
                Effect.sync(() => take(entity)),
                (taken) => Effect.sync(() => giveBack(entity, taken))
              ),
              ({ turn }) => turn
            )
          }
        })
      })
    )
}
