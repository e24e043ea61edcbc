/**
 * How long the parts of a commit take, and how much shares one. Buckets are fixed, and nothing is allocated where a
 * value is counted. `docs/metrics.md` says what is easily misread.
 */
import type { Context } from "effect"
import { Metric } from "effect"
import { entriesBuckets, secondsBuckets } from "../MetricBuckets.ts"

const seconds = (name: string, description: string) =>
  Metric.histogram(name, { description, boundaries: secondsBuckets })

/** Rises with the disks and the network of a majority; compare with the sync's to see which. */
const commit = seconds(
  "flaredb_raft_commit_seconds",
  "seconds from appending the commands of a turn at the leader to having applied them"
)

/** A disk that gets slow shows here first. */
const sync = seconds("flaredb_log_sync_seconds", "seconds that a write to the log took until it was durable")

/** One apply is one synchronous stretch: everything else of the node waits for it. */
const apply = seconds("flaredb_raft_apply_seconds", "seconds that the state machine took for a batch of entries")

/** A process that has more to do than it can shows here. */
const wait = seconds("flaredb_inbox_wait_seconds", "seconds that the oldest call of a turn waited for the owner")

/** How many commands share an append and a sync. */
const batch = Metric.histogram("flaredb_raft_batch_entries", {
  description: "commands that a leader appended in one turn",
  boundaries: entriesBuckets
})

export interface NodeHistograms {
  readonly committed: (ms: number) => void
  readonly synced: (ms: number) => void
  readonly appliedIn: (ms: number) => void
  readonly waited: (ms: number) => void
  readonly batch: (entries: number) => void
}

export const make = (context: Context.Context<never>): NodeHistograms => ({
  committed: (ms) => commit.updateUnsafe(ms / 1_000, context),
  synced: (ms) => sync.updateUnsafe(ms / 1_000, context),
  appliedIn: (ms) => apply.updateUnsafe(ms / 1_000, context),
  waited: (ms) => wait.updateUnsafe(ms / 1_000, context),
  batch: (entries) => batch.updateUnsafe(entries, context)
})
