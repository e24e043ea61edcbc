/**
 * `npm run upgrade:rolling`: three nodes of an earlier commit, by default that before feature levels, become nodes of
 * this build, one at a time, and go back; then they become nodes of the release after this one, whose level no older node may come back from.
 * Clients of both builds write all the time. Nothing may fail and nothing may be lost.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Data, Effect, Runtime } from "effect"
import { Command, Flag } from "effect/cli"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import * as FlareDb from "../../src/FlareDb.ts"
import * as Cluster from "../cluster/Cluster.ts"
import { during } from "../cluster/SteadyLoad.ts"
import { beforeLevels, earlierBuild } from "./EarlierBuild.ts"
import type { Client } from "./Rolling.ts"
import { lost, MeasuredLoad, nextRelease, replace, roll, sameHashes, thisBuild, untilLevel } from "./Rolling.ts"

class Broken extends Data.TaggedError("Broken")<{ readonly message: string }> {
  override readonly [Runtime.errorExitCode] = 1
  override readonly [Runtime.errorReported] = false
}

const ms = (value: number): string => `${value.toFixed(1)} ms`

/** The client of an earlier build. Its services have the names of this one's. */
const earlierClient = (folder: string, endpoints: Cluster.Cluster["endpoints"]) =>
  Effect.map(
    Effect.promise(() => import(pathToFileURL(join(folder, "dist", "index.js")).href)),
    (built: { readonly FlareDb: { readonly layerClient: typeof FlareDb.layerClient } }): Client =>
      built.FlareDb.layerClient({ endpoints, requestTimeoutMs: 10_000 })
  )

/** A node that must not come up, with what it says. */
const refuses = Effect.fnUntraced(function*(
  node: Cluster.ClusterNode,
  program: ReadonlyArray<string>,
  says: RegExp
) {
  node.program = program
  const error = yield* Effect.flip(node.start)
  yield* node.ended
  const line = error instanceof Error ? error.message.split("\n").find((one) => says.test(one)) : undefined
  if (line === undefined) return yield* new Broken({ message: `it did not say ${says}: ${String(error)}` })
  yield* Console.log(
    `  refused, as it should be: ${line.replace(/^.*?refused to open/, "refused to open").slice(0, 300)}`
  )
})

const run = Effect.fnUntraced(function*(from: string, seconds: number, writers: number) {
  yield* Console.log(`building ${from} …`)
  const earlier = yield* earlierBuild(from, "library")
  const cluster = yield* Cluster.make(3, earlier.program)
  yield* Cluster.start(cluster)
  const client: Client = FlareDb.layerClient({ endpoints: cluster.endpoints, requestTimeoutMs: 10_000 })
  const load = new MeasuredLoad("upgrade/")
  const ends = [
    yield* during(load.writers("now", writers), client),
    yield* during(load.writers("before", writers), yield* earlierClient(earlier.folder, cluster.endpoints))
  ]

  const step = <A, E, R>(name: string, work: Effect.Effect<A, E, R>) =>
    Effect.gen(function*() {
      load.take()
      const begin = performance.now()
      yield* work
      const { p50Ms, p99Ms, pauseFromMs, pauseMs, slowestMs, writes } = load.take()
      const took = ((performance.now() - begin) / 1000).toFixed(1)
      yield* Console.log(
        `${name}: ${took} s, ${writes} writes, p50 ${ms(p50Ms)}, p99 ${ms(p99Ms)}, slowest ${ms(slowestMs)}, ` +
          `longest pause ${ms(pauseMs)} after ${(pauseFromMs / 1000).toFixed(1)} s, failed ${load.failures.length}`
      )
    })
  const steady = (name: string) => step(name, Effect.sleep(seconds * 1000))

  yield* Effect.provide(
    Effect.gen(function*() {
      yield* steady(`nodes of ${from}, no restart`)
      yield* step(`${from} -> this build`, roll(cluster, thisBuild))
      yield* steady("nodes of this build, no restart")
      yield* step(`this build -> ${from}`, roll(cluster, earlier.program))
      yield* step(`${from} -> this build again`, roll(cluster, thisBuild))
      yield* step(
        "this build -> the next release",
        Effect.andThen(roll(cluster, nextRelease), untilLevel(cluster, 2))
      )
      const [first] = yield* cluster.followers
      const node = first as Cluster.ClusterNode
      yield* step(
        "an older node does not come back",
        Effect.gen(function*() {
          yield* node.stop("SIGTERM")
          yield* refuses(node, thisBuild, /\(feature-level\).*feature level 2, which flaredb 99\.0\.0 and later know/)
          yield* refuses(
            node,
            earlier.program,
            /\(format-version\): expected format 4, found format 5|\(feature-level\): expected feature level 1/
          )
          yield* replace(cluster, node, nextRelease)
          yield* untilLevel(cluster, 2)
        })
      )
      yield* Effect.all(ends, { discard: true })
      const missing = yield* lost(load)
      const same = yield* sameHashes(cluster)
      yield* Console.log(
        `${load.acknowledged.length} writes, ${load.failures.length} failed, ${missing.length} lost or written twice; ` +
          `states ${same ? "equal" : "NOT EQUAL"}`
      )
      for (const failure of load.failures.slice(0, 20)) yield* Console.log(`  failed: ${failure}`)
      if (load.failures.length > 0 || missing.length > 0 || !same) {
        return yield* new Broken({ message: "the upgrade was not without a fault" })
      }
    }),
    client,
    { local: true }
  )
})

const command = Command.make("upgrade-rolling", {
  from: Flag.String("from").pipe(
    Flag.withDescription(`the commit to upgrade from, and to go back to; default ${beforeLevels}`),
    Flag.withDefault(beforeLevels)
  ),
  seconds: Flag.Int("seconds").pipe(
    Flag.withDescription("seconds of load without a restart, to compare with; default 10"),
    Flag.withDefault(10)
  ),
  writers: Flag.Int("writers").pipe(
    Flag.withDescription("writers of each client; default 8"),
    Flag.withDefault(8)
  )
}, ({ from, seconds, writers }) => Effect.scoped(run(from, seconds, writers))).pipe(
  Command.withDescription("Rolling upgrades under load, from an earlier commit to this build and the next release.")
)

command.pipe(
  Command.run({ version: "1" }),
  Effect.tapError((error) => Console.error(String(error))),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain
)
