/** What `flaredb top` makes of pages of metrics, of keys, and of the size of a terminal. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { pressed } from "../../../src/cli/commands/Top.ts"
import { fills, MetricsPage, quantile, rate } from "../../../src/cli/nodes/MetricsPage.ts"
import type { Sample } from "../../../src/cli/top/Sample.ts"
import { figures, takeSample } from "../../../src/cli/top/Sample.ts"
import { keysIn } from "../../../src/cli/top/Terminal.ts"
import { screen, tableText } from "../../../src/cli/top/View.ts"
import { ClusterAdmin } from "../../../src/client/ClusterAdmin.ts"
import type { NodeReport } from "../../../src/protocol/NodeReport.ts"

const histogram = (name: string, counts: ReadonlyArray<number>) =>
  ["0.001", "0.01", "0.1", "+Inf"].map((le, i) => `${name}_bucket{le="${le}"} ${counts[i]}`).join("\n")

describe("a page of metrics", () => {
  it("has quantiles of what was observed since an earlier page", () => {
    const before = new MetricsPage(histogram("sync_seconds", [100, 100, 100, 100]))
    const now = new MetricsPage(histogram("sync_seconds", [100, 150, 200, 200]))
    assert.closeTo(quantile(now, "sync_seconds", 0.5, before) ?? 0, 0.01, 1e-9)
    assert.closeTo(quantile(now, "sync_seconds", 0.75, before) ?? 0, 0.055, 1e-9)
    assert.closeTo(quantile(now, "sync_seconds", 0.5) ?? 0, 0.001, 1e-9)
    assert.isUndefined(quantile(now, "sync_seconds", 0.5, now))
    assert.isUndefined(quantile(now, "other", 0.5))
  })

  it("of a process that began again stands for itself", () => {
    const before = new MetricsPage(`${histogram("s", [9, 9, 9, 9])}\nn_total 50`)
    const now = new MetricsPage(`${histogram("s", [0, 2, 2, 2])}\nn_total 3`)
    assert.closeTo(quantile(now, "s", 0.5, before) ?? 0, 0.0055, 1e-9)
    assert.isUndefined(rate(now, "n_total", before, 1_000))
    assert.strictEqual(rate(before, "n_total", now, 2_000), 23.5)
  })

  it("has the fullest tables first", () => {
    const text = "flaredb_table_entries{table=\"a\"} 1\nflaredb_table_entries{table=\"b\"} 5\n" +
      "flaredb_table_limit{table=\"a\"} 100\nflaredb_table_limit{table=\"b\"} 10\n"
    assert.deepStrictEqual(fills(new MetricsPage(text)).map(({ table }) => table), ["b", "a"])
  })
})

const report: NodeReport = {
  clusterId: "c",
  identity: null,
  version: "1",
  nodeId: 1,
  voters: [1],
  role: "leader",
  membership: "voter",
  term: 3,
  leader: 1,
  commit: 500,
  applied: 480,
  firstIndex: 1,
  lastIndex: 500,
  matches: [{ peer: 2, match: 400, state: "replicate" }],
  sending: [],
  receiving: null,
  peers: [],
  waiting: null
}

const sampleOf = (atMs: number, applied: number): Sample => ({
  atMs,
  nodes: [
    {
      place: { name: "node 1", endpoint: { host: "h", port: 1 }, address: undefined },
      answer: { endpoint: "h:1", report, problem: undefined, wrongCluster: undefined },
      page: new MetricsPage(
        `flaredb_raft_applied_index ${applied}\nflaredb_operations_total{kind="read"} ${3 * applied}\n` +
          `flaredb_operations_total{kind="write"} ${7 * applied}\n`
      ),
      process: undefined,
      httpProblem: undefined
    },
    {
      place: { name: "node 2", endpoint: { host: "h", port: 2 }, address: undefined },
      answer: { endpoint: "h:2", report: undefined, problem: "it is \u001b[31mdown", wrongCluster: undefined },
      page: undefined,
      process: undefined,
      httpProblem: "no answer"
    }
  ]
})

describe("the figures", () => {
  const [before, now] = [sampleOf(1_000, 380), sampleOf(3_000, 480)]
  const both = figures(now, before)

  it("have rates between two looks, and nothing for a node that is down", () => {
    assert.include(both[0], { node: 1, role: "leader", lag: 20, commandsPerSecond: 50, readsPerSecond: 150, term: 3 })
    assert.include(both[1], { node: undefined, role: "unreachable", commandsPerSecond: undefined })
  })

  it("are a table in which no terminal can be steered", () => {
    const text = tableText(both)
    assert.match(text, /^NODE +ROLE +TERM/)
    assert.match(text, /^1 +leader +3 +480 +20 +50\.0 /m)
    assert.match(text, /^h:2 +unreachable +- /m)
    assert.notInclude(text, "\u001b")
  })

  it.each([[80, 24], [200, 50], [20, 5], [1, 1]])("fit a screen of %i columns and %i rows", (columns, rows) => {
    const lines = screen(both, now.nodes, { columns, rows, selected: 0, intervalMs: 2_000, time: "12:00:00" })
    assert.isAtMost(lines.length, rows)
    // oxlint-disable-next-line no-control-regex
    for (const line of lines) assert.isAtMost(line.replace(/\u001b\[\d+m/g, "").length, columns)
  })

  it("show the details of the node that was chosen", () => {
    const state = { columns: 200, rows: 30, intervalMs: 2_000, time: "" }
    assert.include(
      screen(both, now.nodes, { ...state, selected: 0 }).join("\n"),
      "node 2 replicate, 100 entries behind"
    )
    assert.include(screen(both, now.nodes, { ...state, selected: 1 }).join("\n"), "h:2: it is")
  })
})

describe("keys", () => {
  it("are read as terminals send them", () => {
    assert.deepStrictEqual(keysIn("\u001b[A\u001bOBq\u0003 +-x\u001b[Z"), [
      "up",
      "down",
      "quit",
      "quit",
      "now",
      "faster",
      "slower"
    ])
  })

  it("change what is shown within its bounds", () => {
    const state = { selected: 0, intervalMs: 300 }
    assert.deepStrictEqual(pressed("down", state, 3), { selected: 1, intervalMs: 300 })
    assert.deepStrictEqual(pressed("up", state, 3), state)
    assert.deepStrictEqual(pressed("faster", state, 3), { selected: 0, intervalMs: 200 })
    assert.deepStrictEqual(pressed("slower", state, 3), { selected: 0, intervalMs: 600 })
    assert.isUndefined(pressed("quit", state, 3))
  })
})

it.effect("a node whose HTTP port the flags do not tell is shown with what to give", () =>
  Effect.gen(function*() {
    const endpoint = { host: "db1", port: 7001 }
    const answer = { endpoint: "db1:7001", report: undefined, problem: undefined }
    const status = Effect.succeed([answer])
    const ask = () => Effect.die("there is no port to ask")
    const { nodes } = yield* takeSample([{ name: "db1:7001", endpoint, address: undefined }], ask, () => 0).pipe(
      Effect.provideService(ClusterAdmin, { status } as unknown as ClusterAdmin["Service"])
    )
    assert.deepStrictEqual(nodes.map(({ httpProblem }) => httpProblem), ["its HTTP port is not known; give --nodes"])
  }))
