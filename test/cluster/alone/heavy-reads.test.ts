/**
 * Clients whose transactions look at much and say little: the others' writes go on, nobody campaigns, and no node takes
 * gigabytes of memory.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { readFileSync } from "node:fs"
import { ClusterAdmin } from "../../../src/client/ClusterAdmin.ts"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import { Op } from "../../../src/client/Txn.ts"
import * as Cluster from "../Cluster.ts"
import { figure, report } from "../Figures.ts"

const mebibyte = 1024 * 1024

/** Values of a MiB under one prefix: more than a page, and more than a node's memory should hold at once. */
const largeValues = 120

const rssBytes = (pid: number): number =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024

/** The highest memory of any node, looked at until the fiber ends. */
const watchMemory = (cluster: Cluster.Cluster, seen: { max: number }) =>
  Effect.forever(Effect.andThen(
    Effect.sync(() => {
      for (const { pid } of cluster.nodes) seen.max = Math.max(seen.max, rssBytes(pid))
    }),
    Effect.sleep(20)
  ))

/** Writes one small key after the other and notes how long each took. */
const writeOn = (took: Array<number>) =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    for (let i = 0;; i++) {
      const began = yield* Clock.currentTimeMillis
      yield* kv.put(`other/${i % 10}`, "v")
      took.push((yield* Clock.currentTimeMillis) - began)
    }
  })

const terms = Effect.flatMap(
  ClusterAdmin,
  ({ status }) => Effect.map(status, (all) => all.map((answer) => answer.report?.term))
)

/** Runs `work` with a writer beside it; answers with the highest memory of a node. */
const beside = Effect.fnUntraced(function*<E, R>(
  name: string,
  cluster: Cluster.Cluster,
  work: Effect.Effect<unknown, E, R>
) {
  const seen = { max: 0 }
  const took: Array<number> = []
  const memory = yield* Effect.forkChild(watchMemory(cluster, seen))
  const writer = yield* Effect.forkChild(writeOn(took))
  const before = yield* terms
  // It writes before, and goes on.
  const another = (before: number) => Effect.repeat(Effect.sleep(20), { until: () => took.length > before })
  yield* another(0)
  const written = took.length
  yield* work
  yield* another(written)
  yield* Effect.forEach([memory, writer], Fiber.interrupt)
  report(`puts beside ${name}`, took)
  figure(`memory of a node with ${name}: ${Math.round(seen.max / mebibyte)} MiB`)
  assert.deepStrictEqual(yield* terms, before, "no election took place")
  return seen.max
})

it.live("transactions that look at much hold nobody up", () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(3)
    yield* Cluster.start(cluster)
    yield* Effect.gen(function*() {
      const kv = yield* KeyValue
      const value = "x".repeat(mebibyte)
      const fill = (prefix: string, count: number) =>
        Effect.forEach(
          Array.from({ length: count }, (_, i) => `${prefix}${String(i).padStart(4, "0")}`),
          (key) => kv.put(key, value),
          { concurrency: 4, discard: true }
        )
      yield* fill("four/", 4)
      const many = Array.from({ length: 500 }, () => Op.scan("four/", { limit: 1 }))
      yield* beside(
        "500 scans of large values in one transaction",
        cluster,
        Effect.gen(function*() {
          const outcome = yield* Effect.result(kv.transact({ do: [Op.put("seen", "1"), ...many] }))
          // Not the outcome itself: what a failed assertion printed would be megabytes.
          const refusal = outcome._tag === "Failure" ? outcome.failure : undefined
          assert.strictEqual(refusal?._tag, "InvalidArgument")
          assert.include(refusal?.message, "maxTransactionReadBytes")
        })
      )
      yield* fill("many/", largeValues)
      const memory = yield* beside(
        `sixteen scans of ${largeValues} MiB`,
        cluster,
        Effect.forEach(
          Array.from({ length: 16 }, (_, i) => i),
          (i) => kv.transact({ do: [Op.scan("many/"), Op.put(`seen/${i}`, "1")] }),
          { concurrency: "unbounded", discard: true }
        )
      )
      assert.isBelow(memory, 768 * mebibyte)
    }).pipe(Effect.provide(Cluster.client(cluster, 60_000)))
  }).pipe(Effect.provide(NodeServices.layer), Effect.scoped), 300_000)
