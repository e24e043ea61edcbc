/** States of entities and compensations of workflows over kill -9 of the processes that were at work on them. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Queue } from "effect"
import * as FlareDbBackEnd from "../../examples/actors/FlareDb.ts"
import * as Nightly from "../../examples/actors/Nightly.ts"
import * as Orders from "../../examples/actors/Orders.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { Change, Wallet } from "../actors/state/Wallet.ts"
import * as Cluster from "./Cluster.ts"
import { freePorts } from "../FreePorts.ts"
import { startRunner } from "./RunnerProcess.ts"

const wallets = Array.from({ length: 8 }, (_, i) => `wallet ${i}`)
const changes = 60

it.live(
  "each change of a state counts once when its runner and the leading node are killed at work",
  () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make(3)
      yield* Cluster.start(cluster)
      const [one = 0, two = 0] = yield* freePorts(2)
      const start = (port: number) => startRunner("./EntityRunner.ts", [cluster.endpointList, String(port)])
      const [first] = yield* Effect.all([start(one), start(two)], { concurrency: "unbounded" })
      const bothKilled = Effect.gen(function*() {
        yield* first.kill({ killSignal: "SIGKILL" })
        const leader = yield* cluster.leader
        yield* leader.stop("SIGKILL")
        yield* leader.start
      }).pipe(Effect.provide(Cluster.client(cluster)))
      yield* Effect.gen(function*() {
        const client = yield* Wallet.client
        yield* Effect.forEach(
          Array.from({ length: changes * wallets.length }, (_, i) => i),
          (i) =>
            Effect.andThen(
              i === 100 ? bothKilled : Effect.void,
              client(wallets[i % wallets.length] as string).Add(new Change({ id: `change ${i}`, amount: 1 }))
            ),
          { concurrency: 32, discard: true }
        )
        for (const wallet of wallets) {
          const balance = yield* client(wallet).Add(new Change({ id: "look", amount: 0 }))
          assert.strictEqual(balance, changes, wallet)
        }
      }).pipe(Effect.provide(FlareDbBackEnd.layerClientOnly({ endpoints: cluster.endpoints })))
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
  300_000
)

it.live(
  "a compensation goes on where it was when its runner is killed in the midst of it",
  () =>
    Effect.gen(function*() {
      // No node dies here.
      const cluster = yield* Cluster.make(1)
      yield* Cluster.start(cluster)
      const [one = 0, two = 0] = yield* freePorts(2)
      const stopped = yield* Deferred.make<void>()
      const first = yield* startRunner("./EntityRunner.ts", [cluster.endpointList, String(one), "refund"], {
        onLine: (line) => line === "STOPS in refund" ? Deferred.succeed(stopped, undefined) : Effect.void
      })
      yield* Effect.gen(function*() {
        const placed = yield* Effect.forkChild(
          Effect.flip(Orders.place({ order: "one", item: "lamp", cents: 500, to: "the moon" })),
          { startImmediately: true }
        )
        yield* Deferred.await(stopped)
        yield* first.kill({ killSignal: "SIGKILL" })
        yield* startRunner("./EntityRunner.ts", [cluster.endpointList, String(two)])
        const failure = yield* Fiber.join(placed)
        assert.strictEqual(failure._tag, "NoCourier")

        const { entries } = yield* Effect.flatMap(KeyValue, (kv) => kv.scan("shop/"))
        // The shop was asked again for what it had done when the runner died, and once for everything else.
        assert.deepStrictEqual(Object.fromEntries(entries.map(({ keyText, text }) => [keyText, text])), {
          "shop/one/charge": "1",
          "shop/one/refund": "2",
          "shop/one/release": "1",
          "shop/one/reserve": "1",
          "shop/one/ship": "1"
        })
      }).pipe(Effect.scoped, Effect.provide(FlareDbBackEnd.layerClientOnly({ endpoints: cluster.endpoints })))
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
  300_000
)

it.live(
  "a job that runs every second has all its runs when its runner and the leading node are killed",
  () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make(3)
      yield* Cluster.start(cluster)
      const [one = 0, two = 0] = yield* freePorts(2)
      const start = Effect.fnUntraced(function*(port: number) {
        const runs = yield* Queue.unbounded<string>()
        const child = yield* startRunner("./ReportRunner.ts", [cluster.endpointList, String(port)], {
          onLine: (line) => Queue.offer(runs, line)
        })
        return { child, runs }
      })
      const both = yield* Effect.all([start(one), start(two)], { concurrency: "unbounded" })
      const threeRuns = both.map((runner) => Effect.as(Queue.takeN(runner.runs, 3), runner))
      const owner = yield* Effect.raceAll(threeRuns)
      const other = both[0] === owner ? both[1] : both[0]
      yield* owner.child.kill({ killSignal: "SIGKILL" })
      const leader = yield* cluster.leader.pipe(Effect.provide(Cluster.client(cluster)))
      yield* leader.stop("SIGKILL")
      yield* leader.start
      yield* Queue.takeN(other.runs, 10)
      const times = yield* Nightly.written.pipe(
        Effect.provide(FlareDbBackEnd.layerClientOnly({ endpoints: cluster.endpoints }))
      )
      const seconds = times.map((time) => Date.parse(time) / 1_000)
      const [first = 0] = seconds
      assert.deepStrictEqual(seconds, seconds.map((_, at) => first + at), "one report for each second")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
  300_000
)
