/** What doctor says of clusters that were made up. */
import { assert, describe, it } from "@effect/vitest"
import { clusterChecks } from "../../../src/cli/doctor/ClusterChecks.ts"
import type { NodeFacts } from "../../../src/cli/doctor/ClusterFacts.ts"
import { MetricsPage } from "../../../src/cli/nodes/MetricsPage.ts"
import type { NodeReport } from "../../../src/protocol/NodeReport.ts"

type Peer = NodeReport["peers"][number]

const peersOf = (id: number, linkOf: (peer: number) => Partial<Peer> = () => ({})): NodeReport["peers"] =>
  [1, 2, 3].filter((peer) => peer !== id).map((peer) =>
    Object.assign({ peer, connected: true, dropped: 0, conflict: null }, linkOf(peer))
  )

const reportOf = (id: number): NodeReport => ({
  clusterId: "prod",
  identity: "11111111-1111-4111-8111-111111111111",
  version: "1.0.0",
  nodeId: id,
  voters: [1, 2, 3],
  role: id === 1 ? "leader" : "follower",
  membership: "voter",
  term: 7,
  leader: 1,
  commit: 20_000,
  applied: 20_000,
  firstIndex: 1,
  lastIndex: 20_000,
  matches: [],
  sending: [],
  receiving: null,
  peers: peersOf(id),
  waiting: null
})

const page = (text: string) => ({ value: new MetricsPage(text) })

const nodeOf = (id: number): NodeFacts => {
  const host = `db${id}`
  return {
    place: {
      name: `node ${id}`,
      endpoint: { host, port: 7001 },
      address: { id, host, clientPort: 7001, peerPort: 7101, httpPort: 7201 }
    },
    addresses: { value: [`10.0.0.${id}`] },
    ports: [{ name: "peer", port: 7101, connected: { value: 0.4 } }],
    answer: { endpoint: `${host}:7001`, report: reportOf(id), problem: undefined, wrongCluster: undefined },
    metrics: page("flaredb_insecure 0\n"),
    clock: { value: { process: undefined, offsetMs: 1, errorMs: 1 } },
    certificateEndMs: undefined
  }
}

const nowMs = Date.UTC(2026, 0, 1)

/** Status by check, of those that are not ok. `change` is what is otherwise at node 2. */
const found = (change: (node: NodeFacts) => Partial<NodeFacts>): Record<string, string> =>
  Object.fromEntries(
    clusterChecks([nodeOf(1), { ...nodeOf(2), ...change(nodeOf(2)) }, nodeOf(3)], { nowMs, version: "1.0.0" })
      .filter(({ status }) => status !== "ok")
      .map(({ name, status }) => [name, status])
  )

const reported = (report: Partial<NodeReport>) => ({ answer }: NodeFacts): Partial<NodeFacts> => ({
  answer: { ...answer, report: { ...reportOf(2), ...report } }
})

const down: Partial<NodeFacts> = {
  answer: { endpoint: "db2:7001", report: undefined, problem: "refused", wrongCluster: undefined },
  ports: [{ name: "peer", port: 7101, connected: { problem: "nothing listens there" } }],
  metrics: { problem: "refused" },
  clock: { problem: "refused" }
}

const gib = 1024 ** 3

const process = {
  timeMs: 0,
  uptimeMs: 0,
  memoryBytes: 0,
  node: "v24.1.0",
  platform: "linux-x64",
  diskBytes: 100 * gib,
  diskFreeBytes: 50 * gib
}

const slow = Array.from(
  { length: 3 },
  (_, i) =>
    `flaredb_log_sync_seconds_bucket{le="${["0.01", "0.05", "+Inf"][i]}"} ${
      [
        0,
        500,
        500
      ][i]
    }`
).join("\n")

describe("a cluster", () => {
  it("that is as it should be is ok in everything", () => assert.deepStrictEqual(found(() => ({})), {}))

  it.each<readonly [string, (node: NodeFacts) => Partial<NodeFacts>, Record<string, string>]>([
    ["a node that is down", () => down, { "cluster.nodes": "warning", "node 2 ports": "failure" }],
    ["another version", reported({ version: "0.9.0" }), { "cluster.versions": "warning" }],
    ["another identity", reported({ identity: "2" }), { "cluster.identity": "failure" }],
    ["other voters", reported({ voters: [1, 2] }), { "cluster.voters": "failure" }],
    ["a lagging node", reported({ applied: 1 }), { "node 2 state": "warning" }],
    ["a learner", reported({ membership: "learner" }), { "node 2 state": "warning" }],
    ["a node that waits", reported({ waiting: "for node 3" }), { "node 2 state": "failure" }],
    [
      "a link that works one way",
      reported({ peers: peersOf(2, (peer) => ({ connected: peer !== 1 })) }),
      { "node 2 to 1": "failure" }
    ],
    [
      "a wrong clock",
      () => ({ clock: { value: { process: undefined, offsetMs: -2_500, errorMs: 3 } } }),
      { "cluster.clocks": "warning" }
    ],
    [
      "a clock of another day",
      () => ({ clock: { value: { process: undefined, offsetMs: 86_400_000, errorMs: 3 } } }),
      { "cluster.clocks": "failure" }
    ],
    [
      "a clock that a slow answer hides",
      () => ({ clock: { value: { process: undefined, offsetMs: 1_500, errorMs: 1_200 } } }),
      {}
    ],
    ["a name that is not known", () => ({ addresses: { problem: "ENOTFOUND" } }), { "node 2 name": "failure" }],
    ["a name of this machine alone", () => ({ addresses: { value: ["127.0.1.1"] } }), { "node 2 name": "warning" }],
    [
      "two names of one address",
      () => ({ addresses: { value: ["10.0.0.3"] } }),
      { "node 2 name": "failure", "node 3 name": "failure" }
    ],
    [
      "a slow disk",
      () => ({ metrics: page(`${slow}\nflaredb_log_sync_seconds_count 500\n`) }),
      { "node 2 sync": "warning" }
    ],
    [
      "a slow start alone",
      () => ({ metrics: page(`${slow}\nflaredb_log_sync_seconds_count 20\n`) }),
      {}
    ],
    [
      "a full table and few descriptors",
      () => ({
        metrics: page(
          "flaredb_table_entries{table=\"watches\"} 80\nflaredb_table_limit{table=\"watches\"} 100\n" +
            "flaredb_process_open_descriptors 90\nflaredb_process_max_descriptors 100\n"
        )
      }),
      { "node 2 tables": "warning", "node 2 descriptors": "warning" }
    ],
    [
      "a disk that fills",
      () => ({ clock: { value: { process: { ...process, diskFreeBytes: 9 * gib }, offsetMs: 1, errorMs: 1 } } }),
      { "node 2 room": "warning" }
    ],
    [
      "a full disk",
      () => ({ clock: { value: { process: { ...process, diskFreeBytes: gib / 8 }, offsetMs: 1, errorMs: 1 } } }),
      { "node 2 room": "failure" }
    ],
    ["a node without TLS", () => ({ metrics: page("flaredb_insecure 1\n") }), { "node 2 TLS": "warning" }],
    [
      "a certificate that ends soon",
      () => ({ certificateEndMs: { value: nowMs + 10 * 86_400_000 } }),
      { "node 2 certificate": "warning" }
    ],
    [
      "a certificate that has ended",
      () => ({ certificateEndMs: { value: nowMs - 1 } }),
      { "node 2 certificate": "failure" }
    ],
    [
      "two processes under one id",
      reported({ peers: peersOf(2, () => ({ conflict: "two processes run as node 1" })) }),
      { "node 2 to 1": "failure", "node 2 to 3": "failure" }
    ]
  ])("with %s", (_, change, expected) => assert.deepStrictEqual(found(change), expected))

  it("that refuses this caller is not taken for one that is down", () => {
    const refused: Partial<NodeFacts> = {
      answer: {
        endpoint: "db2:7001",
        report: undefined,
        problem: "refused by the other side: this port takes TLS only",
        wrongCluster: undefined
      }
    }
    const checks = clusterChecks([nodeOf(1), { ...nodeOf(2), ...refused }, nodeOf(3)], { nowMs, version: "1.0.0" })
    assert.match(checks.find(({ name }) => name === "cluster.nodes")?.advice ?? "", /--certs-dir/)
  })

  it("of which only one node answers cannot be written to", () => {
    const checks = clusterChecks([nodeOf(1), { ...nodeOf(2), ...down }, { ...nodeOf(3), ...down }], {
      nowMs,
      version: "1.0.0"
    })
    assert.strictEqual(checks.find(({ name }) => name === "cluster.nodes")?.status, "failure")
    assert.strictEqual(checks.find(({ name }) => name === "cluster.clocks")?.status, "unknown")
  })
})
