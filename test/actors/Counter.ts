/** An entity whose persisted requests are counted in the store, so that a test sees how often each was handled. */
import { DateTime, Effect, PrimaryKey, Schema, Stream } from "effect"
import { ClusterSchema, DeliverAt, Entity } from "effect/cluster"
import { Rpc } from "effect/rpc"
import { addToTransaction } from "../../src/actors/index.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { Op } from "../../src/client/Txn.ts"

export class Add extends Schema.Class<Add>("Add")({ id: Schema.String }) {
  [PrimaryKey.symbol]() {
    return this.id
  }
}

export class Later extends Schema.Class<Later>("Later")({ id: Schema.String, atMs: Schema.Number }) {
  [PrimaryKey.symbol]() {
    return this.id
  }
  [DeliverAt.symbol]() {
    return DateTime.makeUnsafe(this.atMs)
  }
}

export const Counter = Entity.make("Counter", [
  Rpc.make("Add", { payload: Add, success: Schema.String }).annotate(ClusterSchema.Persisted, true),
  Rpc.make("Later", { payload: Later, success: Schema.Number }).annotate(ClusterSchema.Persisted, true),
  /** Its effect on the store and its reply are one. */
  Rpc.make("Move", { payload: Add, success: Schema.String, error: Schema.String })
    .annotate(ClusterSchema.Persisted, true)
    .annotate(ClusterSchema.WithTransaction, true),
  /** It sends a message to another entity as well. */
  Rpc.make("Forward", { payload: Add, success: Schema.String, error: Schema.String })
    .annotate(ClusterSchema.Persisted, true)
    .annotate(ClusterSchema.WithTransaction, true),
  Rpc.make("List", { payload: Add, success: Schema.Number, stream: true }).annotate(ClusterSchema.Persisted, true)
])

/** How often a request was handled, by its entity and id. */
export const handled = (entity: string, id: string) => `handled/${entity}/${id}`

export const CounterLive = Counter.toLayer(
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const { entityId } = yield* Entity.CurrentAddress
    const count = (id: string) =>
      Effect.orDie(
        kv.modify(handled(entityId, id), (times) => String(times._tag === "Some" ? Number(times.value.text) + 1 : 1))
      )
    return Counter.of({
      Add: ({ payload }) => Effect.as(count(payload.id), `${entityId} ${payload.id}`),
      Later: ({ payload }) => Effect.andThen(count(payload.id), Effect.map(DateTime.now, DateTime.toEpochMillis)),
      Move: ({ payload }) =>
        Effect.gen(function*() {
          yield* Effect.orDie(addToTransaction({ do: [Op.put(`moved/${payload.id}`, entityId)] }))
          return yield* payload.id.startsWith("bad") ? Effect.fail("bad") : Effect.succeed(payload.id)
        }),
      Forward: ({ payload }) =>
        Effect.gen(function*() {
          const client = yield* Counter.client
          yield* Effect.orDie(client(`after ${entityId}`).Add(new Add({ id: payload.id }), { discard: true }))
          return yield* payload.id.startsWith("bad") ? Effect.fail("bad") : Effect.succeed(payload.id)
        }),
      List: () => Stream.range(1, 5)
    })
  })
)
