/**
 * Rate, errors and duration of every call at the ports of a node. A port has one histogram for each of its calls, whose
 * count is the rate, and a counter for each way in which they fail. The handles are kept: most calls pass here. Each is
 * a metric with its labels, because `Metric.withAttributes` makes the name of the series again with each update.
 */
import type { Context } from "effect"
import { Cause, Clock, Effect, Exit, Metric } from "effect"
import { secondsBuckets } from "../MetricBuckets.ts"
import { monotonicMsOf } from "../Monotonic.ts"

/** Callers see this, with their connection's round trip added. */
const seconds = (attributes: { readonly port: string; readonly call: string }) =>
  Metric.histogram("flaredb_call_seconds", {
    description: "seconds that a port took from reading a call to its answer, by port and call",
    boundaries: secondsBuckets,
    attributes
  })

/** Which error it was tells whose fault it is: `Overloaded` is the node's, `InvalidArgument` the caller's. */
const errors = (attributes: { readonly port: string; readonly call: string; readonly error: string }) =>
  Metric.counter("flaredb_call_errors_total", {
    description: "calls that a port answered with an error, by port, call and error",
    incremental: true,
    attributes
  })

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
  private readonly port: string
  private readonly context: Context.Context<never>
  private readonly durations = new Map<string, Metric.Histogram<number>>()
  private readonly failures = new Map<string, Metric.Counter<number>>()

  constructor(port: string, nowMs: () => number, context: Context.Context<never>) {
    this.port = port
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
    let duration = this.durations.get(call)
    if (duration === undefined) {
      duration = seconds({ port: this.port, call })
      this.durations.set(call, duration)
    }
    duration.updateUnsafe((this.nowMs() - sinceMs) / 1_000, this.context)
    if (error === undefined) return
    const name = `${call} ${error}`
    let failure = this.failures.get(name)
    if (failure === undefined) {
      failure = errors({ port: this.port, call, error })
      this.failures.set(name, failure)
    }
    failure.updateUnsafe(1, this.context)
  }

  /** A call that began at `sinceMs` ended so. */
  ended(call: string, sinceMs: number, exit: Exit.Exit<unknown, unknown>): void {
    this.answered(call, sinceMs, Exit.isSuccess(exit) ? undefined : errorName(exit.cause))
  }
}
