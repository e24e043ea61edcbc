/**
 * How this node does, in figures. All of it was counted anyway, so that nothing is paid while no console asks. What the
 * data directory takes is looked up at most once in a while.
 */
import { Clock, Context, Effect, Metric } from "effect"
import { readdir, stat, statfs } from "node:fs/promises"
import { join } from "node:path"
import { getHeapStatistics } from "node:v8"
import { secondsBuckets } from "../MetricBuckets.ts"
import type { RaftNode } from "../node/RaftNode.ts"
import type { Durations, NodeVitals } from "../protocol/NodeVitals.ts"

/** Where this node keeps its data; `undefined` for one in memory. */
export const DataDirectory = Context.Reference<string | undefined>("flaredb/server/DataDirectory", {
  defaultValue: () => undefined
})

/** How long what was found out about the disk is answered with, in milliseconds. */
const diskMs = 5_000

/** From this share of its limit on, a table is among the full ones. */
const fullShare = 0.5

/** Files of a data directory that are looked at. */
const maxFiles = 10_000

interface Disk {
  readonly dataBytes: number | null
  readonly diskFreeBytes: number | null
  readonly diskBytes: number | null
}

const noDisk: Disk = { dataBytes: null, diskFreeBytes: null, diskBytes: null }

const bytesBelow = async (directory: string): Promise<number> => {
  const files = await readdir(directory, { recursive: true })
  let bytes = 0
  for (const file of files.slice(0, maxFiles)) {
    // RocksDB removes files while this goes on.
    const found = await stat(join(directory, file)).catch(() => undefined)
    // What is taken, not what is reserved: log files are larger than what is in them.
    if (found?.isFile() === true) bytes += found.blocks * 512
  }
  return bytes
}

const look = async (directory: string): Promise<Disk> => {
  const [{ bavail, blocks, bsize }, dataBytes] = await Promise.all([statfs(directory), bytesBelow(directory)])
  return { dataBytes, diskFreeBytes: bavail * bsize, diskBytes: blocks * bsize }
}

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
    const directory = yield* DataDirectory
    let disk: Disk = noDisk
    let lookedMs = Number.NEGATIVE_INFINITY
    const currentDisk = Effect.fnUntraced(function*(nowMs: number) {
      if (directory === undefined || nowMs - lookedMs < diskMs) return disk
      lookedMs = nowMs
      // A disk that cannot be asked says so elsewhere, and louder.
      disk = yield* Effect.orElseSucceed(Effect.tryPromise(() => look(directory)), () => noDisk)
      return disk
    })
    return Effect.gen(function*() {
      const nowMs = yield* Clock.currentTimeMillis
      const found = yield* currentDisk(nowMs)
      const snapshots = Metric.snapshotUnsafe(context)
      const { heapUsed, rss } = process.memoryUsage()
      return {
        nowMs,
        uptimeMs: Math.round(process.uptime() * 1_000),
        commits: durationsOf(snapshots, "flaredb_raft_commit_seconds"),
        syncs: durationsOf(snapshots, "flaredb_log_sync_seconds"),
        stalls: counted(snapshots, "flaredb_node_stalls_total"),
        residentBytes: rss,
        heapBytes: heapUsed,
        heapLimitBytes: getHeapStatistics().heap_size_limit,
        ...found,
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
