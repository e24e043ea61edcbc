/**
 * Spans of the operations whose callers have one: from their coming to this node until their answer. A node whose
 * callers have none does nothing here.
 */
import { Clock, Context, Effect, Exit, Option, Tracer } from "effect"
import type { Trace } from "../protocol/Trace.ts"
import type { LogIndex, NodeId, Term } from "../raft/Types.ts"

/** What makes the spans of a node. */
interface Maker {
  readonly tracer: Tracer.Tracer
  readonly clock: Clock.Clock
  readonly node: NodeId
}

interface Begun {
  readonly name: string
  readonly parent: Tracer.AnySpan
  readonly kind: Tracer.SpanKind
  readonly startTime: bigint
}

const begin = ({ node, tracer }: Maker, { kind, name, parent, startTime }: Begun): Tracer.Span => {
  const span = tracer.span({
    name,
    parent: Option.some(parent),
    annotations: Context.empty(),
    links: [],
    startTime,
    kind,
    root: false,
    sampled: true
  })
  span.attribute("flaredb.node", node)
  return span
}

/** The spans of one call. */
export class OperationSpans {
  private readonly maker: Maker
  private readonly clock: Clock.Clock
  private readonly spans: ReadonlyMap<number, Tracer.Span>

  constructor(maker: Maker, spans: ReadonlyMap<number, Tracer.Span>) {
    this.maker = maker
    this.clock = maker.clock
    this.spans = spans
  }

  /** The command at `commandIndex` was appended to the leader's log. */
  appended(commandIndex: number, index: LogIndex, term: Term): void {
    this.spans.get(commandIndex)?.event("appended", this.clock.currentTimeNanosUnsafe(), {
      "flaredb.log.index": index,
      "flaredb.log.term": term
    })
  }

  /** The command at `commandIndex` was applied just now, in `tookMs` ms, with `entries` that share its batch. */
  applied(commandIndex: number, tookMs: number, entries: number): void {
    const parent = this.spans.get(commandIndex)
    if (parent === undefined) return
    const endTime = this.clock.currentTimeNanosUnsafe()
    const startTime = endTime - BigInt(Math.round(tookMs * 1e6))
    const span = begin(this.maker, { name: "flaredb.node.apply", parent, kind: "internal", startTime })
    span.attribute("flaredb.apply.entries", entries)
    span.end(endTime, Exit.void)
  }

  /** The operation at `commandIndex` has its answer: bytes, or the error that the caller gets. */
  answered(commandIndex: number, result: unknown): void {
    const exit = result instanceof Uint8Array ? Exit.void : Exit.fail(result)
    this.spans.get(commandIndex)?.end(this.clock.currentTimeNanosUnsafe(), exit)
  }

  /** All operations of the call have their answers, or it ended without. */
  ended(exit: Exit.Exit<ReadonlyArray<unknown>, unknown>): void {
    for (const [commandIndex, span] of this.spans) {
      if (Exit.isSuccess(exit)) this.answered(commandIndex, exit.value[commandIndex])
      else span.end(this.clock.currentTimeNanosUnsafe(), exit)
    }
  }
}

/** Begins spans for a call's operations; `undefined` when no caller has one. */
export type BeginSpans = (name: string, traces: ReadonlyArray<Trace> | undefined) => OperationSpans | undefined

/** Makes spans with the tracer and the clock of the fiber that builds the node. */
export const make = (node: NodeId): Effect.Effect<BeginSpans> =>
  Effect.map(Effect.all([Effect.tracer, Clock.Clock]), ([tracer, clock]): BeginSpans => {
    const maker = { tracer, clock, node }
    return (name, traces) => {
      if (traces === undefined || traces.length === 0) return undefined
      const startTime = clock.currentTimeNanosUnsafe()
      const spans = new Map<number, Tracer.Span>()
      for (const { slot, spanId, traceId } of traces) {
        const parent = Tracer.externalSpan({ spanId, traceId, sampled: true })
        spans.set(slot, begin(maker, { name, parent, kind: "server", startTime }))
      }
      return new OperationSpans(maker, spans)
    }
  })
