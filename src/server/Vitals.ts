/**
 * How this node does, in figures. All of it was counted anyway, so that nothing is paid while no console asks.
 */
import { Effect, Metric } from "effect"
import { secondsBuckets } from "../MetricBuckets.ts"
import type { RaftNode } from "../node/RaftNode.ts"
import type { Durations, NodeVitals } from "../protocol/NodeVitals.ts"
import * as ProcessFacts from "./ProcessFacts.ts"

/** From this share of its limit on, a table is among the full ones. */
const fullShare = 0.5

type Snapshots = ReadonlyArray<Metric.Metric.Snapshot>

const durationsOf = (snapshots: Snapshots, id: string): Durations => {
  const found = snapshots.find((one) => one.id === id)
  if (found?.type !== "Histogram") return { count: 0, buckets: [] }
  // Those of Effect have what is in the smaller ones too.
  let below = 0
  const buckets = secondsBuckets.map((boundary) => {
    const upTo = found.state.buckets.find(([at]) => at === boundary)?.[1] ?? below
    const own = upTo - below
    below = upTo
    return own
  })
  return { count: found.state.count, buckets: [...buckets, found.state.count - below] }
}

const counted = (snapshots: Snapshots, id: string): number => {
  const found = snapshots.find((one) => one.id === id)
  return found?.type === "Counter" ? Number(found.state.count) : 0
}

const tableGauges = (snapshots: Snapshots, id: string): ReadonlyMap<string, number> =>
  new Map(
    snapshots.flatMap((one) => {
      const table = one.attributes?.["table"]
      return one.id === id && one.type === "Gauge" && table !== undefined
        ? [[table, Number(one.state.value)] as const]
        : []
    })
  )

const fullTables = (snapshots: Snapshots): NodeVitals["fullTables"] => {
  const limits = tableGauges(snapshots, "flaredb_table_limit")
  return [...tableGauges(snapshots, "flaredb_table_entries")].flatMap(([table, entries]) => {
    const limit = limits.get(table) ?? 0
    return limit > 0 && entries >= limit * fullShare ? [{ table, entries, limit }] : []
  })
}

export const make = (
  node: Pick<RaftNode["Service"], "roleChanges">
): Effect.Effect<Effect.Effect<NodeVitals>> =>
  Effect.gen(function*() {
    const context = yield* Effect.context<never>()
    const processFacts = yield* ProcessFacts.make
    const dataBytes = yield* ProcessFacts.makeDataBytes
    return Effect.gen(function*() {
      const { memory, room, timeMs, uptimeMs } = yield* processFacts
      const snapshots = Metric.snapshotUnsafe(context)
      return {
        nowMs: timeMs,
        uptimeMs,
        commits: durationsOf(snapshots, "flaredb_raft_commit_seconds"),
        syncs: durationsOf(snapshots, "flaredb_log_sync_seconds"),
        stalls: counted(snapshots, "flaredb_node_stalls_total"),
        residentBytes: memory.residentBytes,
        heapBytes: memory.heapBytes,
        heapLimitBytes: memory.heapLimitBytes,
        dataBytes: (yield* dataBytes) ?? null,
        diskFreeBytes: room?.freeBytes ?? null,
        diskBytes: room?.totalBytes ?? null,
        fullTables: fullTables(snapshots),
        roleChanges: node.roleChanges().map(({ atMs, leader, role, term }) => ({
          atMs,
          role,
          term,
          leader: leader ?? null
        }))
      }
    })
  })
