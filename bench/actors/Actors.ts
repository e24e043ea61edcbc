/** The entity, the queue and the workflow that are measured. They do nothing but what costs. */
import { Effect, Layer, Schema } from "effect"
import { ClusterSchema, DeliverAt, Entity } from "effect/cluster"
import { PersistedQueue } from "effect/persistence"
import { Rpc } from "effect/rpc"
import { Activity, Workflow } from "effect/workflow"
import { State } from "./State.ts"

/** A request with a time: nothing answers before it. */
class Due extends Schema.Class<Due>("bench/Due")({ id: Schema.String, at: Schema.DateTimeUtc }) {
  [DeliverAt.symbol]() {
    return this.at
  }
}

const request = { payload: { id: Schema.String }, primaryKey: ({ id }: { readonly id: string }) => id }

export const Actor = Entity.make("BenchActor", [
  Rpc.make("Call", { ...request, success: Schema.Int }).annotate(ClusterSchema.Persisted, true),
  // State and reply in one transaction, as far as the back end has them.
  Rpc.make("Change", { ...request, success: Schema.Int })
    .annotate(ClusterSchema.Persisted, true)
    .annotate(ClusterSchema.WithTransaction, true),
  Rpc.make("Due", { payload: Due }).annotate(ClusterSchema.Persisted, true),
  // Not persisted: says which process has the entity.
  Rpc.make("Where", { success: Schema.Int })
])

export type Handled = (id: string, atMs: number) => void

export const actor = (onDue: Handled) =>
  Actor.toLayer(
    Effect.gen(function*() {
      const state = yield* State
      const change = yield* state.make
      let calls = 0
      return Actor.of({
        Call: () => Effect.sync(() => ++calls),
        Change: () => change,
        Due: ({ payload: { at, id } }) => Effect.sync(() => onDue(id, at.epochMilliseconds)),
        Where: () => Effect.succeed(process.pid)
      })
    }),
    // An idle entity would be stopped while another point is measured.
    { maxIdleTime: "1 hour" }
  )

export const dueAt = Due

export const queue = PersistedQueue.make({ name: "bench", schema: Schema.Struct({ id: Schema.String }) })

export const Steps = Workflow.make("BenchWorkflow", { payload: { id: Schema.String }, idempotencyKey: ({ id }) => id })

const names = ["one", "two", "three", "four", "five"]

export const steps = Steps.toLayer(() =>
  Effect.forEach(names, (name) => Activity.make({ name, execute: Effect.void }), { discard: true })
)

export const layer = (onDue: Handled) => Layer.merge(actor(onDue), steps)
