/** What the cores of three real nodes did while their leader was killed, held against the core once more. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { KeyValue } from "../../src/client/KeyValue.ts"
import * as Cluster from "./Cluster.ts"
import { figure } from "./Figures.ts"
import { launcher, run } from "./Flaredb.ts"

const traceOf = (dataDir: string) => `${dataDir}.trace`

it.live("a trace of a killed leader and its followers replays without a difference", () =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const cluster = yield* Cluster.make(3, [launcher, "start"], {}, {
      args: (dataDir) => ["--trace", traceOf(dataDir)]
    })
    yield* Cluster.start(cluster)
    yield* Effect.gen(function*() {
      const kv = yield* KeyValue
      const puts = (name: string) =>
        Effect.forEach(Array.from({ length: 200 }, (_, i) => i), (i) => kv.put(`${name}/${i % 20}`, `${i}`), {
          concurrency: 16,
          discard: true
        })
      yield* puts("before")
      const leader = yield* cluster.leader
      yield* leader.stop("SIGKILL")
      yield* puts("without")
      yield* leader.start
      yield* puts("after")
      yield* cluster.until((all) => all.length === 3 && new Set(all.map(({ applied }) => applied)).size === 1)
    }).pipe(Effect.provide(Cluster.client(cluster)))
    for (const node of cluster.nodes) yield* node.stop("SIGTERM")

    let starts = 0
    let steps = 0
    for (const { dataDir } of cluster.nodes) {
      const { code, err, out } = yield* run(["replay", traceOf(dataDir), "--json"])
      assert.strictEqual(Number(code), 0, `${out}${err}`)
      const replayed = JSON.parse(out) as { readonly starts: number; readonly steps: number }
      starts += replayed.starts
      steps += replayed.steps
      const { mode } = yield* files.stat(traceOf(dataDir))
      assert.strictEqual(mode & 0o077, 0, "nobody else may read the commands")
    }
    assert.strictEqual(starts, 4)
    figure(`${steps} steps of three nodes and a killed leader replayed without a difference`)
  }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
