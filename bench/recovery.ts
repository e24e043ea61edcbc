/**
 * `npm run bench:recovery [-- --keys 1000000 --missed 100000]`: a cluster with many keys. How long a follower needs that missed
 * a number of puts, and how long the whole cluster from a cold start to its first commit; and what its nodes take. Ends by itself
 * and leaves nothing behind. Linux only: it reads `/proc`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect } from "effect"
import { Command, Flag } from "effect/cli"
import { machine } from "../src/cli/bench/Report.ts"
import { table } from "../src/cli/output/Table.ts"
import { KeyValue } from "../src/client/index.ts"
import type { ClusterNode } from "../test/cluster/Cluster.ts"
import * as Cluster from "../test/cluster/Cluster.ts"
import type { ProcessorTime } from "./Resources.ts"
import { processorTime, resourcesOf } from "./Resources.ts"

const valueBytes = 128

/** Puts under way at a time. */
const writers = 512

/** Puts a value under each of `count` keys. */
const fill = Effect.fnUntraced(function*(prefix: string, count: number) {
  const kv = yield* KeyValue
  const value = new Uint8Array(valueBytes).fill(7)
  let next = 0
  const writer = Effect.whileLoop({
    while: () => next < count,
    body: () => kv.put(`${prefix}/${String(next++).padStart(9, "0")}`, value),
    step: () => undefined
  })
  yield* Effect.all(Array.from({ length: writers }, () => writer), { concurrency: "unbounded", discard: true })
})

/** Seconds that some work took. */
const timed = <A, E, R>(work: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const begin = performance.now()
    return Effect.map(work, () => (performance.now() - begin) / 1000)
  })

/** Waits until all nodes have applied the same. It asks seldom: a node that answers all the time has less time left. */
const levelled = (cluster: Cluster.Cluster) =>
  cluster.until((reports) => reports.length === 3 && new Set(reports.map(({ applied }) => applied)).size === 1, 50)

const memory = (nodes: ReadonlyArray<ClusterNode>) =>
  Effect.map(
    Effect.forEach(nodes, ({ dataDir, pid }) => resourcesOf(pid, dataDir)),
    (all) => all.map(({ rssMiB }) => rssMiB.toFixed(0)).join(" ")
  )

const recovery = Command.make("bench:recovery", {
  keys: Flag.Int("keys").pipe(Flag.withDescription("keys in the store"), Flag.withDefault(1_000_000)),
  missed: Flag.Int("missed").pipe(Flag.withDescription("puts that the follower misses"), Flag.withDefault(100_000))
}, ({ keys, missed }) =>
  Effect.scoped(Effect.gen(function*() {
    const cluster = yield* Cluster.make(3)
    yield* Cluster.start(cluster)
    yield* Effect.gen(function*() {
      const kv = yield* KeyValue
      const rows: Array<ReadonlyArray<string>> = []
      const filling = yield* timed(fill("key", keys))
      rows.push([`${keys} keys of ${valueBytes} bytes: puts per second`, (keys / filling).toFixed(0)])
      rows.push(["memory of the nodes then, MiB", yield* memory(cluster.nodes)])

      const follower = (yield* cluster.followers)[0] as ClusterNode
      yield* follower.stop("SIGTERM")
      yield* fill("missed", missed)
      const leader = yield* cluster.leader
      const starting = yield* timed(follower.start)
      const [startedWith, ledWith] = yield* Effect.all([processorTime(follower.pid), processorTime(leader.pid)])
      const catching = yield* timed(levelled(cluster))
      const [followed, led] = yield* Effect.all([processorTime(follower.pid), processorTime(leader.pid)])
      const perEntry = (after: ProcessorTime, before: ProcessorTime) =>
        `${((after.all - before.all) * 1e6 / missed).toFixed(0)}, of that JavaScript ` +
        ((after.mainThread - before.mainThread) * 1e6 / missed).toFixed(0)
      rows.push([`follower that missed ${missed} puts: its process starts, s`, starting.toFixed(2)])
      rows.push(["its processor time until then, s", startedWith.all.toFixed(2)])
      rows.push(["then until it has applied all of them, s", catching.toFixed(2)])
      rows.push(["its processor time for an entry meanwhile, µs", perEntry(followed, startedWith)])
      rows.push(["the leader's, µs", perEntry(led, ledWith)])

      yield* Effect.forEach(cluster.nodes, (node) => node.stop("SIGTERM"), { concurrency: "unbounded" })
      const cold = yield* timed(Effect.andThen(Cluster.start(cluster), kv.put("first", "commit")))
      rows.push([`cold start of all nodes to the first commit, s`, cold.toFixed(2)])
      const used = yield* Effect.forEach(cluster.nodes, ({ pid }) => processorTime(pid))
      rows.push(["processor time of the nodes until then, s", used.map(({ all }) => all.toFixed(2)).join(" ")])
      rows.push(["memory of the nodes then, MiB", yield* memory(cluster.nodes)])
      yield* Console.log(`${machine()}; three nodes, every commit synced`)
      yield* Console.log(table([["WHAT", "FIGURE"], ...rows]))
    }).pipe(Effect.provide(Cluster.client(cluster, 60_000)))
  })))

recovery.pipe(Command.run({ version: "1" }), Effect.provide(NodeServices.layer), NodeRuntime.runMain)
