/**
 * A cluster is upgraded one node at a time while clients write: from the commit before feature levels to this build, and to
 * a release after it, whose level no older node comes back from. `npm run upgrade:rolling` does the same for longer.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import * as FlareDb from "../../src/FlareDb.ts"
import { eventually } from "../Eventually.ts"
import type { EarlierBuild } from "../upgrade/EarlierBuild.ts"
import { beforeLevels, earlierBuild, hasCommit } from "../upgrade/EarlierBuild.ts"
import {
  lost,
  MeasuredLoad,
  nextRelease,
  replace,
  roll,
  sameHashes,
  thisBuild,
  untilLevel
} from "../upgrade/Rolling.ts"
import type { ClusterNode } from "./Cluster.ts"
import * as Cluster from "./Cluster.ts"
import { figure } from "./Figures.ts"
import { cleanEnv, run } from "./Flaredb.ts"
import { rest } from "./Rest.ts"
import { during } from "./SteadyLoad.ts"

const writers = 4

/** Writes while `upgrade` runs. None may fail, and all must be there. */
const underLoad = Effect.fnUntraced(function*<A, E, R>(cluster: Cluster.Cluster, upgrade: Effect.Effect<A, E, R>) {
  const client = FlareDb.layerClient({ endpoints: cluster.endpoints, requestTimeoutMs: 60_000 })
  const load = new MeasuredLoad("upgrade/")
  const written = (count: number) => eventually(`${count} writes`, () => load.acknowledged.length >= count)
  const end = yield* during(load.writers("writer", writers, rest), client)
  return yield* Effect.provide(
    Effect.gen(function*() {
      yield* written(50)
      yield* upgrade
      yield* written(load.acknowledged.length + 50)
      yield* end
      assert.deepStrictEqual(load.failures, [])
      assert.deepStrictEqual(yield* lost(load), [])
      assert.isTrue(yield* sameHashes(cluster), "the states are equal")
      const { p99Ms, pauseMs, writes } = load.take()
      figure(
        `upgrade under load: ${writes} writes, p99 ${p99Ms.toFixed(1)} ms, longest pause ${
          pauseMs.toFixed(1)
        } ms, failed: 0`
      )
    }),
    client,
    { local: true }
  )
})

/** The command line of the earlier build, as a client of the nodes that run now. */
const earlierCommand = ({ folder, program: [launcher = ""] }: EarlierBuild, ...args: ReadonlyArray<string>): string =>
  execFileSync(process.execPath, [launcher, ...args], {
    cwd: folder,
    encoding: "utf8",
    env: { ...process.env, ...cleanEnv({}) }
  })

it.live.skipIf(!hasCommit(beforeLevels))(
  `from ${beforeLevels} to this build, with clients of both; skipped where the history lacks that commit`,
  () =>
    Effect.gen(function*() {
      const earlier = yield* earlierBuild(beforeLevels, "command-line")
      const cluster = yield* Cluster.make(3, earlier.program)
      yield* Cluster.start(cluster)
      const at = ["--endpoints", cluster.endpointList]
      yield* underLoad(
        cluster,
        Effect.gen(function*() {
          const before = yield* run(["cluster", "version", ...at])
          assert.match(before.out, /0\.1\.0 \(before feature levels\)/)
          yield* roll(cluster, thisBuild)
        })
      )
      const after = yield* run(["cluster", "version", ...at])
      assert.match(after.out, /the cluster has feature level 1, and no node knows a higher one/)
      // Its client speaks with nodes of this build.
      assert.match(earlierCommand(earlier, "put", "by an earlier client", "1", ...at), /created at revision/)
      assert.strictEqual(earlierCommand(earlier, "get", "by an earlier client", ...at).trim(), "1")
    }).pipe(Effect.provide(NodeServices.layer))
)

it.live("from this build to the next release; its level is held back by the last node, and then keeps older ones out", () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(3)
    yield* Cluster.start(cluster)
    const at = ["--endpoints", cluster.endpointList]
    yield* underLoad(
      cluster,
      Effect.gen(function*() {
        const leader = yield* cluster.leader
        for (const node of cluster.nodes.filter((one) => one !== leader)) {
          yield* node.stop("SIGTERM")
          node.program = nextRelease
          yield* node.start
          yield* cluster.until((all) => all.length === 3 && all.every(({ membership }) => membership === "voter"))
        }
        const held = yield* run(["cluster", "version", ...at])
        assert.match(held.out, /has feature level 1; level 2 is switched on once every node knows it/)
        assert.match(
          held.out,
          new RegExp(`held back by node ${leader.id}, which is flaredb 0\\.1\\.0 and knows level 1`)
        )
        // The command that belongs to the next level is refused meanwhile, whichever release leads.
        const led = yield* cluster.leader
        const early = yield* run(["verify", ...at])
        const leads = yield* cluster.leader
        if (leads === led && leads !== leader) {
          assert.match(early.err, /needs feature level 2, and the cluster has level 1/)
        }
        yield* replace(cluster, leader, nextRelease)
        yield* untilLevel(cluster, 2)
      })
    )
    const [older] = yield* Effect.provide(cluster.followers, Cluster.client(cluster))
    yield* (older as ClusterNode).stop("SIGTERM")
    ;(older as ClusterNode).program = thisBuild
    const refused = yield* Effect.flip((older as ClusterNode).start)
    yield* (older as ClusterNode).ended
    assert.match(String(refused), /\(feature-level\).*found feature level 2, which flaredb 99\.0\.0 and later know/)
  }).pipe(Effect.provide(NodeServices.layer)))
