/**
 * Rate, errors and duration of every call at the ports of a node. A port has one histogram for each of its calls, whose
 * count is the rate, and a counter for each way in which they fail.
 */
import type { Context } from "effect"
import { Cause, Clock, Effect, Exit, Metric } from "effect"
import { secondsBuckets } from "../MetricBuckets.ts"
import { seriesOf } from "../MetricSeries.ts"
import { monotonicMsOf } from "../Monotonic.ts"

/** Callers see this, with their connection's round trip added. */
const secondsAt = (port: string) =>
  seriesOf((call) =>
    Metric.histogram("flaredb_call_seconds", {
      description: "seconds that a port took from reading a call to its answer, by port and call",
      boundaries: secondsBuckets,
      attributes: { port, call }
    })
  )

/** Which error it was tells whose fault it is: `Overloaded` is the node's, `InvalidArgument` the caller's. */
const errorsAt = (port: string) =>
  seriesOf((call, error) =>
    Metric.counter("flaredb_call_errors_total", {
      description: "calls that a port answered with an error, by port, call and error",
      incremental: true,
      attributes: { port, call, error }
    })
  )

/** What errors are counted under: the name of a typed error, or what else ended the call. */
export const errorName = (cause: Cause.Cause<unknown>): string => {
  for (const reason of cause.reasons) {
    if (!Cause.isFailReason(reason)) continue
    const error = reason.error as { readonly _tag?: unknown } | null | undefined
    return typeof error?._tag === "string" ? error._tag : "Error"
  }
  return Cause.hasInterruptsOnly(cause) ? "Interrupted" : "Defect"
}

export class CallMetrics {
  readonly nowMs: () => number
  private readonly context: Context.Context<never>
  private readonly seconds: ReturnType<typeof secondsAt>
  private readonly errors: ReturnType<typeof errorsAt>

  constructor(port: string, nowMs: () => number, context: Context.Context<never>) {
    this.seconds = secondsAt(port)
    this.errors = errorsAt(port)
    this.nowMs = nowMs
    this.context = context
  }

  /**
   * Those of the port "client", "peer" or "http", measured by the clock of the running fiber. Names of calls and errors
   * become labels: give such as the program has, and none that a caller makes up.
   */
  static readonly make = (port: string): Effect.Effect<CallMetrics> =>
    Effect.map(
      Effect.all([Effect.context<never>(), Clock.Clock]),
      ([context, clock]) => new CallMetrics(port, () => monotonicMsOf(clock), context)
    )

  /** A call that began at `sinceMs` is answered, with an error where one is named. */
  answered(call: string, sinceMs: number, error?: string): void {
    this.seconds(call).updateUnsafe((this.nowMs() - sinceMs) / 1_000, this.context)
    if (error !== undefined) this.errors(call, error).updateUnsafe(1, this.context)
  }

  /** A call that began at `sinceMs` ended so. */
  ended(call: string, sinceMs: number, exit: Exit.Exit<unknown, unknown>): void {
    this.answered(call, sinceMs, Exit.isSuccess(exit) ? undefined : errorName(exit.cause))
  }
}
