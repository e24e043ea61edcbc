/**
 * What became of the operations in clients' calls. A call carries many, and is answered well when each of them has an
 * answer, also where that is an error: `flaredb_call_errors_total` does not have these.
 *
 * A counter is made with its labels: `Metric.withAttributes` makes the name of the series again with each count.
 */
import { Effect, Metric } from "effect"

export type OperationKind = "write" | "read"

/** The load of a node as its clients see it. */
const operations = (kind: OperationKind) =>
  Metric.counter("flaredb_operations_total", {
    description: "operations of clients that were answered, by kind",
    incremental: true,
    attributes: { kind }
  })

/** Compare with the operations: `NotLeader` is a client that looks for the leader, `Indeterminate` a lost leader. */
const errors = (kind: OperationKind, error: string) =>
  Metric.counter("flaredb_operation_errors_total", {
    description: "operations of clients that were answered with an error, by kind and error",
    incremental: true,
    attributes: { kind, error }
  })

/** Counts the answers of a call. */
export type CountOperations = (kind: OperationKind, results: ReadonlyArray<unknown>) => void

export const make: Effect.Effect<CountOperations> = Effect.map(Effect.context<never>(), (context) => {
  const counts = { write: operations("write"), read: operations("read") }
  for (const counter of Object.values(counts)) counter.updateUnsafe(0, context)
  const failures = new Map<string, Metric.Counter<number>>()
  const failed = (kind: OperationKind, error: string) => {
    const name = `${kind} ${error}`
    let counter = failures.get(name)
    if (counter === undefined) {
      counter = errors(kind, error)
      failures.set(name, counter)
    }
    counter.updateUnsafe(1, context)
  }
  return (kind, results) => {
    counts[kind].updateUnsafe(results.length, context)
    for (const result of results) {
      if (!(result instanceof Uint8Array)) failed(kind, (result as { readonly _tag: string })._tag)
    }
  }
})
