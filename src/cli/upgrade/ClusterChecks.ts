/** Whether a running cluster can do without one of its nodes for a while: whole, caught up, and of one release. */
import type { NodeAnswer } from "../../client/ClusterAdmin.ts"
import { healthThresholds } from "../../config/HealthThresholds.ts"
import type { NodeReport } from "../../protocol/NodeReport.ts"
import { lagOf } from "../../protocol/NodeReport.ts"
import { clusterLevel, releaseOf } from "./ClusterLevel.ts"
import type { Check } from "../checks/Check.ts"
import { ok, problem } from "../checks/Check.ts"

const list = (values: Iterable<string | number>): string => [...values].join(", ")

/** All nodes answer, belong to one cluster, and vote. */
const wholeness = (answers: ReadonlyArray<NodeAnswer>, reports: ReadonlyArray<NodeReport>): Check => {
  const lost = answers.filter(({ report }) => report === undefined)
  if (lost.length > 0) {
    return problem(
      "nodes",
      list(lost.map(({ endpoint, problem }) => `${endpoint}: ${problem ?? "no answer"}`)),
      "bring every node up first: with one node down, the restart of another stops all writes"
    )
  }
  const [first] = reports
  const voters = first?.voters ?? []
  const missing = voters.filter((voter) => !reports.some(({ nodeId }) => nodeId === voter))
  if (missing.length > 0) {
    return problem("nodes", `no endpoint leads to node ${list(missing)}`, "give the endpoints of all nodes")
  }
  const clusters = new Set(reports.map(({ clusterId, identity }) => `${clusterId} ${identity ?? "unknown"}`))
  if (clusters.size > 1) {
    return problem("nodes", `the nodes are of several clusters: ${list(clusters)}`, "see deploy/runbooks/lost-node.md")
  }
  for (const { nodeId, peers, membership, waiting } of reports) {
    const conflict = peers.find((peer) => peer.conflict !== null)?.conflict
    const cut = peers.find(({ connected }) => !connected)
    const why = conflict ?? waiting ??
      (membership === "voter" ? undefined : `does not vote: its membership is ${membership}`) ??
      (cut === undefined ? undefined : `has no link to node ${cut.peer}`)
    if (why !== undefined) {
      return problem("nodes", `node ${nodeId}: ${why}`, "wait until flaredb status shows none of it")
    }
  }
  return ok("nodes", `${reports.length} of ${voters.length} nodes answer and vote`)
}

const leadership = (reports: ReadonlyArray<NodeReport>): Check => {
  const leaders = new Set(reports.map(({ leader }) => leader))
  const [leader] = leaders
  return leaders.size === 1 && typeof leader === "number"
    ? ok("leader", `node ${leader} leads in term ${Math.max(...reports.map(({ term }) => term))}`)
    : problem("leader", "the nodes do not agree on a leader", "wait for the election to end, and check again")
}

const progress = (reports: ReadonlyArray<NodeReport>): Check => {
  const commit = Math.max(0, ...reports.map((report) => report.commit))
  const furthest = commit - Math.min(commit, ...reports.map(({ applied }) => applied))
  for (const report of reports) {
    const { nodeId, receiving } = report
    const lag = lagOf(commit, report)
    if (receiving === null && lag <= healthThresholds.restartLagEntries) continue
    return problem(
      "caught up",
      `node ${nodeId} is ${lag} entries behind${receiving === null ? "" : " and receives the whole state"}`,
      "wait until flaredb status shows a lag near 0"
    )
  }
  return ok("caught up", `no node is more than ${furthest} entries behind the ${commit} that are committed`)
}

const releases = (answers: ReadonlyArray<NodeAnswer>, reports: ReadonlyArray<NodeReport>): Check => {
  const found = new Set(reports.map(releaseOf))
  if (found.size > 1) {
    return problem(
      "release",
      `the nodes run different releases: ${list(found)}`,
      "finish that upgrade first; flaredb cluster version shows which nodes are left"
    )
  }
  const { highest, level } = clusterLevel(answers)
  return highest > level
    ? problem(
      "release",
      `the feature level is ${level}, and the nodes know ${highest}`,
      "wait until the level is raised; flaredb cluster version shows what holds it back"
    )
    : ok("release", `every node runs ${list(found)}, and the feature level is ${level}`)
}

/** What the nodes say about themselves. Without all of them, the rest says nothing. */
export const clusterChecks = (answers: ReadonlyArray<NodeAnswer>): ReadonlyArray<Check> => {
  const reports = answers.flatMap(({ report }) => report === undefined ? [] : [report])
  const nodes = wholeness(answers, reports)
  return reports.length === 0
    ? [nodes]
    : [nodes, leadership(reports), progress(reports), releases(answers, reports)]
}
