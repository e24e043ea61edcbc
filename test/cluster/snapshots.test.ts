/**
 * A log that is kept short, and followers that come back too late for it: one whose disk is gone, one whose transfer is
 * killed at either end. The cluster goes on meanwhile, and all three have the same state afterwards.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, FileSystem } from "effect"
import { readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { Backups, layer as backupsLayer } from "../../src/client/Backups.ts"
import type { NodeReport } from "../../src/protocol/NodeReport.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import * as FlareDb from "../../src/FlareDb.ts"
import type { ClusterNode } from "./Cluster.ts"
import * as Cluster from "./Cluster.ts"
import { figure, report } from "./Figures.ts"
import { rest } from "./Rest.ts"

/** Large enough for a transfer that can be met in the middle: 12 MiB, and the history of that. */
const largeValues = 512

/** Writes that make the others forget what a node is missing: more entries than the log may have. */
const smallValues = 1_500
const valueBytes = 24 * 1024

const settings = { FLAREDB_MAX_LOG_ENTRIES: "1000", FLAREDB_MAX_LOG_BYTES: String(16 * 1024 * 1024) }

const reportOf = (all: ReadonlyArray<NodeReport>, { id }: ClusterNode): NodeReport | undefined =>
  all.find(({ nodeId }) => nodeId === id)

/** What every node has at one moment of the log. */
const hashes = (cluster: Cluster.Cluster) =>
  Effect.flatMap(Backups, (backups) => backups.hashes()).pipe(
    Effect.provide(backupsLayer({ endpoints: cluster.endpoints, requestTimeoutMs: 60_000 }))
  )

const diskBytes = (folder: string): number => {
  let bytes = 0
  for (const name of readdirSync(folder)) bytes += statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0
  return bytes
}

/** Counts up in one key until it is interrupted; `count` is what was acknowledged last. */
const counter = () => {
  const state = { count: 0 }
  const run = Effect.gen(function*() {
    const kv = yield* KeyValue
    for (let value = 1;; value++) {
      const outcome = yield* Effect.result(kv.put("counter", String(value)))
      if (outcome._tag === "Success") state.count = value
      yield* rest
    }
  })
  return { state, run }
}

it.live("followers that come too late for the log get the state, whatever is killed meanwhile", () =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const cluster = yield* Cluster.make(3, undefined, settings)
    yield* Cluster.start(cluster)
    yield* Effect.gen(function*() {
      const kv = yield* KeyValue
      const fill = (name: string, count: number, valueOf: (i: number) => Uint8Array | string) =>
        Effect.forEach(
          Array.from({ length: count }, (_, i) => i),
          (i) => kv.put(`${name}/${i}`, valueOf(i)),
          { concurrency: 64, discard: true }
        )
      const bytes = Uint8Array.from({ length: largeValues + valueBytes }, (_, at) => at)
      yield* fill("large", largeValues, (i) => bytes.subarray(i, i + valueBytes))
      const outgrow = (round: number) => fill("small", smallValues, (i) => `${round} ${i}`)
      const { run, state } = counter()
      const counting = yield* Effect.forkChild(run)

      /** Starts a node; false when all of the state had arrived before this process, which may have waited, looked. */
      const startReceiving = (node: ClusterNode) =>
        Effect.andThen(
          node.start,
          Effect.map(
            cluster.until((all) => {
              const own = reportOf(all, node)
              const first = all.find(({ role }) => role === "leader")?.firstIndex
              return own !== undefined && first !== undefined &&
                ((own.receiving?.bytes ?? 0) > 0 || own.applied >= first)
            }, 5),
            (all) => (reportOf(all, node)?.receiving ?? null) !== null
          )
        )
      const untilCaughtUp = (node: ClusterNode) =>
        Effect.gen(function*() {
          const { revision } = yield* kv.put("goal", "reached")
          const own = FlareDb.layerClient({ endpoints: [node.endpoint], requestTimeoutMs: 1_000 })
          const reached = Effect.gen(function*() {
            const found = yield* Effect.option(
              Effect.flatMap(KeyValue, (alone) => alone.scan("goal", { consistency: "stale" }))
            )
            return found._tag === "Some" && found.value.revision >= revision
          })
          const wait: Effect.Effect<void, never, KeyValue> = Effect.flatMap(
            reached,
            (done) => done ? Effect.void : Effect.andThen(Effect.sleep(20), wait)
          )
          yield* Effect.provide(wait, own)
        })
      /** Waits until what a stopped node is missing has left the logs of the others. */
      const untilCompactedPast = (index: number) =>
        cluster.until((all) => all.length === 2 && all.every(({ firstIndex }) => firstIndex > index + 1))
      const lastIndexOf = (node: ClusterNode) =>
        Effect.map(
          cluster.until((all) => reportOf(all, node) !== undefined),
          (all) => reportOf(all, node)?.lastIndex ?? 0
        )

      // The disk of a follower is lost, and its process is killed in the middle of the transfer as well.
      const wiped = (yield* cluster.followers)[0] as ClusterNode
      const wipedEnd = yield* lastIndexOf(wiped)
      const wipe = Effect.andThen(wiped.stop("SIGKILL"), files.remove(wiped.dataDir, { recursive: true }))
      yield* wipe
      yield* outgrow(1)
      yield* untilCompactedPast(wipedEnd)
      while (!(yield* startReceiving(wiped))) yield* wipe
      const before = state.count
      yield* wiped.stop("SIGKILL")
      const begin = performance.now()
      yield* wiped.start
      yield* untilCaughtUp(wiped)
      report("wiped follower, 12 MiB of values and as much of history: start of its process to caught up", [
        performance.now() - begin
      ])
      yield* cluster.until((all) => all.length === 3 && all.every(({ membership }) => membership === "voter"))
      assert.isAbove(state.count, before, "writes went on while the state was sent")

      // A follower was away for too long, and the leader that sends it the state is killed.
      const late = (yield* cluster.followers)[0] as ClusterNode
      do {
        const lateEnd = yield* lastIndexOf(late)
        yield* late.stop("SIGKILL")
        yield* outgrow(2)
        yield* untilCompactedPast(lateEnd)
      } while (!(yield* startReceiving(late)))
      const leader = yield* cluster.leader
      yield* leader.stop("SIGKILL")
      yield* untilCaughtUp(late)
      yield* leader.start
      yield* untilCaughtUp(leader)

      yield* Fiber.interrupt(counting)
      const { revision } = yield* kv.put("last", "of all")
      yield* Effect.forEach(cluster.nodes, untilCaughtUp)
      assert.isAbove(revision, largeValues + 2 * smallValues)
      const [first, ...others] = yield* hashes(cluster)
      assert.isDefined(first?.hash)
      for (const other of others) assert.deepStrictEqual(other.hash?.digest, first?.hash?.digest)
      assert.strictEqual(yield* kv.count(""), largeValues + smallValues + 3)
      const counted = yield* kv.get("counter")
      assert.isTrue(counted._tag === "Some" && Number(counted.value.text) >= state.count)

      // What is left is the state, its history up to the bound on that, and a short log.
      for (const { firstIndex, lastIndex } of yield* cluster.until((all) => all.length === 3)) {
        assert.isBelow(lastIndex - firstIndex, 5_000)
      }
      figure(
        `MiB on disk per node after ${(largeValues * valueBytes) / 2 ** 20} MiB of writes: ${
          cluster.nodes.map(({ dataDir }) => (diskBytes(dataDir) / 2 ** 20).toFixed(0)).join(", ")
        }`
      )
    }).pipe(Effect.provide(Cluster.client(cluster)))
  }).pipe(Effect.provide(NodeServices.layer)))
