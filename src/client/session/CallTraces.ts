/** The spans of callers that travel with a call. */
import { Context, Effect, Tracer } from "effect"
import type { Trace } from "../../protocol/Trace.ts"
import { maxTraces } from "../../protocol/Trace.ts"
import type { Operation } from "./Operation.ts"

/** The spans that travel with a call; `undefined` when no caller has one. */
export const tracesOf = (batch: ReadonlyArray<Pick<Operation<unknown>, "span">>): ReadonlyArray<Trace> | undefined => {
  let traces: Array<Trace> | undefined
  for (let index = 0; index < batch.length && (traces === undefined || traces.length < maxTraces); index++) {
    const span = batch[index]?.span
    if (span !== undefined) (traces ??= []).push({ slot: index, traceId: span.traceId, spanId: span.spanId })
  }
  return traces
}

/** Has an operation carried out within a span of its own, when its caller has one. */
export const spanned = <A, E, R>(
  name: string,
  carryOut: (span: Tracer.Span | undefined) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.withFiber(({ context }) =>
    Context.getOrUndefined(context, Tracer.ParentSpan) === undefined
      ? carryOut(undefined)
      : Effect.useSpan(
        `flaredb.${name}`,
        { kind: "client", attributes: { "db.system.name": "flaredb", "db.operation.name": name } },
        (span) => carryOut(span.sampled ? span : undefined)
      )
  )
