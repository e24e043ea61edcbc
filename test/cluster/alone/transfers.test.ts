/** Leadership that is to go to a node which does not answer: writes wait for one election timeout at most. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { ClusterAdmin } from "../../../src/client/ClusterAdmin.ts"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import * as FlareDb from "../../../src/FlareDb.ts"
import * as Cluster from "../Cluster.ts"
import { figure, report } from "../Figures.ts"

/** How often leadership is asked to go to the node, and how long after each other, in milliseconds. */
const requests = 50
const betweenMs = 100

it.live("asking again and again for a transfer to a suspended node does not stop writes", () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(3)
    yield* Cluster.start(cluster)
    const leader = yield* cluster.leader.pipe(Effect.provide(Cluster.client(cluster)))
    const [target, other] = cluster.nodes.filter((node) => node !== leader)
    if (target === undefined || other === undefined) throw new Error("a cluster of three has two followers")
    // A client of the nodes that answer: asking the suspended one would take its time.
    const layer = FlareDb.layerClient({ endpoints: [leader.endpoint, other.endpoint], requestTimeoutMs: 20_000 })
    yield* Effect.gen(function*() {
      const kv = yield* KeyValue
      const acknowledgedAtMs: Array<number> = []
      const writing = yield* Effect.forkChild(Effect.gen(function*() {
        for (let value = 0;; value++) {
          yield* kv.put("counter", String(value))
          acknowledgedAtMs.push(performance.now())
        }
      }))
      yield* cluster.until(() => acknowledgedAtMs.length >= 100)
      yield* target.pause
      const beganMs = performance.now()
      yield* Effect.gen(function*() {
        const { transferLeader } = yield* ClusterAdmin
        for (let request = 0; request < requests; request++) {
          yield* Effect.forkChild(Effect.ignore(transferLeader(target.id)))
          yield* Effect.sleep(betweenMs)
        }
      }).pipe(
        Effect.provide(FlareDb.layerClient({ endpoints: [leader.endpoint, other.endpoint], requestTimeoutMs: 200 }))
      )
      const endedMs = performance.now()
      yield* cluster.until(() => (acknowledgedAtMs.at(-1) ?? 0) > endedMs)
      yield* Fiber.interrupt(writing)
      yield* target.resume
      const during = acknowledgedAtMs.filter((atMs) => atMs > beganMs && atMs < endedMs).length
      const moments = [beganMs, ...acknowledgedAtMs.filter((atMs) => atMs > beganMs)]
      const pauses = moments.slice(1).map((atMs, i) => atMs - (moments[i] as number))
      const { max } = report(
        `pause between two writes while a transfer to a suspended node is asked for every ${betweenMs} ms, ${requests} times`,
        pauses
      )
      figure(`writes acknowledged while a transfer was asked for: ${during}`)
      assert.isBelow(max, requests * betweenMs / 2, "the pause does not grow with the requests")
      yield* cluster.until((all) => all.length === 2 && all.some(({ role }) => role === "leader"))
    }).pipe(Effect.provide(layer))
  }).pipe(Effect.provide(NodeServices.layer)))
