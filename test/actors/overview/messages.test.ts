/** What is told of runners, shards, entities and their messages, on a runner in memory. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Stream } from "effect"
import { ClusterSchema, Entity, MachineId, Snowflake } from "effect/cluster"
import type { Envelope } from "effect/cluster"
import { Rpc } from "effect/rpc"
import { HeldShards, makeEncodedMessageStorage, NoSuchMessage, Overview } from "../../../src/actors/index.ts"
import { ClusterKeys } from "../../../src/actors/cluster/ClusterKeys.ts"
import { requestRows } from "../../../src/actors/cluster/MessageRows.ts"
import { savedMsOf } from "../../../src/actors/overview/SavedTime.ts"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import { Op } from "../../../src/client/Txn.ts"
import { eventually } from "../../Eventually.ts"
import { Add, Counter, CounterLive, Later } from "../Counter.ts"
import { memory } from "../Stores.ts"
import { layerRunner } from "./Runner.ts"

const keys = new ClusterKeys({})

/** A request of an entity that no runner has. */
const request = (id: bigint, entityId: string, tag = "Haunt"): Envelope.PartialRequestEncoded => ({
  _tag: "Request",
  requestId: String(id),
  address: { shardId: { group: "old", id: 3 }, entityType: "Ghost", entityId },
  tag,
  payload: { text: "x" },
  headers: {}
})

const idAt = (ms: number, sequence: number) => Snowflake.make({ machineId: MachineId.make(1), sequence, timestamp: ms })

const runner = Layer.provideMerge(Overview.layer(), CounterLive).pipe(
  Layer.provideMerge(layerRunner)
)

it.live("a runner, its shards, and what waits for it and for nobody", () =>
  Effect.gen(function*() {
    const overview = yield* Overview
    const counter = (yield* Counter.client)("one")
    yield* counter.Add(new Add({ id: "a" }))
    const dueMs = Date.now() + 3_600_000
    yield* counter.Later(new Later({ id: "later", atMs: dueMs }), { discard: true })
    const { encoded } = yield* Effect.provide(
      makeEncodedMessageStorage({}),
      Layer.merge(HeldShards.layer, Snowflake.layerGenerator)
    )
    const oldMs = Date.now() - 600_000
    const old = idAt(oldMs, 0)
    for (const [sequence, entity] of ["first", "first", "second/../%"].entries()) {
      const envelope = request(idAt(oldMs + sequence, sequence), entity)
      yield* encoded.saveEnvelope({ envelope, primaryKey: `Ghost/${sequence}`, deliverAt: null })
    }

    const [own, ...others] = yield* overview.runners
    assert.deepStrictEqual(others, [])
    assert.include(own, { address: "localhost:34431", registered: true, healthy: true, machineId: 0, shards: 4 })
    assert.deepStrictEqual(own?.groups, ["default"])
    assert.isAtLeast(own?.endsInMs ?? 0, 1)

    const shards = yield* overview.shards()
    assert.deepStrictEqual(
      shards.map(({ owner, shard }) => [shard, owner]),
      [...[1, 2, 3, 4].map((id) => [`default:${id}`, "localhost:34431"]), ["old:3", undefined]]
    )
    assert.deepInclude(shards.at(-1), { messages: 3, atLeast: false, oldestMs: oldMs, token: undefined })
    assert.strictEqual(shards.reduce((sum, { messages }) => sum + messages, 0), 4)
    assert.isTrue(shards.slice(0, 4).every(({ token = 0 }) => token > 0))
    const expected = yield* overview.shards({ shardsPerGroup: 5 })
    assert.deepStrictEqual(
      expected.filter(({ owner }) => owner === undefined).map(({ shard }) => shard),
      ["default:5", "old:1", "old:2", "old:3", "old:4", "old:5"]
    )

    const all = yield* overview.entities()
    assert.deepStrictEqual(all.left, { entities: 0, messages: 0 })
    assert.deepStrictEqual(
      all.entities.map(({ delayed, id, nextDueMs, oldestMs, owner, type, waiting }) => ({
        delayed,
        id,
        nextDueMs,
        oldestMs,
        owner,
        type,
        waiting
      })),
      [
        { type: "Ghost", id: "first", owner: undefined, waiting: 2, delayed: 0, oldestMs: oldMs, nextDueMs: undefined },
        {
          type: "Ghost",
          id: "second/../%",
          owner: undefined,
          waiting: 1,
          delayed: 0,
          oldestMs: oldMs + 2,
          nextDueMs: undefined
        },
        {
          type: "Counter",
          id: "one",
          owner: "localhost:34431",
          waiting: 0,
          delayed: 1,
          oldestMs: undefined,
          nextDueMs: dueMs
        }
      ]
    )
    assert.deepInclude(yield* overview.entities({ limit: 1 }), { left: { entities: 2, messages: 2 } })
    assert.deepStrictEqual(
      (yield* overview.entities({ type: "Counter" })).entities.map(({ id }) => id),
      ["one"]
    )
    assert.lengthOf((yield* overview.entities({ olderThanMs: 60_000 })).entities, 2)
    assert.lengthOf((yield* overview.entities({ olderThanMs: 6_000_000 })).entities, 0)

    const ghosts = yield* Stream.runCollect(overview.messages("Ghost", "first"))
    assert.deepStrictEqual(ghosts.map(({ state, tag }) => [state, tag]), [["no owner", "Haunt"], ["no owner", "Haunt"]])
    const [later] = yield* Stream.runCollect(overview.messages("Counter", "one"))
    assert.deepInclude(later, { tag: "Later", state: "delayed", dueMs, interrupted: false })
    assert.deepStrictEqual(yield* Stream.runCollect(overview.messages("Counter", "nobody")), [])

    yield* overview.interruptMessage(String(old))
    yield* overview.interruptMessage(String(old))
    const [interrupted, other] = yield* Stream.runCollect(overview.messages("Ghost", "first"))
    assert.deepStrictEqual([interrupted?.interrupted, other?.interrupted], [true, false])
    assert.instanceOf(yield* Effect.flip(overview.interruptMessage("17")), NoSuchMessage)

    assert.deepStrictEqual(yield* overview.contents("Ghost", "first"), { messages: 2, waiting: 2 })
    yield* overview.clear("Ghost", "first")
    assert.deepStrictEqual(yield* overview.contents("Ghost", "first"), { messages: 0, waiting: 0 })
    assert.lengthOf((yield* overview.entities({ type: "Ghost" })).entities, 1)
    // Its primary key may be used anew.
    const again = yield* encoded.saveEnvelope({
      envelope: request(idAt(oldMs, 9), "first"),
      primaryKey: "Ghost/0",
      deliverAt: null
    })
    assert.strictEqual(again._tag, "Success")
  }).pipe(Effect.scoped, Effect.provide(runner)))

/** Its requests end when they are interrupted. */
const Slow = Entity.make("Slow", [
  Rpc.make("Run", { payload: Add }).annotate(ClusterSchema.Persisted, true)
])

it.live("a message that is being handled is interrupted by its id", () =>
  Effect.gen(function*() {
    const overview = yield* Overview
    const began = yield* Deferred.make<void>()
    yield* Effect.gen(function*() {
      const slow = (yield* Slow.client)("one")
      yield* slow.Run(new Add({ id: "r" }), { discard: true })
      yield* Deferred.await(began)
      const [message] = yield* Stream.runCollect(overview.messages("Slow", "one"))
      assert.deepInclude(message, { tag: "Run", state: "waiting", interrupted: false })
      yield* overview.interruptMessage(message?.id ?? "")
      yield* eventually(
        "the message has its exit",
        Effect.map(Stream.runCollect(overview.messages("Slow", "one")), (left) => left.length === 0)
      )
    }).pipe(Effect.provide(
      Slow.toLayer({ Run: () => Effect.andThen(Deferred.succeed(began, undefined), Effect.never) })
    ))
  }).pipe(Effect.provide(runner)))

it.live("more than is counted is said to be at least that, and no page is larger than another", () =>
  Effect.scoped(Effect.gen(function*() {
    const services = yield* memory
    const messages = 6_000
    const pages: Array<number> = []
    const watched = Layer.effect(
      KeyValue,
      Effect.map(KeyValue, (kv) =>
        KeyValue.of({
          ...kv,
          scan: (prefix, options) =>
            Effect.tap(kv.scan(prefix, options), ({ entries }) => Effect.sync(() => pages.push(entries.length)))
        }))
    )
    yield* Effect.gen(function*() {
      const kv = yield* KeyValue
      for (let from = 0; from < messages; from += 500) {
        yield* kv.transact({
          do: Array.from({ length: 500 }, (_, i) => {
            const id = idAt(1_900_000_000_000 + from + i, 0)
            const envelope = request(id, `entity ${from + i}`)
            const shard = `default:${1 + Math.floor(from / 2_000)}`
            return Op.put(
              keys.part(shard, String(id), "r"),
              requestRows({ envelope, primaryKey: null, deliverAt: null }).text
            )
          })
        })
      }
      yield* Effect.provide(
        Effect.gen(function*() {
          const overview = yield* Overview
          const { messages: counted, oldestMs, shardsWithoutOwner } = yield* overview.summary
          assert.deepStrictEqual(counted, { count: 5_000, atLeast: true })
          assert.strictEqual(oldestMs, 1_900_000_000_000)
          assert.deepStrictEqual(shardsWithoutOwner, ["default:1", "default:2", "default:3"])
          const { entities, left } = yield* overview.entities({ limit: 10 })
          assert.deepStrictEqual(entities.map(({ id }) => id), Array.from({ length: 10 }, (_, i) => `entity ${i}`))
          assert.deepStrictEqual(left, { entities: messages - 10, messages: messages - 10 })
          const [first, second, third] = yield* overview.shards()
          assert.deepStrictEqual([first?.messages, second?.messages, third?.messages], [2_000, 2_000, 2_000])
        }),
        Overview.layer().pipe(Layer.provide(watched), Layer.provide(services))
      )
    }).pipe(Effect.provide(services))
    assert.isAtMost(Math.max(...pages), 1_000)
  })))

it("times of ids are those of Effect", () => {
  for (const id of [idAt(1_764_000_000_123, 5), idAt(1_735_689_600_000, 0)]) {
    assert.strictEqual(savedMsOf(String(id)), Snowflake.timestamp(id))
  }
})
