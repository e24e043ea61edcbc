/** The feature level of a cluster, as the answers of its nodes show it. */
import type { NodeAnswer } from "../../client/ClusterAdmin.ts"
import type { NodeReport } from "../../protocol/NodeReport.ts"
import { baselineLevel } from "../../protocol/FeatureLevel.ts"

/** A node without which the level would rise. */
export interface Held {
  readonly endpoint: string
  readonly node: number | undefined
  readonly reason: string
}

export interface ClusterLevel {
  readonly level: number
  /** The highest level that some node knows. */
  readonly highest: number
  readonly heldBack: ReadonlyArray<Held>
}

/** What a node runs. A release from before feature levels has the same number as the first one with them. */
export const releaseOf = ({ version, versions }: NodeReport): string =>
  versions === undefined ? `${version} (before feature levels)` : version

const knownOf = ({ versions }: NodeReport): number => versions?.known ?? baselineLevel

export const clusterLevel = (answers: ReadonlyArray<NodeAnswer>): ClusterLevel => {
  const reports = answers.flatMap(({ report }) => report === undefined ? [] : [report])
  const level = Math.max(baselineLevel, ...reports.map(({ versions }) => versions?.level ?? baselineLevel))
  const highest = Math.max(level, ...reports.map(knownOf))
  if (highest === level) return { level, highest, heldBack: [] }
  const heldBack = answers.flatMap(({ endpoint, problem, report }): ReadonlyArray<Held> => {
    if (report === undefined) {
      return [{ endpoint, node: undefined, reason: `which is unreachable: ${problem ?? "no answer"}` }]
    }
    const known = knownOf(report)
    return known >= highest
      ? []
      : [{ endpoint, node: report.nodeId, reason: `which is flaredb ${releaseOf(report)} and knows level ${known}` }]
  })
  return { level, highest, heldBack }
}
