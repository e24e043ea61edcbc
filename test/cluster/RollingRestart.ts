/** One node after the other, as an operator does it. */
import { Effect } from "effect"
import type { Cluster, ClusterNode } from "./Cluster.ts"

/**
 * Ends each node in good order and starts it with other settings, the leader last, and waits each time until all nodes
 * are there and have applied what was committed before.
 */
export const restartEach = Effect.fnUntraced(function*(
  cluster: Cluster,
  settings: (node: ClusterNode) => Readonly<Record<string, string>>
) {
  const last = yield* cluster.leader
  for (const node of [...cluster.nodes.filter((one) => one !== last), last]) {
    yield* node.stop("SIGTERM")
    node.settings = settings(node)
    yield* node.start
    const reports = yield* cluster.until((all) => all.length === 3 && all.some(({ role }) => role === "leader"))
    const goal = Math.max(...reports.map(({ commit }) => commit))
    yield* cluster.until((all) =>
      all.length === 3 && all.every(({ applied, membership }) => applied >= goal && membership === "voter")
    )
  }
})
