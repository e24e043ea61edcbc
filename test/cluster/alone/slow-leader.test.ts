/** A leader whose own disk is far slower than the others' hands leadership over. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import * as Cluster from "../Cluster.ts"
import { figure, report } from "../Figures.ts"
import { slowDiskMissing, slowDown } from "../SlowDisk.ts"

const missing = slowDiskMissing()
if (missing !== undefined) console.warn(`slow-leader.test.ts is skipped: ${missing}`)

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

it.live.skipIf(missing !== undefined)(
  "a leader whose disk is far slower than the others' hands leadership over",
  () =>
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
    }).pipe(Effect.provide(NodeServices.layer))
)
