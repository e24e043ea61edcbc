/** The commands on a running cluster: status, transfer-leader. */
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { formatDifference } from "../../DurationText.ts"
import type { NodeReport } from "../../protocol/NodeReport.ts"
import { lagOf } from "../../protocol/NodeReport.ts"
import type { NodeAnswer } from "../../client/ClusterAdmin.ts"
import { ClusterAdmin } from "../../client/ClusterAdmin.ts"
import { describeEndpointErrors } from "../../client/connection/EndpointErrors.ts"
import { clientFlags, withClient } from "../input/ClientFlags.ts"
import { failed, withReachAdvice } from "../output/Failure.ts"
import * as Output from "../output/Output.ts"
import { table } from "../output/Table.ts"

/** What a row says of a node: how far it is behind what its leader has committed. */
const lag = (answer: NodeAnswer, commit: number | undefined): string =>
  answer.report === undefined || commit === undefined ? "" : String(lagOf(commit, answer.report))

const mebibytes = (bytes: number): string => (bytes / 1024 / 1024).toFixed(bytes < 10 * 1024 * 1024 ? 1 : 0)

/** How a node is being brought on: nothing for one that keeps up. */
const catchUp = (report: NodeReport, leader: NodeReport | undefined): string => {
  const { nodeId, receiving, membership } = report
  if (receiving !== null) {
    const { bytes, estimatedBytes, peer } = receiving
    const percent = estimatedBytes === 0 ? 0 : Math.min(99, Math.floor(100 * bytes / estimatedBytes))
    return `state from node ${peer}: ${percent}%, ${mebibytes(bytes)} of about ${mebibytes(estimatedBytes)} MiB`
  }
  const match = leader?.matches.find(({ peer }) => peer === nodeId)
  if (match?.state === "snapshot") return "needs the whole state"
  if (membership === "learner") return "learns before it votes"
  if (membership === "unknown") return "waits for the other nodes"
  return match?.state === "probe" ? "is being looked for in the log" : ""
}

/** How far the clock of a node is from that of its leader, which has asked for it. */
const clock = ({ nodeId }: NodeReport, leader: NodeReport | undefined): string => {
  const ms = leader?.peers.find(({ peer }) => peer === nodeId)?.clock?.offsetMs
  return ms === undefined ? "" : formatDifference(ms)
}

/** What is wrong between the nodes, in lines. */
const problems = ({ nodeId, peers, waiting }: NodeReport): ReadonlyArray<string> =>
  [waiting, ...peers.map(({ conflict }) => conflict), ...peers.map((peer) => peer.clock?.problem)]
    .filter((problem) => typeof problem === "string")
    .map((problem) => `node ${nodeId}: ${problem}`)

const rows = (answers: ReadonlyArray<NodeAnswer>): ReadonlyArray<ReadonlyArray<string>> => {
  const terms = answers.flatMap(({ report }) => report?.role === "leader" ? [report] : [])
  const leader = terms.sort((a, b) => b.term - a.term)[0]
  return answers.map((answer) => {
    const { endpoint, problem, report } = answer
    return report === undefined
      ? [endpoint, "?", `unreachable: ${problem ?? "no answer"}`]
      : [
        endpoint,
        String(report.nodeId),
        report.role,
        String(report.term),
        report.leader === null ? "none" : String(report.leader),
        String(report.commit),
        String(report.applied),
        lag(answer, leader?.commit),
        clock(report, leader),
        catchUp(report, leader)
      ]
  })
}

/** The clusters that the nodes are of: one, unless something is wrong. */
const clusters = (answers: ReadonlyArray<NodeAnswer>): ReadonlySet<string> =>
  new Set(
    answers.flatMap(({ report }) =>
      report === undefined || report.identity === null
        ? []
        : [`cluster ${report.clusterId}, identity ${report.identity}`]
    )
  )

export const status = Command.make("status", clientFlags, (flags) =>
  withClient(
    flags,
    Effect.gen(function*() {
      const answers = yield* (yield* ClusterAdmin).status
      if (flags.json) {
        for (const { endpoint, problem, report } of answers) {
          yield* Output.json(report === undefined ? { endpoint, problem } : { endpoint, ...report })
        }
      } else {
        const head = ["ENDPOINT", "NODE", "ROLE", "TERM", "LEADER", "COMMIT", "APPLIED", "LAG", "CLOCK", "CATCH-UP"]
        yield* Output.lines(table([head, ...rows(answers)]))
        for (const cluster of clusters(answers)) yield* Output.line(cluster)
        for (const { report } of answers) {
          for (const problem of report === undefined ? [] : problems(report)) yield* Output.line(problem)
        }
      }
      const reports = answers.flatMap(({ report }) => report === undefined ? [] : [report])
      if (reports.length === 0) {
        const unreachable = answers.map(({ endpoint, problem }) => ({ endpoint, reason: problem ?? "no answer" }))
        return yield* failed(withReachAdvice(`no node can be reached; ${describeEndpointErrors(unreachable)}`))
      }
      if (!reports.some(({ leader }) => leader !== null)) {
        const waiting = reports.find(({ membership }) => membership === "unknown")?.waiting
        if (typeof waiting === "string") return yield* failed(`the cluster has not begun: ${waiting}`)
        return yield* failed("no node leads or knows who does: a majority must be up before anything can be written")
      }
    })
  )).pipe(
    Command.withDescription("Where each node stands; fails when none of them leads or knows a leader."),
    Command.withExamples([{ command: "flaredb status", description: "The nodes of the local cluster" }])
  )

export const transferLeader = Command.make("transfer-leader", {
  ...clientFlags,
  to: Flag.Int("to").pipe(
    Flag.withMetavar("NODE"),
    Flag.withDescription("id of the node that should lead; the best follower when it is left out"),
    Flag.optional
  )
}, (flags) =>
  withClient(
    flags,
    Effect.gen(function*() {
      const leader = yield* (yield* ClusterAdmin).transferLeader(Option.getOrUndefined(flags.to))
      yield* flags.json ? Output.json({ leader }) : Output.line(`node ${leader} leads`)
    })
  )).pipe(
    Command.withDescription("Hand leadership to another node, for example before the leader is restarted."),
    Command.withExamples([{ command: "flaredb transfer-leader --to 2", description: "Let node 2 lead" }])
  )
