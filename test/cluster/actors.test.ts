/** Effect's cluster on three nodes: the suites of its storages, and runners that are processes of their own. */
import { assert } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { Actors, HeldShards, layerRunnerStorage, makeEncodedMessageStorage } from "../../src/actors/index.ts"
import { ClusterAdmin } from "../../src/client/ClusterAdmin.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { messageStorageCases, runnerStorageCases } from "../../src/testing/index.ts"
import { Add, Counter, handled } from "../actors/Counter.ts"
import { eventually } from "../Eventually.ts"
import * as Cluster from "./Cluster.ts"
import { figure } from "./Figures.ts"
import { freePorts } from "../FreePorts.ts"
import { startRunner } from "./RunnerProcess.ts"
import { onShared, SharedCluster, withClient } from "./SharedCluster.ts"

const runner = (endpoints: string, port: number) => startRunner("./ActorRunner.ts", [endpoints, String(port)])

onShared("actors on three nodes", 3, (live) => {
  live(
    "the storages of runners and messages keep their promises on three nodes",
    Effect.gen(function*() {
      const cluster = yield* SharedCluster
      const client = Cluster.client(cluster)
      const cases = [
        ...runnerStorageCases({
          layer: (name) =>
            layerRunnerStorage({ cluster: name }).pipe(Layer.provide(HeldShards.layer), Layer.provide(client))
        }),
        ...messageStorageCases({
          open: (name) =>
            Effect.map(
              Effect.flatMap(
                Layer.build(Layer.fresh(Layer.merge(client, HeldShards.layer))),
                (context) => Effect.provide(makeEncodedMessageStorage({ cluster: name }), context)
              ),
              ({ encoded }) => encoded
            )
        })
      ]
      yield* Effect.forEach(cases, ({ effect, name }) => Effect.annotateLogs(effect, { name }), { concurrency: 4 })
      figure(`${cases.length} cases of actors' storages held on three nodes`)
    })
  )

  live(
    "entities go on when the runner that has them is killed, and each transaction of theirs took effect once",
    Effect.gen(function*() {
      const cluster = yield* SharedCluster
      const [one = 0, two = 0] = yield* freePorts(2)
      const first = yield* runner(cluster.endpointList, one)
      yield* Effect.gen(function*() {
        const kv = yield* KeyValue
        const client = yield* Counter.client
        const entities = Array.from({ length: 30 }, (_, i) => `entity ${i}`)
        const moves = (round: number) =>
          Effect.forEach(entities, (entity) => client(entity).Move(new Add({ id: `${round} ${entity}` })), {
            concurrency: "unbounded"
          })
        assert.deepStrictEqual(yield* moves(1), entities.map((entity) => `1 ${entity}`))
        assert.strictEqual(yield* client("entity 1").Add(new Add({ id: "once" })), "entity 1 once")

        yield* runner(cluster.endpointList, two)
        const sent = yield* Effect.forkChild(Effect.forEach([2, 3, 4], moves), { startImmediately: true })
        yield* eventually(
          "the second round has begun",
          Effect.map(kv.count("moved/"), (moved) => moved > entities.length)
        )
        const killedAt = performance.now()
        yield* first.kill({ killSignal: "SIGKILL" })
        assert.strictEqual(((yield* Fiber.join(sent)).flat()).length, 90)
        assert.deepStrictEqual(yield* moves(5), entities.map((entity) => `5 ${entity}`))
        const takeoverMs = performance.now() - killedAt
        figure(`all entities of a killed runner answer after ${takeoverMs.toFixed(0)} ms`)

        const { entries } = yield* kv.scan("moved/")
        assert.strictEqual(entries.length, 150)
        assert.deepStrictEqual(entries.filter(({ version }) => version !== 1), [])
        assert.strictEqual(yield* client("entity 1").Add(new Add({ id: "once" })), "entity 1 once")
        assert.strictEqual((yield* kv.scan(handled("entity 1", "once"))).entries[0]?.text, "1")
      }).pipe(
        Effect.scoped,
        Effect.provide(Actors.layerClientOnly({ endpoints: cluster.endpoints }))
      )
    }).pipe(Effect.scoped)
  )

  // The last test: two of the nodes are gone afterwards.
  live(
    "three nodes say what time most of them have, and one that is alone does not",
    Effect.gen(function*() {
      const cluster = yield* SharedCluster
      const { status, wallMs } = yield* ClusterAdmin
      const known = Effect.map(
        status,
        (answers) => answers.flatMap(({ report }) => report === undefined ? [] : [report.wallMs !== undefined]).join()
      )
      yield* eventually(
        "every node knows the clocks of a majority",
        Effect.map(known, (now) => now === "true,true,true")
      )
      const beforeMs = Date.now()
      const saidMs = yield* wallMs
      // What a round trip between nodes hides counts as earlier.
      assert.isAtLeast(saidMs, beforeMs - 5_000)
      assert.isAtMost(saidMs, Date.now())
      for (const node of cluster.nodes.slice(1)) yield* node.stop("SIGKILL")
      yield* eventually("the node that is left knows its own clock alone", Effect.map(known, (now) => now === "false"))
      assert.strictEqual((yield* Effect.flip(wallMs))._tag, "Unavailable")
    }).pipe(withClient)
  )
})
