/** What a runner and a caller are woken by. The polls that would do the same are set to an hour. */
import { assert, it } from "@effect/vitest"
import { Clock, Context, Effect, Fiber, Layer, Option, Stream } from "effect"
import {
  EntityId,
  MessageStorage,
  Runner,
  RunnerAddress,
  Runners,
  RunnerStorage,
  ShardId,
  Sharding,
  ShardingConfig,
  Snowflake
} from "effect/cluster"
import { TestClock } from "effect/testing"
import {
  Actors,
  HeldShards,
  layerMessageStorage,
  layerRunnerStorage,
  makeEncodedMessageStorage,
  MessageWork
} from "../../../src/actors/index.ts"
import { ReplyWork } from "../../../src/actors/cluster/ReplyWork.ts"
import * as Membership from "../../../src/actors/cluster/Membership.ts"
import { eventually } from "../../Eventually.ts"
import { Add, Counter } from "../Counter.ts"
import type { Services } from "../Stores.ts"
import { memory } from "../Stores.ts"
import { aheadBy } from "../../WallClock.ts"

/** A caller that reaches no runner: each reply comes from the storage. */
const caller = (services: Services) =>
  ReplyWork.layerWake.pipe(
    Layer.provideMerge(Sharding.layer),
    Layer.provideMerge(Runners.layerNoop),
    Layer.provideMerge(Actors.layerStorage()),
    Layer.provide(ShardingConfig.layer({ runnerAddress: Option.none(), entityReplyPollInterval: "1 hour" })),
    Layer.provideMerge(services)
  )

it.live("a caller is woken by the replies of a runner that it does not reach", () =>
  Effect.scoped(Effect.gen(function*() {
    const services = yield* memory
    const { encoded } = yield* Effect.provide(
      makeEncodedMessageStorage({}),
      yield* Layer.build(Layer.fresh(Layer.merge(services, HeldShards.layer)))
    )
    yield* Effect.gen(function*() {
      const sharding = yield* Sharding.Sharding
      const client = yield* Counter.client
      const shards = ["a", "b", "c"].map((entity) =>
        sharding.getShardId(EntityId.make(entity), "default").toString()
      ) as [string, ...Array<string>]
      /** The ids of requests that wait, by their entities. */
      const waiting = new Map<string, string>()
      const read = Effect.map(
        Effect.suspend(() => encoded.unprocessedMessages(shards, Date.now())),
        (found) => {
          for (const { envelope } of found) {
            if (envelope._tag === "Request") {
              waiting.set(`${envelope.tag} ${envelope.address.entityId}`, envelope.requestId)
            }
          }
          return waiting.size
        }
      )
      const exit = (key: string, id: string, value: string | null) =>
        encoded.saveReply({
          _tag: "WithExit",
          requestId: waiting.get(key) ?? "",
          id,
          exit: { _tag: "Success", value }
        })

      const sent = yield* Effect.forEach(
        ["a", "b"],
        (entity) => Effect.forkChild(client(entity).Add(new Add({ id: "1" })), { startImmediately: true })
      )
      const listed = yield* Effect.forkChild(Stream.runCollect(client("c").List(new Add({ id: "1" }))), {
        startImmediately: true
      })
      yield* eventually("all requests are saved", Effect.map(read, (size) => size === 3))

      yield* exit("Add b", "-901", "from b")
      assert.strictEqual(yield* Fiber.join(sent[1] as Fiber.Fiber<string>), "from b")
      assert.isUndefined(sent[0]?.pollUnsafe())
      yield* encoded.saveReply({
        _tag: "Chunk",
        requestId: waiting.get("List c") ?? "",
        id: "-902",
        sequence: 0,
        values: [1, 2]
      })
      yield* eventually(
        "the chunk is acknowledged",
        Effect.map(
          encoded.unprocessedMessages(shards, Date.now()),
          (found) => found.some(({ envelope }) => envelope._tag === "AckChunk")
        )
      )
      yield* exit("List c", "-903", null)
      assert.deepStrictEqual(yield* Fiber.join(listed), [1, 2])
      yield* exit("Add a", "-904", "from a")
      assert.strictEqual(yield* Fiber.join(sent[0] as Fiber.Fiber<string>), "from a")
    }).pipe(Effect.provide(caller(services)))
  })))

it.effect("the list of runners waits until there is another one", () =>
  Effect.scoped(Effect.gen(function*() {
    const address = RunnerAddress.make("a", 1)
    const build = Effect.gen(function*() {
      const services = yield* memory
      const storage = layerRunnerStorage().pipe(
        Layer.provide([HeldShards.layer, ShardingConfig.layer()]),
        Layer.provideMerge(services)
      )
      return [
        Context.get(yield* Layer.build(Layer.provide(Membership.layer(), storage)), RunnerStorage.RunnerStorage),
        Context.get(yield* Layer.build(Layer.fresh(storage)), RunnerStorage.RunnerStorage)
      ] as const
    })
    const [waiting, other] = yield* TestClock.withLive(build)
    const register = TestClock.withLive(other.register(Runner.make({ address, groups: ["default"], weight: 1 }), true))
    /** A call that waits. The first calls are answered at once: the watch has just begun. */
    const asked = Effect.gen(function*() {
      for (let calls = 0; calls < 20; calls++) {
        const call = yield* Effect.forkChild(waiting.getRunners)
        const answer = yield* TestClock.withLive(Effect.timeoutOption(Fiber.await(call), 300))
        if (Option.isNone(answer)) return call
      }
      return yield* Effect.die(new Error("no call waits for another runner"))
    })
    const call = yield* asked
    yield* register
    const found = yield* Fiber.join(call)
    assert.deepStrictEqual(found.map(([runner]) => runner.address.toString()), [address.toString()])
  })))

for (const [sooner, offMs] of [["behind", -3_600_000], ["ahead", 3_600_000]] as const) {
  it.live(`a message is delivered when it is due by the cluster's clock, though the runner's is an hour ${sooner}`, () =>
    Effect.scoped(Effect.gen(function*() {
      const wrong = aheadBy(yield* Clock.Clock, offMs)
      const services = yield* memory
      yield* Effect.gen(function*() {
        const { encoded } = yield* makeEncodedMessageStorage({})
        const storage = yield* MessageStorage.MessageStorage
        const work = yield* MessageWork
        const shard = ShardId.make("default", 1)
        const read = Effect.map(
          Effect.result(storage.unprocessedMessages([shard])),
          (found) => found._tag === "Success" ? found.success.length : 0
        )
        const deliverAt = Date.now() + 300
        yield* encoded.saveEnvelope({
          envelope: {
            _tag: "Request",
            requestId: "1",
            address: { shardId: { group: "default", id: 1 }, entityType: "T", entityId: "e" },
            tag: "Do",
            payload: null,
            headers: {}
          },
          primaryKey: null,
          deliverAt
        })
        const early = yield* read
        if (early === 1) {
          assert.isAtLeast(Date.now(), deliverAt - 50, "it is not read before it is due")
          return
        }
        yield* Effect.timeout(work.next, 60_000)
        // The clocks of JavaScript differ by some milliseconds.
        assert.isAtLeast(Date.now(), deliverAt - 50)
        assert.strictEqual(yield* read, 1)
      }).pipe(
        Effect.provide(
          layerMessageStorage().pipe(
            Layer.provide(Snowflake.layerGenerator),
            Layer.provideMerge(Layer.merge(services, HeldShards.layer))
          )
        ),
        Effect.provideService(Clock.Clock, wrong)
      )
    })))
}
