/** What nodes answer a console, for tests of what it makes of that. */
import type { NodeAnswer, VitalsAnswer } from "../../../src/client/ClusterAdmin.ts"
import type { Answers } from "../../../src/http/console/ClusterSample.ts"
import { secondsBuckets } from "../../../src/MetricBuckets.ts"
import type { NodeReport } from "../../../src/protocol/NodeReport.ts"
import type { Durations, NodeVitals } from "../../../src/protocol/NodeVitals.ts"

export const endpointOf = (id: number): string => `127.0.0.1:700${id}`

export const report = (nodeId: number, given: Partial<NodeReport> = {}): NodeAnswer => ({
  endpoint: endpointOf(nodeId),
  problem: undefined,
  wrongCluster: undefined,
  report: {
    clusterId: "test",
    identity: "an-identity",
    version: "1.0.0",
    nodeId,
    voters: [1, 2, 3],
    role: nodeId === 1 ? "leader" : "follower",
    membership: "voter",
    term: 2,
    leader: 1,
    commit: 100,
    applied: 100,
    firstIndex: 1,
    lastIndex: 100,
    matches: [],
    sending: [],
    receiving: null,
    peers: [],
    waiting: null,
    ...given
  }
})

export const unreachable = (nodeId: number): NodeAnswer => ({
  endpoint: endpointOf(nodeId),
  report: undefined,
  problem: "no process listens there",
  wrongCluster: undefined
})

/** So many operations in the bucket that ends with `seconds`. */
export const durations = (counts: Readonly<Record<number, number>>): Durations => {
  const buckets = [...secondsBuckets.map((seconds) => counts[seconds] ?? 0), 0]
  return { buckets, count: buckets.reduce((sum, count) => sum + count, 0) }
}

export const figures = (nodeId: number, given: Partial<NodeVitals> = {}): VitalsAnswer => ({
  endpoint: endpointOf(nodeId),
  vitals: {
    nowMs: 1_000,
    uptimeMs: 60_000,
    commits: durations({}),
    syncs: durations({}),
    stalls: 0,
    residentBytes: 200,
    heapBytes: 100,
    heapLimitBytes: 1_000,
    dataBytes: 10,
    diskFreeBytes: 900 * 1024 ** 3,
    diskBytes: 1_000 * 1024 ** 3,
    fullTables: [],
    roleChanges: [],
    ...given
  }
})

export const answers = (given: Partial<Answers> = {}): Answers => ({
  atMs: 1_000,
  tookMs: 2,
  status: [report(1), report(2), report(3)],
  figures: [figures(1), figures(2), figures(3)],
  ...given
})
