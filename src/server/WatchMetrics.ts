/** What a node measures about the watches it serves, each with why it matters. */
import { Effect, Metric } from "effect"

/** Compare with `maxWatches`: beyond it watches are refused. */
const watches = Metric.gauge("flaredb_watches", { description: "watches served by this node" })

/** What watches cost: every change is sent to every watch it concerns. */
const changes = Metric.counter("flaredb_watch_changes_total", {
  description: "changes told to watches",
  incremental: true
})

/** Near `maxWatchBytes`, watches wait for each other. */
const bytes = Metric.gauge("flaredb_watch_unconfirmed_bytes", {
  description: "bytes told to watches that did not ask for more yet"
})

/** Clients that do not keep up, or went away without a word. */
const cancelled = Metric.counter("flaredb_watches_cancelled_total", {
  description: "watches cancelled because they were not asked to go on",
  incremental: true
})

export interface WatchMetrics {
  readonly watches: (count: number) => void
  readonly sent: (changes: number) => void
  readonly unconfirmed: (bytes: number) => void
  readonly cancelled: () => void
}

/** The updates, bound to the metric registry of the running fiber. */
export const make: Effect.Effect<WatchMetrics> = Effect.map(
  Effect.context<never>(),
  (context) => ({
    watches: (count) => watches.updateUnsafe(count, context),
    sent: (count) => changes.updateUnsafe(count, context),
    unconfirmed: (count) => bytes.updateUnsafe(count, context),
    cancelled: () => cancelled.updateUnsafe(1, context)
  })
)
