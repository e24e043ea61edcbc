/** Programs of entities and workflows on the layer in memory, under a test's clock. */
import { assert, it } from "@effect/vitest"
import { Clock, Cron, Duration, Effect, Exit, Fiber, FileSystem, Layer, Option, Schema, Stream } from "effect"
import {
  ClusterCron,
  ClusterWorkflowEngine,
  MessageStorage,
  RunnerAddress,
  Sharding,
  ShardingConfig
} from "effect/cluster"
import { TestClock } from "effect/testing"
import { Activity, DurableClock, Workflow } from "effect/workflow"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { freePorts } from "../FreePorts.ts"
import { Actors } from "../../src/actors/index.ts"
import * as FlareDb from "../../src/FlareDb.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { eventually } from "../Eventually.ts"
import { Add, Counter, CounterLive, handled, Later } from "./Counter.ts"
import { aheadBy } from "../WallClock.ts"

const actors = CounterLive.pipe(Layer.provideMerge(Actors.layerMemory()))

/** Lets the test's time pass until an effect is done. */
const whileTimePasses = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>, stepMs = 100) {
  const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
  while (fiber.pollUnsafe() === undefined) {
    yield* TestClock.adjust(stepMs)
    yield* TestClock.withLive(Effect.sleep(1))
  }
  return yield* Fiber.join(fiber)
})

it.effect("an entity handles each persisted request once, whoever sends it again", () =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const counter = (yield* Counter.client)("one")
    const first = yield* whileTimePasses(counter.Add(new Add({ id: "a" })))
    assert.strictEqual(first, "one a")
    const again = yield* whileTimePasses(Effect.all(
      Array.from({ length: 10 }, (_, i) => counter.Add(new Add({ id: i % 2 === 0 ? "a" : "b" }))),
      { concurrency: "unbounded" }
    ))
    assert.deepStrictEqual(new Set(again), new Set(["one a", "one b"]))
    for (const id of ["a", "b"]) {
      assert.strictEqual(Option.getOrThrow(yield* kv.get(handled("one", id))).text, "1", id)
    }
    assert.deepStrictEqual(
      yield* whileTimePasses(Stream.runCollect(counter.List(new Add({ id: "l" })))),
      [1, 2, 3, 4, 5]
    )
  }).pipe(Effect.provide(actors)))

it.effect("a message is delivered when it is due, also after a jump of the test's clock", () =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const counter = (yield* Counter.client)("one")
    const dueMs = 3_600_000
    const answered = yield* Effect.forkChild(counter.Later(new Later({ id: "d", atMs: dueMs })), {
      startImmediately: true
    })
    yield* whileTimePasses(counter.Add(new Add({ id: "before" })))
    assert.isUndefined(answered.pollUnsafe())
    assert.isTrue(Option.isNone(yield* kv.get(handled("one", "d"))))
    yield* TestClock.adjust(dueMs)
    assert.isAtLeast(yield* whileTimePasses(Fiber.join(answered)), dueMs)
    yield* whileTimePasses(counter.Add(new Add({ id: "after" })))
  }).pipe(Effect.provide(actors)))

it.effect("in a transaction the handler's own operations and its reply are one", () =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const counter = (yield* Counter.client)("one")
    assert.strictEqual(yield* whileTimePasses(counter.Move(new Add({ id: "m" }))), "m")
    const bad = yield* whileTimePasses(Effect.exit(counter.Move(new Add({ id: "bad" }))))
    assert.deepStrictEqual(Exit.findErrorOption(bad), Option.some("bad"))
    const { entries } = yield* kv.scan("")
    const moved = entries.find(({ keyText }) => keyText === "moved/m")
    const exits = entries.filter(({ keyText, text }) =>
      keyText.startsWith("fx/c/default/M/") && "reply" in (JSON.parse(text) as object)
    )
    assert.isDefined(moved)
    assert.isFalse(entries.some(({ keyText }) => keyText === "moved/bad"), "what a handler that failed added")
    assert.strictEqual(exits.length, 2)
    assert.isTrue(exits.some(({ modRevision }) => modRevision === moved?.createRevision), "one revision")
  }).pipe(Effect.provide(actors)))

it.effect("in a transaction the messages that a handler sends go with its reply", () =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const counter = (yield* Counter.client)("one")
    const done = (id: string) => Effect.map(kv.get(handled("after one", id)), Option.isSome)
    assert.strictEqual(yield* whileTimePasses(counter.Forward(new Add({ id: "f" }))), "f")
    yield* whileTimePasses(Effect.repeat(Effect.andThen(Effect.sleep(100), done("f")), { until: (is) => is }))
    const { entries } = yield* kv.scan("fx/c/default/")
    const sent = entries.find(({ keyText }) => keyText.endsWith("/=after%20one/=Add%2Ff"))
    const replied = entries.find(({ keyText, text }) =>
      keyText.startsWith("fx/c/default/M/") && text.includes(`"value":"f"`)
    )
    assert.isDefined(sent)
    assert.strictEqual(replied?.modRevision, sent?.createRevision, "one revision")
  }).pipe(Effect.provide(actors)))

const Order = Workflow.make("Order", {
  payload: { id: Schema.String },
  success: Schema.String,
  idempotencyKey: ({ id }) => id
})

it.effect("a workflow goes on after its durable clock, and runs each activity once", () => {
  const card = { charged: 0 }
  const live = Order.toLayer(Effect.fnUntraced(function*({ id }) {
    const receipt = yield* Activity.make({
      name: "Charge",
      success: Schema.String,
      execute: Effect.sync(() => `receipt ${++card.charged}`)
    })
    yield* DurableClock.sleep({ name: "wait", duration: "1 hour", inMemoryThreshold: "1 second" })
    return `${id} ${receipt}`
  }))
  return Effect.gen(function*() {
    const running = yield* Effect.forkChild(Order.execute({ id: "7" }), { startImmediately: true })
    yield* whileTimePasses(Effect.repeat(Effect.sleep(100), { until: () => card.charged > 0 }))
    yield* whileTimePasses(Effect.sleep(1_000))
    assert.isUndefined(running.pollUnsafe())
    yield* TestClock.adjust("1 hour")
    assert.strictEqual(yield* whileTimePasses(Fiber.join(running), 500), "7 receipt 1")
    assert.strictEqual(yield* whileTimePasses(Order.execute({ id: "7" }), 500), "7 receipt 1")
    assert.strictEqual(card.charged, 1)
  }).pipe(Effect.provide(live.pipe(
    Layer.provideMerge(ClusterWorkflowEngine.layer),
    Layer.provideMerge(Actors.layerMemory())
  )))
})

it.effect("each layer in memory is a store of its own", () =>
  Effect.gen(function*() {
    const send = Effect.provide(
      Effect.gen(function*() {
        yield* Sharding.Sharding
        yield* MessageStorage.MessageStorage
        const kv = yield* KeyValue
        const found = yield* kv.get("k")
        yield* kv.put("k", "1")
        return Option.isNone(found)
      }),
      Layer.fresh(Actors.layerMemory())
    )
    assert.deepStrictEqual(yield* Effect.all([send, send]), [true, true])
  }))

/** The settings that a layer comes to. */
const settings = (sharding?: Parameters<typeof Actors.layerConfig>[0]) =>
  Effect.provide(ShardingConfig.ShardingConfig, Actors.layerConfig(sharding))

it.effect("settings are those given, those of the environment, and then ours", () =>
  Effect.gen(function*() {
    const millis = (input: Duration.Input) => Duration.toMillis(Duration.fromInputUnsafe(input))
    const ours = yield* settings()
    assert.strictEqual(millis(ours.shardLockExpiration), 3_000)
    assert.strictEqual(millis(ours.entityReplyPollInterval), 5_000)
    assert.strictEqual(ours.shardsPerGroup, ShardingConfig.defaults.shardsPerGroup)
    const given = yield* settings({ shardLockExpiration: "9 seconds", shardsPerGroup: 7 })
    assert.deepStrictEqual([millis(given.shardLockExpiration), given.shardsPerGroup], [9_000, 7])
    process.env["SHARD_LOCK_EXPIRATION"] = "8 seconds"
    const environment = yield* Effect.ensuring(
      settings(),
      Effect.sync(() => delete process.env["SHARD_LOCK_EXPIRATION"])
    )
    assert.strictEqual(millis(environment.shardLockExpiration), 8_000)
  }))

it.live("a runner and a node in one process have their messages again after a restart", () =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const dataDir = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-actors-" })
    const [port = 0] = yield* freePorts(1)
    const nodes = [{ id: 1, host: "127.0.0.1", clientPort: 0, peerPort: 0, httpPort: 0 }]
    const process = CounterLive.pipe(Layer.provideMerge(Actors.layerEmbedded(
      { nodeId: 1, clusterId: "actors", dataDir: `${dataDir}/node-1`, nodes },
      { sharding: { runnerAddress: Option.some(RunnerAddress.make("127.0.0.1", port)), shardsPerGroup: 8 } }
    )))
    const add = Effect.gen(function*() {
      const kv = yield* KeyValue
      const answer = yield* (yield* Counter.client)("one").Add(new Add({ id: "a" }))
      const [section] = yield* (yield* FlareDb.StatusSections).read
      assert.strictEqual(section?.name, "actors")
      return [answer, Option.getOrThrow(yield* kv.get(handled("one", "a"))).text]
    })
    for (let starts = 0; starts < 2; starts++) {
      assert.deepStrictEqual(yield* Effect.scoped(Effect.provide(add, Layer.fresh(process))), ["one a", "1"])
    }
  }).pipe(Effect.provide(NodeServices.layer)))

it.live("what is due in the night is due when the nodes start in the morning, though their log knows of no night", () =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const dataDir = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-actors-" })
    const [port = 0] = yield* freePorts(1)
    const nodes = [{ id: 1, host: "127.0.0.1", clientPort: 0, peerPort: 0, httpPort: 0 }]
    const process = CounterLive.pipe(Layer.provideMerge(Actors.layerEmbedded(
      { nodeId: 1, clusterId: "actors", dataDir: `${dataDir}/node-1`, nodes },
      { sharding: { runnerAddress: Option.some(RunnerAddress.make("127.0.0.1", port)), shardsPerGroup: 8 } }
    )))
    const real = yield* Clock.Clock
    const atMs = real.currentTimeMillisUnsafe() + 1_800_000
    const times = Effect.map(
      Effect.flatMap(KeyValue, (kv) => kv.get(handled("one", "night"))),
      Option.map(({ text }) => text)
    )
    const evening = Effect.gen(function*() {
      const client = (yield* Counter.client)("one")
      yield* client.Later(new Later({ id: "night", atMs }), { discard: true })
      assert.strictEqual(yield* client.Add(new Add({ id: "now" })), "one now")
      assert.deepStrictEqual(yield* times, Option.none())
    })
    const morning = eventually("the message is handled", Effect.map(times, Option.contains("1")))
    yield* Effect.scoped(Effect.provide(evening, Layer.fresh(process)))
    yield* Effect.scoped(Effect.provide(morning, Layer.fresh(process))).pipe(
      Effect.provideService(Clock.Clock, aheadBy(real, 3_600_000))
    )
  }).pipe(Effect.provide(NodeServices.layer)))

it.live("a runner and a sender that speak HTTP reach each other", () =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const dataDir = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-actors-" })
    const [clientPort = 0, port = 0] = yield* freePorts(2)
    const nodes = [{ id: 1, host: "127.0.0.1", clientPort, peerPort: 0, httpPort: 0 }]
    yield* Layer.build(FlareDb.layer({ nodeId: 1, clusterId: "actors", dataDir: `${dataDir}/node-1`, nodes }))
    const endpoints = [{ host: "127.0.0.1", port: clientPort }]
    const shared = { endpoints, path: "/actors" } as const
    yield* Layer.build(CounterLive.pipe(Layer.provide(Actors.layerHttp({
      ...shared,
      sharding: { runnerAddress: Option.some(RunnerAddress.make("127.0.0.1", port)), shardsPerGroup: 8 }
    }))))
    const answers = yield* Effect.provide(
      Effect.gen(function*() {
        const client = yield* Counter.client
        return yield* Effect.all([
          client("one").Add(new Add({ id: "a" })),
          Stream.runCollect(client("two").List(new Add({ id: "l" })))
        ])
      }),
      Layer.fresh(Actors.layerHttpClientOnly({ ...shared, sharding: { shardsPerGroup: 8 } }))
    )
    assert.deepStrictEqual(answers, ["one a", [1, 2, 3, 4, 5]])
  }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

it.live("a cron singleton has each of its runs once, on a runner whose clock is behind or ahead", () =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const dataDir = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-actors-" })
    const [clientPort = 0, ...ports] = yield* freePorts(3)
    const nodes = [{ id: 1, host: "127.0.0.1", clientPort, peerPort: 0, httpPort: 0 }]
    yield* Layer.build(FlareDb.layer({ nodeId: 1, clusterId: "actors", dataDir: `${dataDir}/node-1`, nodes }))
    const real = yield* Clock.Clock
    for (const [i, aheadMs] of [-300, 2_500].entries()) {
      const runs: Array<number> = []
      const job = ClusterCron.make({
        name: "each second",
        cron: Cron.parseUnsafe("* * * * * *"),
        execute: Effect.map(
          ClusterCron.CurrentScheduledTime,
          ({ epochMilliseconds }) => void runs.push(epochMilliseconds)
        )
      })
      yield* Layer.build(job.pipe(Layer.provide(Actors.layer({
        endpoints: [{ host: "127.0.0.1", port: clientPort }],
        cluster: `ahead by ${aheadMs}`,
        sharding: { runnerAddress: Option.some(RunnerAddress.make("127.0.0.1", ports[i] ?? 0)), shardsPerGroup: 1 }
      })))).pipe(
        Effect.andThen(eventually("it has run four times", Effect.sync(() => runs.length >= 4))),
        Effect.scoped,
        Effect.provideService(Clock.Clock, aheadBy(real, aheadMs))
      )
      assert.strictEqual(new Set(runs).size, runs.length, "each once")
      // A busy machine may leave out a second.
      assert.isBelow((runs[3] ?? 0) - (runs[0] ?? 0), 9_000)
    }
  }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
