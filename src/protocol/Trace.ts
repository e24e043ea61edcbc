/**
 * The span of a caller that waits for an operation, as it travels with the call: ids as in W3C Trace Context. The node
 * makes a span of its own that is a child of it. A call of callers without spans carries nothing.
 */
import { Schema } from "effect"

/** Most operations of one call whose spans travel with it. The others are carried out without. */
export const maxTraces = 64

const maxIdLength = 64

const Id = Schema.String.check(Schema.isMaxLength(maxIdLength))

export const Trace = Schema.Struct({
  /** The operation's index in the call. */
  slot: Schema.Natural,
  traceId: Id,
  spanId: Id
})
export type Trace = typeof Trace.Type

export const Traces = Schema.Array(Trace).check(Schema.isMaxLength(maxTraces))
