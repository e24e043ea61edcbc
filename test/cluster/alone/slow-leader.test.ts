/**
 * Disks that are slow, not dead: elections do not outrun them, and a leader whose own disk is far slower than the others'
 * hands leadership over.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import * as Cluster from "../Cluster.ts"
import { figure, report } from "../Figures.ts"
import { slowDisk, slowDiskMissing, slowDown, slowLog } from "../SlowDisk.ts"

const missing = slowDiskMissing()
if (missing !== undefined) console.warn(`slow-disk.test.ts is skipped: ${missing}`)

/** Terms that elections may take at most. One is enough; a machine that is busy may need a few more. */
const maxTerm = 10

/** Starts the cluster, commits some writes, and gives the latest term. */
const serves = (cluster: Cluster.Cluster) =>
  Effect.gen(function*() {
    const began = performance.now()
    const kv = yield* KeyValue
    yield* Cluster.start(cluster)
    yield* cluster.until((all) => all.some(({ role }) => role === "leader") || all.some(({ term }) => term > maxTerm))
    const terms = (yield* cluster.until((all) => all.length > 0)).map(({ term }) => term)
    assert.isAtMost(Math.max(...terms), maxTerm, "elections outrun the disk")
    const { revision } = yield* kv.put("slow", "but durable")
    assert.strictEqual(revision, 1)
    const elapsedMs = performance.now() - began
    const reports = yield* cluster.until((all) => all.length === cluster.nodes.length)
    assert.isAtMost(Math.max(...reports.map(({ term }) => term)), maxTerm)
    return elapsedMs
  }).pipe(Effect.provide(Cluster.client(cluster, 60_000)))

/** Writes one key again and again; each write's end and its duration, in milliseconds. */
const writer = Effect.fnUntraced(
  function*(key: string, samples: Array<{ readonly atMs: number; readonly ms: number }>) {
    const kv = yield* KeyValue
    for (let value = 0;; value++) {
      const began = performance.now()
      const outcome = yield* Effect.result(kv.put(key, String(value)))
      const atMs = performance.now()
      if (outcome._tag === "Success") samples.push({ atMs, ms: atMs - began })
    }
  }
)

describe.skipIf(missing !== undefined)("slow disks", () => {
  it.live("a single node elects itself on a disk that takes longer than a tick, and on one that takes a second", () =>
    Effect.gen(function*() {
      // Both at once: they wait for their disks.
      yield* Effect.forEach(
        [[15, slowDisk(15)], [1_000, slowLog(1_000)]] as const,
        ([ms, under]) =>
          Effect.map(
            Effect.scoped(Effect.flatMap(Cluster.make(1, undefined, {}, { under }), serves)),
            (elapsedMs) => report(`single node, ${ms} ms a sync: start of the process to its first commit`, [elapsedMs])
          ),
        { concurrency: 2, discard: true }
      )
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("three nodes elect a leader and commit with a second for each sync", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make(3, undefined, {}, { under: slowLog(1_000) })
      const elapsedMs = yield* serves(cluster)
      report("three nodes, 1,000 ms a sync: start of the processes to the first majority commit", [elapsedMs])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("a leader whose disk is far slower than the others' hands leadership over", () =>
    Effect.gen(function*() {
      const slowMs = 400
      const cluster = yield* Cluster.make(3)
      yield* Cluster.start(cluster)
      yield* Effect.gen(function*() {
        const samples: Array<{ readonly atMs: number; readonly ms: number }> = []
        const writing = yield* Effect.forEach(
          Array.from({ length: 4 }, (_, i) => `writer-${i}`),
          (key) => Effect.forkChild(writer(key, samples))
        )
        const between = (fromMs: number, toMs: number) =>
          samples.filter(({ atMs }) => atMs >= fromMs && atMs < toMs).map(({ ms }) => ms)
        yield* cluster.until(() => samples.length >= 500)
        const healthy = report("put, 4 writers, healthy leader", between(0, Infinity).slice(100))
        const slow = yield* cluster.leader
        const [before] = yield* cluster.until((all) =>
          all.some(({ nodeId, role }) => nodeId === slow.id && role === "leader")
        )
        yield* slowDown(slow, slowMs)
        const slowedAtMs = performance.now()
        yield* cluster.until((all) => all.some(({ nodeId, role }) => nodeId !== slow.id && role === "leader"))
        const settledAtMs = performance.now()
        yield* cluster.until(() => performance.now() >= settledAtMs + 3_000)
        const settled = report(
          `put, 4 writers, once another node leads after the leader's syncs began to take ${slowMs} ms`,
          between(settledAtMs, settledAtMs + 3_000)
        )
        report("the same, until then", between(slowedAtMs, settledAtMs))
        figure(`p50 with a slow leader to p50 before: ${(settled.p50 / healthy.p50).toFixed(1)}`)
        yield* Effect.forEach(writing, Fiber.interrupt)
        const reports = yield* cluster.until((all) => all.length === 3)
        assert.deepStrictEqual(
          reports.filter(({ nodeId, role }) => nodeId === slow.id && role === "leader"),
          [],
          "the node with the slow disk does not lead any more"
        )
        assert.isAtMost(
          Math.max(...reports.map(({ term }) => term)),
          (before?.term ?? 0) + 3,
          "leadership moved once or twice"
        )
        assert.isBelow(settled.p50, slowMs, "writes do not wait for the slow disk")
      }).pipe(Effect.provide(Cluster.client(cluster)))
    }).pipe(Effect.provide(NodeServices.layer)))
})
