/** The spans of callers that travel with a call. */
import type { Trace } from "../../protocol/Trace.ts"
import { maxTraces } from "../../protocol/Trace.ts"
import type { Operation } from "./Operation.ts"

/** The spans that travel with a call; `undefined` when no caller has one. */
export const tracesOf = (batch: ReadonlyArray<Pick<Operation<unknown>, "span">>): ReadonlyArray<Trace> | undefined => {
  let traces: Array<Trace> | undefined
  for (let slot = 0; slot < batch.length && (traces === undefined || traces.length < maxTraces); slot++) {
    const span = batch[slot]?.span
    if (span !== undefined) (traces ??= []).push({ slot, traceId: span.traceId, spanId: span.spanId })
  }
  return traces
}
