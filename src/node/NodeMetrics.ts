/**
 * What a node measures about itself, each with why it matters. Handles are prebuilt, and the hot path updates them
 * synchronously.
 */
import type { Context } from "effect"
import { Effect, Metric } from "effect"
import { seriesOf } from "../MetricSeries.ts"
import type { RoleChanged } from "../raft/Output.ts"
import * as NodeHistograms from "./NodeHistograms.ts"
import type { WaitKind } from "./Waiting.ts"
import { waitKinds } from "./Waiting.ts"

/** 1 while this node leads: summed over the cluster it should be 1. */
const leader = Metric.gauge("flaredb_raft_is_leader", { description: "1 while this node leads its term" })

/** Terms that climb without a node being lost point at a flapping network or at stalls. */
const term = Metric.gauge("flaredb_raft_term", { description: "current Raft term" })

/** Changes of role, term or leader. */
const roleChanges = Metric.counter("flaredb_raft_role_changes_total", {
  description: "changes of role, term or known leader",
  incremental: true
})

/** Compare with the leader's: the difference is what a follower still has to apply. */
const applied = Metric.gauge("flaredb_raft_applied_index", { description: "last applied log index" })

/** Which of the things that a node can wait for it waits for; all are 0 on one that can serve. */
const waiting = seriesOf((kind: WaitKind) =>
  Metric.gauge("flaredb_node_waiting", {
    description: "1 while the node waits for what the label says before it can serve",
    attributes: { for: kind }
  })
)

/** The work of the owner; inputs per turn show how well batching works under load. */
const turns = Metric.counter("flaredb_node_turns_total", { description: "turns of the owner", incremental: true })
const inputs = Metric.counter("flaredb_node_inputs_total", {
  description: "inputs handled by the owner",
  incremental: true
})

/** Its rate is the share of time that the owner is busy: near 1 a node can do no more, whatever its disk could. */
const busy = Metric.counter("flaredb_owner_busy_seconds_total", {
  description: "seconds that the owner spent in its turns",
  incremental: true
})

/** Without a leader a node refuses writes, and linearizable reads. */
const leaderKnown = Metric.gauge("flaredb_raft_leader_known", {
  description: "1 while this node leads or follows a leader"
})

/** With the applied index of a follower it tells how much the follower lacks. */
const committed = Metric.gauge("flaredb_raft_commit_index", { description: "last log index known to be committed" })

/** What a follower lacks, as the leader sees it when it is asked. One that grows never ends in a majority of two. */
const followerLag = seriesOf((peer) =>
  Metric.gauge("flaredb_raft_follower_lag_entries", {
    description: "log entries that this leader has and does not know this peer to have; 0 where it does not lead",
    attributes: { peer }
  })
)

/** A stalled process cannot send heartbeats: stalls near the election timeout depose leaders. */
const stalls = Metric.counter("flaredb_node_stalls_total", {
  description: "ticks that came later than half the shortest election timeout",
  incremental: true
})

/** Each linearizable read waited for a round of heartbeats; many reads that came together share one. */
const readRounds = Metric.counter("flaredb_node_read_rounds_total", {
  description: "rounds in which this node learned from which index on linearizable reads may be served",
  incremental: true
})

/** Follows the writes in steps; one that stays while the node is written to means a log that grows. */
const compactions = Metric.counter("flaredb_log_compactions_total", {
  description: "times the log was compacted",
  incremental: true
})

/**
 * Bytes of whole states. Often means followers that are away longer than the log reaches back, or disks that are lost.
 */
const snapshotSent = Metric.counter("flaredb_snapshot_sent_bytes_total", {
  description: "bytes of snapshots that followers have stored",
  incremental: true
})
const snapshotReceived = Metric.counter("flaredb_snapshot_received_bytes_total", {
  description: "bytes of snapshots received",
  incremental: true
})

/** A peer that cannot be right: a stranger in its name, another version, a bug, or failing memory. */
const violations = Metric.counter("flaredb_peer_violations_total", {
  description: "messages and snapshots of peers that were dropped because no correct node could send them",
  incremental: true
})

/** Nodes that show different identities do not form one cluster, whatever their names say. */
const identified = seriesOf((identity) =>
  Metric.gauge("flaredb_cluster_info", {
    description: "1, with the identity of the cluster as a label, once the node knows it",
    attributes: { identity }
  })
)

export interface NodeMetrics extends NodeHistograms.NodeHistograms {
  readonly identified: (identity: string) => void
  readonly readRound: () => void
  readonly peerViolation: () => void
  /** A turn took so many inputs, and so many milliseconds. */
  readonly turn: (inputs: number, ms: number) => void
  /** Publishes what turns have gathered, which is not published with each of them, and the commit index. */
  readonly sampled: (commit: number) => void
  readonly followerLag: (peer: number, entries: number) => void
  readonly roleChanged: (change: RoleChanged) => void
  readonly applied: (index: number) => void
  readonly stalled: () => void
  readonly waiting: (kind: WaitKind | undefined) => void
  readonly compacted: () => void
  readonly snapshotSent: (bytes: number) => void
  readonly snapshotReceived: (bytes: number) => void
}

/** The updates, bound to the metric registry of the running fiber. */
export const make: Effect.Effect<NodeMetrics> = Effect.map(
  Effect.context<never>(),
  (context) => {
    // Each is there from the start: what first appears as 1 has not increased.
    for (const gauge of [leader, leaderKnown]) gauge.updateUnsafe(0, context)
    for (const counter of [stalls, readRounds, compactions, violations]) counter.updateUnsafe(0, context)
    return updates(context)
  }
)

const updates = (context: Context.Context<never>): NodeMetrics => {
  let busyMs = 0
  return {
    ...NodeHistograms.make(context),
    turn: (count, ms) => {
      turns.updateUnsafe(1, context)
      inputs.updateUnsafe(count, context)
      busyMs += ms
    },
    sampled: (commit) => {
      busy.updateUnsafe(busyMs / 1_000, context)
      busyMs = 0
      committed.updateUnsafe(commit, context)
    },
    followerLag: (peer, entries) => followerLag(String(peer)).updateUnsafe(entries, context),
    roleChanged: (change) => {
      roleChanges.updateUnsafe(1, context)
      leader.updateUnsafe(change.role === "leader" ? 1 : 0, context)
      leaderKnown.updateUnsafe(change.leader === undefined ? 0 : 1, context)
      term.updateUnsafe(change.term, context)
    },
    applied: (index) => applied.updateUnsafe(index, context),
    identified: (identity) => identified(identity).updateUnsafe(1, context),
    readRound: () => readRounds.updateUnsafe(1, context),
    peerViolation: () => violations.updateUnsafe(1, context),
    waiting: (kind) => {
      for (const one of waitKinds) waiting(one).updateUnsafe(one === kind ? 1 : 0, context)
    },
    stalled: () => stalls.updateUnsafe(1, context),
    compacted: () => compactions.updateUnsafe(1, context),
    snapshotSent: (bytes) => snapshotSent.updateUnsafe(bytes, context),
    snapshotReceived: (bytes) => snapshotReceived.updateUnsafe(bytes, context)
  }
}
