/**
 * What the node answers, as far as the page reads it. The node's sources, which no page can import, have the same in
 * `src/http/console/`; `test/http/console/cluster-sample.test.ts` holds the two together.
 */

export interface Latency {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly count: number
}

export interface Vitals {
  readonly uptimeMs: number
  readonly stalls: number
  readonly residentBytes: number
  readonly heapBytes: number
  readonly heapLimitBytes: number
  readonly dataBytes: number | null
  readonly diskFreeBytes: number | null
  readonly diskBytes: number | null
}

export interface NodeSample {
  readonly endpoint: string
  readonly nodeId: number | null
  readonly problem: string | null
  readonly unreachableSinceMs: number | null
  readonly role: string | null
  readonly membership: string | null
  readonly term: number | null
  readonly commit: number | null
  readonly applied: number | null
  readonly lag: number | null
  readonly version: string | null
  readonly waiting: string | null
  readonly snapshot: number | null
  readonly commitLatency: Latency | null
  readonly syncLatency: Latency | null
  readonly clockAheadMs: number | null
  readonly vitals: Vitals | null
}

export interface Warning {
  readonly level: "critical" | "warning"
  readonly id: string
  readonly what: string
  readonly next: string
}

export interface LeaderChange {
  readonly term: number
  readonly leader: number
  readonly atMs: number
}

export interface Sample {
  readonly atMs: number
  readonly clusterId: string | null
  readonly voters: ReadonlyArray<number>
  readonly leader: number | null
  readonly term: number
  readonly writesPerSecond: number | null
  readonly nodes: ReadonlyArray<NodeSample>
  readonly leaderChanges: ReadonlyArray<LeaderChange>
  readonly warnings: ReadonlyArray<Warning>
}

export interface Viewer {
  readonly name: string | null
  readonly overview: boolean
  readonly keys: boolean
  readonly parts: ReadonlyArray<string>
}

export interface KeyEntry {
  readonly value: string
  readonly bytes: number
  readonly createRevision: number
  readonly modRevision: number
  readonly version: number
  readonly lease: number
}
