/**
 * What became of the operations in clients' calls. A call carries many, and is answered well when each of them has an
 * answer, also where that is an error: `flaredb_call_errors_total` does not have these.
 */
import { Effect, Metric } from "effect"
import { seriesOf } from "../MetricSeries.ts"

export type OperationKind = "write" | "read"

/** The load of a node as its clients see it. */
const operations = seriesOf((kind: OperationKind) =>
  Metric.counter("flaredb_operations_total", {
    description: "operations of clients that were answered, by kind",
    incremental: true,
    attributes: { kind }
  })
)

/** Compare with the operations: `NotLeader` is a client that looks for the leader, `Indeterminate` a lost leader. */
const errors = seriesOf((kind: OperationKind, error: string) =>
  Metric.counter("flaredb_operation_errors_total", {
    description: "operations of clients that were answered with an error, by kind and error",
    incremental: true,
    attributes: { kind, error }
  })
)

/** Counts the answers of a call. */
export type CountOperations = (kind: OperationKind, results: ReadonlyArray<unknown>) => void

export const make: Effect.Effect<CountOperations> = Effect.map(Effect.context<never>(), (context) => {
  for (const kind of ["write", "read"] as const) operations(kind).updateUnsafe(0, context)
  return (kind, results) => {
    operations(kind).updateUnsafe(results.length, context)
    for (const result of results) {
      if (result instanceof Uint8Array) continue
      errors(kind, (result as { readonly _tag: string })._tag).updateUnsafe(1, context)
    }
  }
})
