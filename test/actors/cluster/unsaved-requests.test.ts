/**
 * Requests for activities of workflows that are stored with their exits: what is written, and that nothing of it is lost
 * or done twice when a runner is slow, loses its shard, or gets no answer.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Option, Schema } from "effect"
import type { MessageStorage } from "effect/cluster"
import {
  EntityAddress,
  EntityId,
  EntityType,
  Runner,
  RunnerAddress,
  RunnerStorage,
  ShardId,
  ShardingConfig,
  Snowflake
} from "effect/cluster"
import { TestClock } from "effect/testing"
import { Activity, Workflow } from "effect/workflow"
import { ClusterKeys } from "../../../src/actors/cluster/ClusterKeys.ts"
import {
  Actors,
  HeldShards,
  layerRunnerStorage,
  layerWorkflowEngine,
  makeEncodedMessageStorage
} from "../../../src/actors/index.ts"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import type { Txn } from "../../../src/client/Txn.ts"
import { Indeterminate } from "../../../src/FlareDbError.ts"
import { eventually } from "../../Eventually.ts"
import type { Services } from "../Stores.ts"
import { memory } from "../Stores.ts"

const cluster = "unsaved"
const keys = new ClusterKeys({ cluster })
const type = "Workflow/W"
const shard = ShardId.make("default", 1)
const address = EntityAddress.make({
  entityType: EntityType.make(type),
  entityId: EntityId.make("e"),
  shardId: shard
})

const primaryKey = (name: string, attempt = 1) => `${type}/e/activity/${name}/${attempt}`

/** A runner with its storage, over a store that others share. */
const runner = Effect.fnUntraced(function*(services: Services, port: number) {
  const own = RunnerAddress.make("runner", port)
  const context = yield* Layer.build(Layer.fresh(
    layerRunnerStorage({ cluster }).pipe(
      Layer.provideMerge(HeldShards.layer),
      Layer.provideMerge(services),
      Layer.provide(ShardingConfig.layer({ shardLockExpiration: 60_000 }))
    )
  ))
  const { encoded, requestIdForPrimaryKey } = yield* Effect.provide(makeEncodedMessageStorage({ cluster }), context)
  const locks = yield* Effect.provide(RunnerStorage.RunnerStorage, context)
  yield* locks.register(Runner.make({ address: own, groups: ["default"], weight: 1 }), true)
  const idOf = (name: string) =>
    Effect.map(
      requestIdForPrimaryKey({ address, tag: "activity", id: `${name}/1` }),
      (id) => Option.getOrUndefined(Option.map(id, String))
    )
  /** What the engine reads when it activates a workflow. */
  const activate = requestIdForPrimaryKey({ address, tag: "deferred", id: "Workflow/InterruptSignal" })
  const read = Effect.map(
    encoded.unprocessedMessages(["default:1"], 0),
    (found) => found.map(({ envelope }) => envelope.requestId)
  )
  const acquire = Effect.map(locks.acquire(own, [shard]), (got) => got.length === 1)
  return { encoded, idOf, activate, read, acquire, release: Effect.suspend(() => locks.releaseAll(own)) }
})

/** Asks for an activity, as its workflow does. */
const ask = (
  to: MessageStorage.Encoded,
  id: string,
  { name = id, payload = {} }: { readonly name?: string; readonly payload?: object } = {}
) =>
  to.saveEnvelope({
    envelope: {
      _tag: "Request",
      requestId: id,
      address: { shardId: { group: "default", id: 1 }, entityType: type, entityId: "e" },
      tag: "activity",
      payload: { name, attempt: 1, withTransaction: false, ...payload },
      headers: {}
    },
    primaryKey: primaryKey(name),
    deliverAt: null
  })

const exit = (requestId: string, id: string) =>
  ({ _tag: "WithExit", requestId, id, exit: { _tag: "Success", value: id } }) as const

/** Puts of the row of a message; `undefined` when it is not stored. */
const putsOf = (id: string) =>
  Effect.gen(function*() {
    const found = yield* (yield* KeyValue).get(keys.request(id))
    return Option.getOrUndefined(Option.map(found, ({ version }) => version))
  })

const replies = (of: MessageStorage.Encoded, id: string) =>
  Effect.map(of.repliesForUnfiltered([id]), (found) => found.map((reply) => reply.id))

/** A store that loses the answers of writes while `lost` says so: they took effect. */
const answersLost = (services: Services, lost: (txn: Txn) => boolean): Services =>
  Layer.provideMerge(
    Layer.effect(
      KeyValue,
      Effect.map(KeyValue, (kv) =>
        KeyValue.of({
          ...kv,
          transact: ((txn: Txn) =>
            Effect.flatMap(
              kv.transact(txn),
              (result) => lost(txn) ? Effect.fail(new Indeterminate({ reason: "lost" })) : Effect.succeed(result)
            )) as KeyValue["Service"]["transact"]
        }))
    ),
    services
  )

describe("the request of an activity", () => {
  it.live("is read, found and stored with its exit, as one put of its row", () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      const { acquire, activate, encoded, idOf, read } = yield* runner(services, 1)
      assert.isTrue(yield* acquire)
      yield* activate
      yield* read
      assert.strictEqual((yield* ask(encoded, "1"))._tag, "Success")
      assert.deepStrictEqual(yield* read, ["1"])
      assert.deepStrictEqual(yield* read, [], "it is handed out once")
      assert.isUndefined(yield* Effect.provide(putsOf("1"), services))
      assert.strictEqual(yield* idOf("1"), "1")
      const found = yield* encoded.requestIdForPrimaryKey(primaryKey("1"))
      assert.strictEqual(Option.isSome(found) ? String(found.value) : undefined, "1")
      // A workflow that began again asks again.
      const again = yield* ask(encoded, "2", { name: "1" })
      assert.strictEqual(again._tag === "Duplicate" ? String(again.originalId) : "", "1")
      yield* encoded.saveReply(exit("1", "91"))
      assert.strictEqual(yield* Effect.provide(putsOf("1"), services), 1)
      assert.deepStrictEqual([yield* replies(encoded, "1"), yield* read], [["91"], []])
      const late = yield* ask(encoded, "3", { name: "1" })
      assert.strictEqual(late._tag === "Duplicate" ? Option.getOrUndefined(late.lastReceivedReply)?.id : "", "91")
    })))

  it.live("is stored first when it is not known which activities there were, and where its time or its step matters", () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      const { acquire, activate, encoded, read } = yield* runner(services, 1)
      yield* acquire
      yield* read
      yield* ask(encoded, "1")
      yield* activate
      yield* ask(encoded, "2", { name: "DurableClock/sleep" })
      yield* ask(encoded, "3", { payload: { withTransaction: true } })
      yield* ask(encoded, "4", { payload: { more: "x".repeat(2_000) } })
      for (const id of ["1", "2", "3", "4"]) assert.strictEqual(yield* Effect.provide(putsOf(id), services), 1, id)
      // Another activity is held back now that they are known, and one that was asked for before is not.
      yield* ask(encoded, "5")
      assert.isUndefined(yield* Effect.provide(putsOf("5"), services))
      assert.strictEqual((yield* ask(encoded, "6", { name: "1" }))._tag, "Duplicate")
    })))

  it.live("is not taken for one that waits when its runner lost the shard and has it again", () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      const { acquire, activate, encoded, idOf, read, release } = yield* runner(services, 1)
      yield* acquire
      yield* activate
      yield* read
      yield* ask(encoded, "1")
      yield* release
      yield* acquire
      // Its exit must not be stored any more, so a workflow that waited for it would wait for ever.
      assert.isUndefined(yield* idOf("1"))
      assert.strictEqual((yield* ask(encoded, "2", { name: "1" }))._tag, "Success")
      assert.strictEqual((yield* Effect.exit(encoded.saveReply(exit("1", "91"))))._tag, "Failure")
      yield* encoded.saveReply(exit("2", "92"))
      assert.deepStrictEqual([yield* replies(encoded, "1"), yield* replies(encoded, "2")], [[], ["92"]])
    })))

  it.live("is stored by itself when it takes long, or is interrupted, and is handed out once all the same", () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      const { acquire, activate, encoded, read } = yield* runner(services, 1)
      yield* acquire
      yield* activate
      yield* read
      yield* ask(encoded, "1")
      yield* ask(encoded, "2")
      assert.deepStrictEqual(yield* read, ["1", "2"])
      yield* encoded.saveEnvelope({
        envelope: {
          _tag: "Interrupt",
          id: "50",
          address: { shardId: { group: "default", id: 1 }, entityType: type, entityId: "e" },
          requestId: "2"
        },
        primaryKey: null,
        deliverAt: null
      })
      assert.strictEqual(yield* Effect.provide(putsOf("2"), services), 1)
      yield* eventually(
        "the interrupt is read, and no request is read again",
        Effect.map(read, (found) => found.length === 1 && found[0] === "2")
      )
      yield* eventually(
        "the other request is stored",
        Effect.map(Effect.provide(putsOf("1"), services), (puts) => puts === 1)
      )
      yield* encoded.saveReply(exit("1", "91"))
      yield* encoded.saveReply(exit("2", "92"))
      assert.deepStrictEqual([yield* replies(encoded, "1"), yield* replies(encoded, "2")], [["91"], ["92"]])
      assert.strictEqual(yield* Effect.provide(putsOf("1"), services), 2)
      yield* encoded.resetShards(["default:1"])
      assert.deepStrictEqual(yield* read, [])
    })))

  it.live("has one exit when the answer to its step is lost", () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      let losses = 2
      const { acquire, activate, encoded, read } = yield* runner(
        answersLost(services, ({ do: ops = [] }) => ops.length > 1 && losses-- > 0),
        1
      )
      yield* acquire
      yield* activate
      yield* read
      yield* ask(encoded, "1")
      losses = 1
      yield* encoded.saveReply(exit("1", "91"))
      assert.deepStrictEqual(yield* replies(encoded, "1"), ["91"])
      assert.deepStrictEqual(yield* read, [])
    })))
})

it.live("the request of an activity that was stored by itself without an answer gets its exit", () =>
  Effect.scoped(Effect.gen(function*() {
    const services = yield* memory
    let isLost = false
    const { acquire, activate, encoded, read } = yield* runner(answersLost(services, () => isLost), 1)
    yield* acquire
    yield* activate
    yield* read
    yield* ask(encoded, "1")
    isLost = true
    assert.isTrue(Exit.isFailure(yield* Effect.exit(encoded.clearReplies(Snowflake.Snowflake("1")))))
    isLost = false
    assert.strictEqual(yield* Effect.provide(putsOf("1"), services), 1)
    yield* encoded.saveReply(exit("1", "91"))
    assert.strictEqual(yield* Effect.provide(putsOf("1"), services), 2)
    assert.deepStrictEqual(yield* replies(encoded, "1"), ["91"])
  })))

describe("a runner that lost the shard of a workflow", () => {
  it.live("stores no activity, asks for none, and the next owner runs it", () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      const old = yield* runner(services, 1)
      const next = yield* runner(services, 2)
      yield* old.acquire
      yield* old.activate
      yield* old.read
      yield* ask(old.encoded, "1")
      assert.deepStrictEqual(yield* old.read, ["1"])
      const kv = yield* Effect.provide(KeyValue, services)
      // Its lock ends without its knowing.
      const { entries } = yield* kv.scan(keys.lock("default:1"))
      yield* Effect.forEach(entries, ({ key }) => kv.delete(key))
      assert.isTrue(yield* next.acquire)
      yield* next.activate
      yield* next.read
      assert.isTrue(Exit.isFailure(yield* Effect.exit(ask(old.encoded, "3", { name: "DurableClock/sleep" }))))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(old.encoded.saveReply(exit("1", "91")))))
      // It fails for good, so that nobody goes on with a result that is not stored.
      assert.isTrue(Exit.isFailure(yield* Effect.exit(old.encoded.saveReply(exit("1", "92")))))
      assert.isUndefined(yield* Effect.provide(putsOf("1"), services))
      yield* ask(next.encoded, "2", { name: "1" })
      assert.deepStrictEqual(yield* next.read, ["2"])
      yield* next.encoded.saveReply(exit("2", "93"))
      assert.deepStrictEqual(yield* replies(next.encoded, "2"), ["93"])
    })))

  it.live("does so also after it has the shard again", () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      const { acquire, activate, encoded, read, release } = yield* runner(services, 1)
      yield* acquire
      yield* activate
      yield* read
      yield* ask(encoded, "1")
      yield* read
      yield* release
      assert.isTrue(yield* acquire)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(encoded.saveReply(exit("1", "91")))))
      yield* encoded.resetShards(["default:1"])
      assert.deepStrictEqual(yield* read, [])
      yield* activate
      yield* ask(encoded, "2", { name: "1" })
      assert.deepStrictEqual(yield* read, ["2"])
    })))
})

const Steps = Workflow.make("Steps", { payload: { id: Schema.String }, idempotencyKey: ({ id }) => id })

it.effect("a workflow's activities are put once, its own request and its exit are two puts", () => {
  const live = Steps.toLayer(() =>
    Effect.forEach(["a", "b", "c"], (name) => Activity.make({ name, execute: Effect.void }), { discard: true })
  )
  return Effect.gen(function*() {
    const running = yield* Effect.forkChild(Steps.execute({ id: "1" }), { startImmediately: true })
    while (running.pollUnsafe() === undefined) {
      yield* TestClock.adjust(100)
      yield* TestClock.withLive(Effect.sleep(1))
    }
    const { entries } = yield* (yield* KeyValue).scan(new ClusterKeys({}).requests)
    assert.deepStrictEqual(entries.map(({ version }) => version).sort(), [1, 1, 1, 2])
  }).pipe(Effect.provide(live.pipe(Layer.provideMerge(layerWorkflowEngine), Layer.provideMerge(Actors.layerMemory()))))
})
