import { assert, describe, it } from "@effect/vitest"
import { brokenClaims } from "../../../src/cli/bench/Claims.ts"
import { Histogram } from "../../../src/cli/bench/Histogram.ts"
import type { Result } from "../../../src/cli/bench/Measure.ts"
import { parseCounters } from "../../../src/cli/bench/NodeCounters.ts"
import type { Plan } from "../../../src/cli/bench/Plan.ts"
import { shares } from "../../../src/cli/bench/Plan.ts"
import { sumBytes } from "../../../src/cli/bench/Resources.ts"

const plan: Plan = {
  operation: "put",
  clients: 64,
  connections: 8,
  processes: 3,
  valueBytes: 128,
  keys: 100,
  warmUpMs: 0,
  measureMs: 1_000
}

const nodesOf = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ leads: i === 0, cpu: undefined, rssMiB: undefined }))

const result: Result = {
  ...plan,
  count: 6_400,
  errors: 0,
  perSecond: 6_400,
  p50: 1,
  p95: 2,
  p99: 3,
  max: 4,
  syncsPerSecond: 300,
  commitsPerSync: 64,
  readRounds: 0,
  nodes: nodesOf(3),
  cpuMicrosPerOperation: undefined,
  bytesPerOperation: undefined,
  loadCpu: 0.5
}

describe("a histogram", () => {
  it("tells quantiles within two percent, and the longest exactly", () => {
    const histogram = new Histogram()
    for (let i = 1; i <= 1_000; i++) histogram.add(i / 10)
    for (const [share, expected] of [[0.5, 50], [0.95, 95], [0.99, 99]] as const) {
      assert.approximately(histogram.quantile(share), expected, expected * 0.021)
    }
    assert.strictEqual(histogram.maxMs, 100)
    assert.strictEqual(histogram.quantile(1), 100)
  })

  it("is the same when it is gathered from several processes", () => {
    const [whole, one, two] = [new Histogram(), new Histogram(), new Histogram()]
    for (let i = 1; i <= 100; i++) {
      whole.add(i)
      ;(i % 3 === 0 ? one : two).add(i)
    }
    const gathered = new Histogram()
    for (const part of [one, two]) gathered.merge(JSON.parse(JSON.stringify(part)))
    assert.strictEqual(gathered.count, 100)
    for (const share of [0.01, 0.5, 0.99, 1]) assert.strictEqual(gathered.quantile(share), whole.quantile(share))
  })

  it("has no quantile while it is empty", () => assert.isNaN(new Histogram().quantile(0.5)))
})

describe("a plan", () => {
  it("is divided so that every client is somewhere, once", () => {
    for (const [clients, processes] of [[64, 3], [1, 3], [1_000, 7], [2, 2]] as const) {
      const parts = shares({ ...plan, clients, processes }, { endpoints: "here", keyPrefix: "bench/", identity: {} })
      const numbers = parts.flatMap(({ count, first }) => Array.from({ length: count }, (_, i) => first + i))
      assert.deepStrictEqual(numbers, Array.from({ length: clients }, (_, i) => i))
      for (const { count, sockets } of parts) assert.isTrue(count >= 1 && sockets >= 1 && sockets <= count)
    }
  })
})

describe("a result", () => {
  const cases: ReadonlyArray<readonly [string, Partial<Result>, number]> = [
    ["of writes with two syncs for each turn of the clients holds", {}, 0],
    ["of writes with too few syncs is void", { syncsPerSecond: 100 }, 1],
    ["of writes to one node needs that node's syncs only", { nodes: nodesOf(1), syncsPerSecond: 100 }, 0],
    ["of writes to one node with too few syncs is void", { nodes: nodesOf(1), syncsPerSecond: 50 }, 1],
    ["of transactions with too few syncs is void", { operation: "txn", syncsPerSecond: 100 }, 1],
    ["of linearizable reads with a round for each turn holds", { operation: "get", readRounds: 100 }, 0],
    ["of linearizable reads with too few rounds is void", { operation: "get", readRounds: 50 }, 1],
    ["of stale reads without rounds holds", { operation: "stale-get", readRounds: 5 }, 0],
    ["of stale reads with rounds is void", { operation: "stale-get", readRounds: 100 }, 1],
    ["with errors is void", { errors: 1 }, 1],
    ["of nothing is void", { count: 0 }, 1]
  ]
  for (const [name, change, problems] of cases) {
    it(name, () => assert.lengthOf(brokenClaims({ ...result, ...change }), problems))
  }
})

describe("what is read from the system", () => {
  it("are a node's metrics", () => {
    const page = [
      "# HELP flaredb_storage_syncs_total syncs",
      "# TYPE flaredb_storage_syncs_total counter",
      "flaredb_storage_syncs_total 42",
      "flaredb_raft_applied_index 1000",
      "flaredb_raft_is_leader 1",
      "flaredb_process_cpu_seconds_total{mode=\"user\"} 1.25",
      "flaredb_process_cpu_seconds_total{mode=\"system\"} 0.25",
      "flaredb_process_resident_memory_bytes 67108864"
    ].join("\n")
    assert.deepStrictEqual(parseCounters(page), {
      syncs: 42,
      applied: 1_000,
      readRounds: 0,
      leads: true,
      usage: { cpuMs: 1_500, rssMiB: 64 }
    })
  })

  it("are the bytes of connections to the cluster's ports, each counted once", () => {
    const out = [
      "0      0         127.0.0.1:7001      127.0.0.1:50000",
      "\t cubic wscale:7,7 rto:204 bytes_sent:100 bytes_acked:101 bytes_received:20 segs_out:3",
      "0      0         127.0.0.1:50000     127.0.0.1:7001",
      "\t cubic wscale:7,7 rto:204 bytes_sent:20 bytes_acked:20 bytes_received:100 segs_out:3",
      "0      0             [::1]:7101          [::1]:50001",
      "\t cubic bytes_sent:7"
    ].join("\n")
    assert.strictEqual(sumBytes(out, new Set([7001, 7101])), 127)
  })
})
