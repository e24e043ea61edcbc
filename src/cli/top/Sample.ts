/** What the nodes say in one sample, and what two samples say of the time between. */
import { Effect } from "effect"
import type { NodeAnswer } from "../../client/ClusterAdmin.ts"
import { ClusterAdmin } from "../../client/ClusterAdmin.ts"
import type { NodePlace } from "../input/NodesFlags.ts"
import { httpAddress, httpUnknown } from "../input/NodesFlags.ts"
import type { Fill, MetricsPage } from "../nodes/MetricsPage.ts"
import { fills, quantile, rate } from "../nodes/MetricsPage.ts"
import type { Ask } from "../nodes/NodePages.ts"
import type { ProcessReport } from "../../protocol/NodeReport.ts"
import { lagOf } from "../../protocol/NodeReport.ts"
import { clockOf, metricsOf } from "../nodes/NodePages.ts"

export interface NodeSample {
  readonly place: NodePlace
  readonly answer: NodeAnswer
  readonly page: MetricsPage | undefined
  readonly process: ProcessReport | undefined
  /** Why the HTTP port said nothing, in one line. */
  readonly httpProblem: string | undefined
}

export interface Sample {
  readonly atMs: number
  readonly nodes: ReadonlyArray<NodeSample>
}

/** A value that a node may not tell: then there is none. */
const orNone = <A>(effect: Effect.Effect<A, string>) =>
  Effect.match(effect, {
    onSuccess: (value) => ({ value, problem: undefined }),
    onFailure: (problem) => ({ value: undefined, problem })
  })

/** Asks all nodes at once. A node that is down says so in its sample. */
export const takeSample = Effect.fnUntraced(function*(places: ReadonlyArray<NodePlace>, ask: Ask, nowMs: () => number) {
  const pages = Effect.forEach(places, (place) => {
    const http = httpAddress(place)
    if (http === undefined) {
      return Effect.succeed({ page: undefined, process: undefined, httpProblem: httpUnknown })
    }
    return Effect.map(
      Effect.all([orNone(metricsOf(ask, http)), orNone(clockOf(ask, http, 1))], { concurrency: 2 }),
      ([page, clock]) => ({
        page: page.value,
        process: clock.value?.process,
        httpProblem: page.problem ?? clock.problem
      })
    )
  }, { concurrency: "unbounded" })
  const [answers, told] = yield* Effect.all([Effect.flatMap(ClusterAdmin, ({ status }) => status), pages], {
    concurrency: 2
  })
  const nodes = places.map((place, i): NodeSample => ({
    place,
    answer: answers[i] as NodeAnswer,
    ...told[i] as typeof told[number]
  }))
  return { atMs: nowMs(), nodes } satisfies Sample
})

/** One node in figures. What it did not say is absent. */
export interface NodeRates {
  readonly endpoint: string
  readonly node: number | undefined
  readonly role: string
  readonly problem: string | undefined
  readonly term: number | undefined
  readonly leader: number | undefined
  readonly applied: number | undefined
  readonly lag: number | undefined
  /** Entries that the node applied, of all nodes and clients. */
  readonly commandsPerSecond: number | undefined
  /** Reads that the node answered to clients. */
  readonly readsPerSecond: number | undefined
  readonly syncP50Ms: number | undefined
  readonly syncP99Ms: number | undefined
  readonly commitP50Ms: number | undefined
  readonly commitP99Ms: number | undefined
  readonly memoryBytes: number | undefined
  readonly diskFreeBytes: number | undefined
  readonly diskBytes: number | undefined
  readonly connections: number | undefined
  readonly uptimeMs: number | undefined
  readonly fullest: Fill | undefined
}

const milliseconds = (seconds: number | undefined): number | undefined =>
  seconds === undefined ? undefined : seconds * 1_000

const figuresOf = (
  { answer, httpProblem, page, process }: NodeSample,
  before: NodeSample | undefined,
  elapsedMs: number,
  commit: number
): NodeRates => {
  const { report } = answer
  const earlier = before?.page
  const per = (name: string, label?: readonly [string, string]) =>
    page === undefined ? undefined : rate(page, name, earlier, elapsedMs, label)
  const latency = (name: string, share: number) =>
    page === undefined ? undefined : milliseconds(quantile(page, name, share, earlier))
  return {
    endpoint: answer.endpoint,
    node: report?.nodeId,
    role: report === undefined ? "unreachable" : report.membership === "voter" ? report.role : report.membership,
    problem: report === undefined ? answer.problem ?? "no answer" : report.waiting ?? httpProblem,
    term: report?.term,
    leader: report?.leader ?? undefined,
    applied: report?.applied,
    lag: report === undefined ? undefined : lagOf(commit, report),
    commandsPerSecond: per("flaredb_raft_applied_index"),
    readsPerSecond: per("flaredb_operations_total", ["kind", "read"]),
    syncP50Ms: latency("flaredb_log_sync_seconds", 0.5),
    syncP99Ms: latency("flaredb_log_sync_seconds", 0.99),
    commitP50Ms: latency("flaredb_raft_commit_seconds", 0.5),
    commitP99Ms: latency("flaredb_raft_commit_seconds", 0.99),
    memoryBytes: process?.memoryBytes,
    diskFreeBytes: process?.diskFreeBytes,
    diskBytes: process?.diskBytes,
    connections: page?.by("flaredb_table_entries", "table").get("client_connections"),
    uptimeMs: process?.uptimeMs,
    fullest: page === undefined ? undefined : fills(page)[0]
  }
}

/** The figures of all nodes; rates and latencies are those since `before`, or since each node began. */
export const figures = (now: Sample, before: Sample | undefined): ReadonlyArray<NodeRates> => {
  const commit = Math.max(0, ...now.nodes.map(({ answer }) => answer.report?.commit ?? 0))
  return now.nodes.map((node, i) => figuresOf(node, before?.nodes[i], now.atMs - (before?.atMs ?? 0), commit))
}
