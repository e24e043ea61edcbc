/** The command that tells which releases a cluster runs, and what holds its feature level back. */
import { Effect } from "effect"
import { Command } from "effect/cli"
import type { NodeAnswer } from "../../client/ClusterAdmin.ts"
import { ClusterAdmin } from "../../client/ClusterAdmin.ts"
import { clientFlags, withClient } from "../input/ClientFlags.ts"
import { failed, withReachAdvice } from "../output/Failure.ts"
import * as Output from "../output/Output.ts"
import { table } from "../output/Table.ts"
import { describeEndpointErrors } from "../../client/connection/EndpointErrors.ts"
import { rangeText } from "../../protocol/ProtocolRange.ts"
import type { Held } from "../upgrade/ClusterLevel.ts"
import { clusterLevel, releaseOf } from "../upgrade/ClusterLevel.ts"

const rowOf = (answer: NodeAnswer): ReadonlyArray<string> => {
  const { endpoint, problem, report } = answer
  if (report === undefined) return [endpoint, "?", `unreachable: ${problem ?? "no answer"}`]
  const { nodeId, versions } = report
  const release = releaseOf(report)
  return versions === undefined
    ? [endpoint, String(nodeId), release, "?", "?", "?", "?"]
    : [
      endpoint,
      String(nodeId),
      release,
      String(versions.level),
      String(versions.known),
      rangeText(versions.clientProtocols),
      rangeText(versions.peerProtocols)
    ]
}

const jsonOf = ({ endpoint, problem, report }: NodeAnswer): object =>
  report === undefined
    ? { endpoint, problem }
    : { endpoint, node: report.nodeId, release: report.version, ...report.versions }

const heldText = ({ endpoint, node, reason }: Held): string =>
  `held back by ${node === undefined ? endpoint : `node ${node}`}, ${reason}`

export const clusterVersion = Command.make("version", clientFlags, (flags) =>
  withClient(
    flags,
    Effect.gen(function*() {
      const answers = yield* (yield* ClusterAdmin).status
      const reached = answers.some(({ report }) => report !== undefined)
      const { heldBack, highest, level } = clusterLevel(answers)
      if (flags.json) {
        for (const answer of answers) yield* Output.json(jsonOf(answer))
        if (reached) yield* Output.json({ level, highest, heldBack })
      } else {
        const head = ["ENDPOINT", "NODE", "RELEASE", "LEVEL", "KNOWS", "CLIENT PROTOCOL", "PEER PROTOCOL"]
        yield* Output.lines(table([head, ...answers.map(rowOf)]))
        if (reached) {
          yield* Output.line(
            highest > level
              ? `the cluster has feature level ${level}; level ${highest} is switched on once every node knows it`
              : `the cluster has feature level ${level}, and no node knows a higher one`
          )
          for (const held of heldBack) yield* Output.line(heldText(held))
        }
      }
      if (!reached) {
        const problems = answers.map(({ endpoint, problem }) => ({ endpoint, reason: problem ?? "no answer" }))
        return yield* failed(withReachAdvice(`no node can be reached; ${describeEndpointErrors(problems)}`))
      }
    })
  )).pipe(
    Command.withDescription(
      "Which release each node runs, the feature level of the cluster, and which nodes hold a higher one back."
    ),
    Command.withExamples([
      { command: "flaredb cluster version", description: "During an upgrade: which nodes are left" }
    ])
  )
