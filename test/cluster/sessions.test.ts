/**
 * Increments through leader kills. With sessions each call takes effect exactly once, whatever was lost on the way; without
 * them a call whose answer was lost is `Indeterminate`, and nothing else is in doubt.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Option, Random } from "effect"
import { KeyValue } from "../../src/client/KeyValue.ts"
import * as FlareDb from "../../src/FlareDb.ts"
import { eventually } from "../Eventually.ts"
import * as Cluster from "./Cluster.ts"
import { figure } from "./Figures.ts"
import { rest } from "./Rest.ts"

const kills = 8
const clients = 16

/** What the clients of one kind know of their counter. */
class Tally {
  calls = 0
  acknowledged = 0
  indeterminate = 0
  /** Why outcomes are unknown. */
  readonly doubts = new Set<string>()
  readonly others: Array<string> = []
  stopping = false
}

/** One client in a closed loop: read, add one, write if it is still what was read. */
const increments = (tally: Tally, key: string) =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const increment = kv.modify(
      key,
      (current) => String(Option.match(current, { onNone: () => 0, onSome: ({ text }) => Number(text) }) + 1),
      { attempts: 100_000 }
    )
    while (!tally.stopping) {
      tally.calls += 1
      const outcome = yield* Effect.result(increment)
      if (outcome._tag === "Success") tally.acknowledged += 1
      else if (outcome.failure._tag === "Indeterminate") {
        tally.indeterminate += 1
        tally.doubts.add(outcome.failure.message)
      } else tally.others.push(outcome.failure.message)
      yield* rest
    }
  })

it.live(`${clients} clients count exactly through ${kills} leader kills`, () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(3)
    yield* Cluster.start(cluster)

    const check = Effect.gen(function*() {
      const kv = yield* KeyValue
      const start = (tally: Tally, key: string, sessions: boolean) =>
        Effect.forEach(Array.from({ length: clients }), () =>
          Effect.forkChild(
            Effect.provide(
              increments(tally, key),
              // Each has a client of its own: within one, increments of one key would wait for each other.
              FlareDb.layerClient({ endpoints: cluster.endpoints, sessions, requestTimeoutMs: 280_000 }),
              { local: true }
            )
          ))
      const once = new Tally()
      const plain = new Tally()
      const counting = [
        ...yield* start(once, "once", true),
        ...yield* start(plain, "plain", false)
      ]
      for (let round = 0; round < kills; round++) {
        const [onceGoal, plainGoal] = [
          once.acknowledged + (yield* Random.nextIntBetween(5, 40)),
          plain.acknowledged + (yield* Random.nextIntBetween(5, 40))
        ]
        yield* eventually(
          "writes of both clients",
          () => once.acknowledged >= onceGoal && plain.acknowledged >= plainGoal
        )
        const leader = yield* cluster.leader
        yield* leader.stop("SIGKILL")
        yield* leader.start
      }
      once.stopping = true
      plain.stopping = true
      yield* Effect.forEach(counting, Fiber.join)

      const counted = (key: string) => Effect.map(kv.get(key), (found) => Number(Option.getOrThrow(found).text))
      const [onceCount, plainCount] = [yield* counted("once"), yield* counted("plain")]
      assert.deepStrictEqual([...once.others, ...plain.others], [])
      assert.deepStrictEqual([...once.doubts], [])
      assert.strictEqual(onceCount, once.calls)
      assert.isAtLeast(plainCount, plain.acknowledged)
      assert.isAtMost(plainCount, plain.acknowledged + plain.indeterminate)
      // A follower that was asked alone answers as recently as the leader, by asking it how far that is.
      for (const { endpoint } of yield* cluster.followers) {
        const alone = Effect.flatMap(
          KeyValue,
          (own) => own.get("once", { consistency: "linearizable", readFrom: "any" })
        )
        const seen = yield* Effect.provide(
          alone,
          FlareDb.layerClient({ endpoints: [endpoint], requestTimeoutMs: 60_000 })
        )
        assert.strictEqual(Option.map(seen, ({ text }) => Number(text)).pipe(Option.getOrNull), onceCount)
      }
      figure(
        `increments through ${kills} leader kills: with sessions ${onceCount} of ${once.calls} calls; ` +
          `without ${plainCount}, ${plain.acknowledged} acknowledged and ${plain.indeterminate} indeterminate`
      )
    }).pipe(Random.withSeed("sessions"))
    yield* Effect.provide(check, Cluster.client(cluster))
  }).pipe(Effect.provide(NodeServices.layer)))
