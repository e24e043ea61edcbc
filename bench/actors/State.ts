/** The state of the actor that is measured, changed with its reply as one: how that is said differs by back end. */
import { Context, Effect, Layer, Option, Schema } from "effect"
import type { Scope } from "effect"
import { Entity } from "effect/cluster"
import { KeyValueStore } from "effect/persistence"
import type { EntityStates } from "flaredb/actors"
import { DurableState } from "flaredb/actors"

export class State extends Context.Service<State, {
  /** Makes the state of the entity that is being made. What it gives counts one more change in the open transaction. */
  readonly make: Effect.Effect<Effect.Effect<number>, never, Entity.CurrentAddress | Scope.Scope>
}>()("bench/State") {
  /** In Effect's store: SQL has it in the same transaction by itself. */
  static readonly layer: Layer.Layer<State, never, KeyValueStore.KeyValueStore> = Layer.effect(
    State,
    Effect.gen(function*() {
      const store = KeyValueStore.toSchemaStore(
        yield* KeyValueStore.KeyValueStore,
        Schema.Struct({ changes: Schema.Int })
      )
      const changeOf = (entityId: string) =>
        Effect.gen(function*() {
          const state = yield* store.get(`bench/${entityId}`)
          const changes = Option.match(state, { onNone: () => 1, onSome: (found) => found.changes + 1 })
          yield* store.set(`bench/${entityId}`, { changes })
          return changes
        }).pipe(Effect.orDie)
      return State.of({ make: Effect.map(Entity.CurrentAddress, ({ entityId }) => changeOf(entityId)) })
    })
  )

  static readonly layerFlareDb: Layer.Layer<State, never, EntityStates> = Layer.effect(
    State,
    Effect.map(Effect.context<EntityStates>(), (context) =>
      State.of({
        make: DurableState.make({ name: "changes", schema: Schema.Int, initial: 0 }).pipe(
          Effect.map((changes) => Effect.orDie(changes.updateAndGet((count) => count + 1))),
          Effect.provide(context)
        )
      }))
  )
}
