/** A node that is started on an old copy of its directory: the leader knows what it had, and it counts for nothing until it has it again. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import type { NodeReport } from "../../src/protocol/NodeReport.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import * as Cluster from "./Cluster.ts"
import { report } from "./Figures.ts"

/** Written after the copy was made: enough that catching up takes a while. */
const entries = 4_000
const valueBytes = 8 * 1024

const reportOf = (all: ReadonlyArray<NodeReport>, id: number): NodeReport | undefined =>
  all.find(({ nodeId }) => nodeId === id)

it.live("a node on an old copy of its directory says so, does not vote, and catches up", () =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const cluster = yield* Cluster.make(3)
    yield* Cluster.start(cluster)
    yield* Effect.gen(function*() {
      const kv = yield* KeyValue
      yield* kv.put("before", "the copy")
      const node = (yield* cluster.followers)[0] as Cluster.ClusterNode
      const copy = `${node.dataDir}.copy`
      yield* node.stop("SIGTERM")
      yield* files.copy(node.dataDir, copy)
      yield* node.start
      const value = new Uint8Array(valueBytes).fill(7)
      yield* Effect.forEach(Array.from({ length: entries }, (_, i) => i), (i) => kv.put(`key/${i}`, value), {
        concurrency: 64,
        discard: true
      })
      const leading = (yield* cluster.until((all) => {
        const own = reportOf(all, node.id)
        const leader = all.find(({ role }) => role === "leader")
        return own !== undefined && leader !== undefined && own.applied === leader.lastIndex &&
          leader.matches.some(({ match, peer }) => peer === node.id && match === leader.lastIndex)
      })).find(({ role }) => role === "leader")

      yield* node.stop("SIGTERM")
      yield* files.remove(node.dataDir, { recursive: true })
      yield* files.rename(copy, node.dataDir)
      node.kept.clear()
      const began = performance.now()
      yield* node.start
      const goal = leading?.lastIndex ?? 0
      let learned = false
      yield* cluster.until((all) => {
        const own = reportOf(all, node.id)
        learned ||= own?.membership === "learner"
        return own?.membership === "voter" && own.applied >= goal
      })
      report(`node on a copy that is ${entries} entries behind: start of its process to caught up`, [
        performance.now() - began
      ])
      const said = node.log.find((line) => line.includes("DirectoryRolledBack"))
      assert.isDefined(said, "the node says that its directory is older than what it acknowledged")
      assert.include(said, "ERROR")
      assert.isTrue(learned, "the node does not vote before it has caught up")
      const now = yield* cluster.until((all) => all.length === 3 && all.some(({ role }) => role === "leader"))
      assert.strictEqual(now.find(({ role }) => role === "leader")?.term, leading?.term, "the leader went on")
      assert.strictEqual(yield* kv.count("key/"), entries)
    }).pipe(Effect.provide(Cluster.client(cluster)))
  }).pipe(Effect.provide(NodeServices.layer)))
