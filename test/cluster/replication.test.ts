/** What three real nodes promise: acknowledged means kept, and without a majority nothing is acknowledged. */
import { assert } from "@effect/vitest"
import { Effect, Option } from "effect"
import { KeyValue } from "../../src/client/KeyValue.ts"
import * as Cluster from "./Cluster.ts"
import { report } from "./Figures.ts"
import { onShared, SharedCluster } from "./SharedCluster.ts"

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i)

const putMany = Effect.fnUntraced(function*(prefix: string, count: number) {
  const kv = yield* KeyValue
  yield* Effect.forEach(numbers(count), (i) => kv.put(`${prefix}${i}`, `value ${i}`), {
    concurrency: 64,
    discard: true
  })
})

/** Reads every key back and says which are missing or wrong. */
const missing = Effect.fnUntraced(function*(prefix: string, count: number) {
  const kv = yield* KeyValue
  const wrong = yield* Effect.forEach(
    numbers(count),
    (i) =>
      Effect.map(
        kv.get(`${prefix}${i}`),
        (entry) => Option.exists(entry, ({ text }) => text === `value ${i}`) ? [] : [i]
      ),
    { concurrency: 64 }
  )
  return wrong.flat()
})

/** Writes that a follower misses in a round. */
const missed = process.env["FIGURES"] === undefined ? 1_000 : 3_000

onShared("three nodes", 3, (live) => {
  live(
    "commit their first write soon after they were started",
    Effect.gen(function*() {
      const cluster = yield* SharedCluster
      const put = Effect.flatMap(KeyValue, (kv) => kv.put("first", "write"))
      const { created, revision } = yield* Effect.provide(put, Cluster.client(cluster))
      report("three-node majority commit, from the start of the processes", [performance.now() - cluster.startedMs])
      assert.deepStrictEqual({ created, revision }, { created: true, revision: 1 })
    })
  )

  live(
    "come back with every write when all of them are killed, and when all are stopped",
    Effect.gen(function*() {
      const cluster = yield* SharedCluster
      const check = Effect.gen(function*() {
        for (const signal of ["SIGKILL", "SIGTERM"] as const) {
          yield* putMany(`${signal}/`, 500)
          const codes = yield* Effect.forEach(cluster.nodes, (node) => node.stop(signal), { concurrency: "unbounded" })
          if (signal === "SIGTERM") assert.deepStrictEqual(codes, [0, 0, 0], "SIGTERM ends a node with exit code 0")
          yield* Cluster.start(cluster)
        }
        assert.deepStrictEqual(yield* missing("SIGKILL/", 500), [])
        assert.deepStrictEqual(yield* missing("SIGTERM/", 500), [])
      })
      yield* Effect.provide(check, Cluster.client(cluster))
    })
  )

  live(
    "bring one that was down to where they are, from the leader's log",
    Effect.gen(function*() {
      const cluster = yield* SharedCluster
      const durations: Array<number> = []
      const check = Effect.gen(function*() {
        for (let round = 0; round < 2; round++) {
          const [follower] = yield* cluster.followers
          if (follower === undefined) throw new Error("a cluster of three has followers")
          yield* follower.stop("SIGKILL")
          yield* putMany(`round ${round}/`, missed)
          const reports = yield* cluster.until((all) => all.length === 2)
          const goal = Math.max(...reports.map(({ commit }) => commit))
          const begin = performance.now()
          yield* follower.start
          yield* cluster.until((all) => all.some(({ applied, nodeId }) => nodeId === follower.id && applied >= goal))
          durations.push(performance.now() - begin)
        }
      })
      yield* Effect.provide(check, Cluster.client(cluster))
      report(`follower catch-up after ${missed} writes, from the start of its process`, durations)
    })
  )

  live(
    "acknowledge no write while one of them runs, which says so within the deadline",
    Effect.gen(function*() {
      const cluster = yield* SharedCluster
      // A cluster begins with all its nodes.
      yield* Effect.provide(cluster.leader, Cluster.client(cluster))
      for (const node of cluster.nodes) yield* node.stop("SIGTERM")
      yield* cluster.node(2).start
      const attempt = Effect.flatMap(KeyValue, (kv) => Effect.flip(kv.put("lonely", "write", { timeoutMs: 2_000 })))
      const error = yield* Effect.provide(attempt, Cluster.client(cluster))
      assert.strictEqual(error._tag, "Unavailable")
      yield* cluster.node(1).start
      const absent = Effect.flatMap(KeyValue, (kv) => kv.get("lonely"))
      assert.deepStrictEqual(yield* Effect.provide(absent, Cluster.client(cluster)), Option.none())
      yield* cluster.node(3).start
    })
  )

  live(
    "leave the fate of a write unknown when their leader has lost its followers, and reads do not lie",
    Effect.gen(function*() {
      const cluster = yield* SharedCluster
      const check = Effect.gen(function*() {
        const kv = yield* KeyValue
        yield* kv.put("before", "kept")
        const followers = yield* cluster.followers
        yield* Effect.forEach(followers, (node) => node.pause)
        const [write, read] = yield* Effect.all([
          Effect.flip(kv.put("during", "unknown", { timeoutMs: 3_000 })),
          Effect.flip(kv.get("before", { timeoutMs: 3_000 }))
        ], { concurrency: "unbounded" })
        assert.strictEqual(write._tag, "Indeterminate")
        assert.strictEqual(read._tag, "Unavailable")
        yield* Effect.forEach(followers, (node) => node.resume)
        assert.isTrue(Option.exists(yield* kv.get("before"), ({ text }) => text === "kept"))
        assert.strictEqual((yield* kv.put("after", "works")).created, true)
      })
      yield* Effect.provide(check, Cluster.client(cluster))
    })
  )
})
