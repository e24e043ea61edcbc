/** A node that is started on an old copy of its directory: the leader knows what it had, and it counts for nothing until it has it again. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import type { NodeReport } from "../../src/protocol/NodeReport.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { eventually } from "../Eventually.ts"
import * as Cluster from "./Cluster.ts"
import { report } from "./Figures.ts"

/** Written after the copy was made. */
const entries = process.env["FIGURES"] === undefined ? 500 : 4_000
const valueBytes = 8 * 1024

const reportOf = (all: ReadonlyArray<NodeReport>, id: number): NodeReport | undefined =>
  all.find(({ nodeId }) => nodeId === id)

it.live("a node on an old copy of its directory says so, does not vote, and catches up", () =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    // The leader knows what the node had as long as it leads: no stall of a busy machine ends that.
    const cluster = yield* Cluster.make(3, undefined, {
      FLAREDB_ELECTION_TIMEOUT_MIN_MS: "4000",
      FLAREDB_ELECTION_TIMEOUT_MAX_MS: "6000"
    })
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
      yield* cluster.until((all) => {
        const own = reportOf(all, node.id)
        return own?.membership === "voter" && own.applied >= goal
      })
      report(`node on a copy that is ${entries} entries behind: start of its process to caught up`, [
        performance.now() - began
      ])
      const lineOf = (text: string) =>
        eventually(`the log says ${text}`, () => node.log.some((one) => one.includes(text)))
      yield* lineOf("DirectoryRolledBack")
      assert.include(node.log.find((line) => line.includes("DirectoryRolledBack")), "ERROR")
      // It was no voter from there on: only a node that is none becomes one.
      yield* lineOf("is a voter: it has caught up through")
      const now = yield* cluster.until((all) => all.length === 3 && all.some(({ role }) => role === "leader"))
      assert.strictEqual(now.find(({ role }) => role === "leader")?.term, leading?.term, "the leader went on")
      assert.strictEqual(yield* kv.count("key/"), entries)
    }).pipe(Effect.provide(Cluster.client(cluster)))
  }).pipe(Effect.provide(NodeServices.layer)))
