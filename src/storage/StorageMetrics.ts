/** What the storage measures about itself, each with why it matters. Updated synchronously, on the hot path. */
import { Effect, Metric } from "effect"

/** Against committed entries it tells how many commands share a sync; a sync is what a lone write mostly waits for. */
const syncs = Metric.counter("flaredb_storage_syncs_total", {
  description: "syncs of the log, and of RocksDB's write-ahead log, to the disk",
  incremental: true
})

/** Divided by the syncs: how long one takes. A disk that becomes slow shows here first. */
const syncSeconds = Metric.counter("flaredb_storage_sync_seconds_total", {
  description: "seconds spent waiting for these syncs",
  incremental: true
})

/** Room that the state before the last snapshot takes until the next one comes: at most one state. */
const replacedState = Metric.gauge("flaredb_storage_replaced_state_bytes", {
  description: "about how many bytes the state takes that the last snapshot replaced, kept to go back to"
})

export interface StorageMetrics {
  readonly replacedState: (bytes: number) => void
  readonly synced: (elapsedMs: number) => void
}

/** The updates, bound to the metric registry of the running fiber. */
export const make: Effect.Effect<StorageMetrics> = Effect.map(Effect.context<never>(), (context) => ({
  replacedState: (bytes) => replacedState.updateUnsafe(bytes, context),
  synced: (elapsedMs) => {
    syncs.updateUnsafe(1, context)
    syncSeconds.updateUnsafe(elapsedMs / 1000, context)
  }
}))
