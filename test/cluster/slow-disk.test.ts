/** Disks that are slow, not dead: elections do not outrun them. These nodes wait for their disks nearly all the time. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { KeyValue } from "../../src/client/KeyValue.ts"
import * as Cluster from "./Cluster.ts"
import { report } from "./Figures.ts"
import { slowDisk, slowDiskMissing, slowLog } from "./SlowDisk.ts"

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

describe.skipIf(missing !== undefined).concurrent("slow disks", () => {
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
})
