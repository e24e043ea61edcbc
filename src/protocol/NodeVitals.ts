/**
 * How a node does, in figures: what a console draws. Counters and buckets are since the start of the process, so that
 * a caller that asks twice has what happened between.
 */
import { Schema } from "effect"

/** How long something took, how often: as in a histogram of Prometheus, but for each bucket by itself. */
export const Durations = Schema.Struct({
  count: Schema.Natural,
  /** By `secondsBuckets`; the last is what took longer than all of them. */
  buckets: Schema.Array(Schema.Natural)
})
export type Durations = typeof Durations.Type

/** A change of role, term or leader, as the node saw it. */
const RoleChange = Schema.Struct({
  /** By the clock of the node's machine, in milliseconds since 1970. */
  atMs: Schema.Natural,
  role: Schema.Literals(["follower", "pre-candidate", "candidate", "leader"]),
  term: Schema.Natural,
  leader: Schema.NullOr(Schema.Natural)
})

/** A bounded table that is fuller than half. */
const FullTable = Schema.Struct({ table: Schema.String, entries: Schema.Natural, limit: Schema.Natural })

export const NodeVitals = Schema.Struct({
  /** By the clock of the node's machine, in milliseconds since 1970. */
  nowMs: Schema.Natural,
  uptimeMs: Schema.Natural,
  /** What a leader took for its commits, and what each node's disk took for its syncs. */
  commits: Durations,
  syncs: Durations,
  stalls: Schema.Natural,
  residentBytes: Schema.Natural,
  heapBytes: Schema.Natural,
  heapLimitBytes: Schema.Natural,
  /** What the data directory takes, and the file system under it. `null` where there is none. */
  dataBytes: Schema.NullOr(Schema.Natural),
  diskFreeBytes: Schema.NullOr(Schema.Natural),
  diskBytes: Schema.NullOr(Schema.Natural),
  fullTables: Schema.Array(FullTable),
  /** The latest ones, the oldest first. */
  roleChanges: Schema.Array(RoleChange)
})
export type NodeVitals = typeof NodeVitals.Type
