/** The state of the actor that is measured, changed with its reply as one: how that is said differs by back end. */
import { Context, Effect, Layer, Option, Schema } from "effect"
import { KeyValueStore } from "effect/persistence"
import { addToTransaction } from "flaredb/actors"
import { Compare, KeyValue, Op } from "flaredb/client"

export class State extends Context.Service<State, {
  /** Counts one more change of an entity, in the transaction that is open. */
  readonly change: (entityId: string) => Effect.Effect<number>
}>()("bench/State") {
  /** In Effect's store: SQL has it in the same transaction by itself. */
  static readonly layer: Layer.Layer<State, never, KeyValueStore.KeyValueStore> = Layer.effect(
    State,
    Effect.gen(function*() {
      const store = KeyValueStore.toSchemaStore(
        yield* KeyValueStore.KeyValueStore,
        Schema.Struct({ changes: Schema.Int })
      )
      return State.of({
        change: (entityId) =>
          Effect.gen(function*() {
            const state = yield* store.get(`bench/${entityId}`)
            const changes = Option.match(state, { onNone: () => 1, onSome: (found) => found.changes + 1 })
            yield* store.set(`bench/${entityId}`, { changes })
            return changes
          }).pipe(Effect.orDie)
      })
    })
  )

  static readonly layerFlareDb: Layer.Layer<State, never, KeyValue> = Layer.effect(
    State,
    Effect.map(KeyValue, (kv) =>
      State.of({
        change: (entityId) =>
          Effect.gen(function*() {
            const key = `bench/${entityId}`
            const state = yield* kv.get(key)
            const [changes, revision] = Option.match(state, {
              onNone: () => [1, 0] as const,
              onSome: ({ modRevision, text }) => [Number(text) + 1, modRevision] as const
            })
            yield* addToTransaction({
              if: [Compare.modRevision(key).equals(revision)],
              do: [Op.put(key, String(changes))]
            })
            return changes
          }).pipe(Effect.orDie)
      }))
  )
}
