/** What a runner commits after it lost a shard: nothing, whether it noticed or not. And how long messages are kept. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Latch, Layer } from "effect"
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
import { HeldShards, layerRunnerStorage, makeEncodedMessageStorage, ShardLockLost } from "../../../src/actors/index.ts"
import { ClusterKeys } from "../../../src/actors/cluster/ClusterKeys.ts"
import { ShardTable } from "../../../src/actors/cluster/HeldShards.ts"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import { Compare } from "../../../src/client/Txn.ts"
import { Leases } from "../../../src/client/Lease.ts"
import type { Services } from "../Stores.ts"
import { memory } from "../Stores.ts"
import { aheadBy } from "../../WallClock.ts"

const cluster = "fence"
const shard = ShardId.make("default", 1)

/** How long locks live. No test waits for the end of one, and none stalls for as long. */
const lockMs = 60_000

/** One runner with its storages, over a store that others share. */
const runner = Effect.fnUntraced(function*(services: Services, port: number) {
  const address = RunnerAddress.make("runner", port)
  const real = yield* Clock.Clock
  let aheadMs = 0
  const clock: Clock.Clock = {
    ...real,
    sleep: (duration) => real.sleep(duration),
    currentTimeMillisUnsafe: () => real.currentTimeMillisUnsafe(),
    monotonicTimeNanosUnsafe: () => real.monotonicTimeNanosUnsafe() + BigInt(aheadMs) * 1_000_000n
  }
  const context = yield* Layer.build(Layer.fresh(
    Layer.effectDiscard(Effect.void).pipe(
      Layer.provideMerge(layerRunnerStorage({ cluster })),
      Layer.provideMerge(HeldShards.layer),
      Layer.provideMerge(services),
      Layer.provide(ShardingConfig.layer({ shardLockExpiration: lockMs }))
    )
  )).pipe(Effect.provideService(Clock.Clock, clock))
  const { encoded, work } = yield* Effect.provide(makeEncodedMessageStorage({ cluster }), context)
  // Its first reading looks at the layout of the rows, which takes a part of the second that a lock lasts.
  yield* encoded.requestIdForPrimaryKey("none")
  const locks = yield* Effect.provide(RunnerStorage.RunnerStorage, context)
  const held = yield* Effect.provide(HeldShards, context)
  yield* locks.register(Runner.make({ address, groups: ["default"], weight: 1 }), true)
  const acquire = Effect.map(locks.acquire(address, [shard]), (got) => got.length === 1)
  const isOwner = Effect.map(locks.refresh(address, [shard]), (got) => got.length === 1)
  const readAt = (nowMs: number) =>
    Effect.map(
      encoded.unprocessedMessages(["default:1"], nowMs),
      (found) => found.map(({ envelope }) => envelope.requestId)
    )
  const read = Effect.suspend(() => readAt(Date.now()))
  /** The time of its lock passes, for the store and for itself. */
  const freeze = Effect.gen(function*() {
    const kv = yield* KeyValue
    const leases = yield* Leases
    const { entries } = yield* kv.scan(`fx/c/${cluster}/L/`)
    yield* Effect.forEach(entries, ({ lease }) => leases.revoke(lease))
    aheadMs += lockMs
  }).pipe(Effect.provide(services))
  return { address, encoded, held, locks, acquire, freeze, isOwner, read, readAt, work }
})

const send = (to: MessageStorage.Encoded, id: string, deliverAt: number | null = null) =>
  to.saveEnvelope({
    envelope: {
      _tag: "Request",
      requestId: id,
      address: { shardId: { group: "default", id: 1 }, entityType: "T", entityId: "e" },
      tag: "Do",
      payload: null,
      headers: {}
    },
    primaryKey: null,
    deliverAt
  })

const exit = (requestId: string, id: string) =>
  ({ _tag: "WithExit", requestId, id, exit: { _tag: "Success", value: id } }) as const

const chunk = (requestId: string, id: string) => ({ _tag: "Chunk", requestId, id, sequence: 0, values: [id] }) as const

/** A store whose answers to what only compares wait while the gate is closed: readings ask that how far the store is. */
const gated = (services: Services, gate: Latch.Latch): Services =>
  Layer.provideMerge(
    Layer.effect(
      KeyValue,
      Effect.map(KeyValue, (kv) =>
        KeyValue.of({
          ...kv,
          transact: (txn, options) =>
            (txn.do ?? []).length > 0
              ? kv.transact(txn, options)
              : Effect.tap(kv.transact(txn, options), gate.await)
        }))
    ),
    services
  )

it.live("a reading from before a shard was taken again hands nothing of it out", () =>
  Effect.scoped(Effect.gen(function*() {
    const gate = Latch.makeUnsafe(true)
    const { acquire, address, encoded, locks, read } = yield* runner(gated(yield* memory, gate), 1)
    assert.isTrue(yield* acquire)
    yield* send(encoded, "1")
    assert.deepStrictEqual(yield* read, ["1"])
    yield* encoded.resetShards(["default:1"])
    gate.closeUnsafe()
    const before = yield* Effect.forkChild(read, { startImmediately: true })
    // Sharding gives its shards up, takes them again, and drops what was read for the ones from before.
    yield* locks.releaseAll(address)
    assert.isTrue(yield* acquire)
    yield* encoded.resetShards(["default:1"])
    gate.openUnsafe()
    assert.deepStrictEqual(yield* Fiber.join(before), [])
    assert.deepStrictEqual(yield* read, ["1"], "it is there for the next reading")
  })))

describe("a runner that lost its shard", () => {
  it.live("stores no reply: its lock ended and another runner has the shard", () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      const old = yield* runner(services, 1)
      const next = yield* runner(services, 2)
      assert.isTrue(yield* old.acquire)
      yield* send(old.encoded, "1")
      assert.deepStrictEqual(yield* old.read, ["1"])
      yield* old.encoded.saveReply(chunk("1", "90"))

      // The old owner does not refresh.
      yield* old.freeze
      assert.isTrue(yield* next.acquire)
      assert.isDefined(old.held.lockOf("default:1"), "it has not noticed")
      const refused = yield* Effect.flip(old.encoded.saveReply(exit("1", "100")))
      assert.strictEqual(refused._tag, "PersistenceError")
      assert.instanceOf(refused.cause, ShardLockLost)
      assert.deepStrictEqual(yield* next.encoded.repliesFor(["1"]), [chunk("1", "90")])
      assert.isFalse(yield* old.isOwner, "the next refresh says so")
      const again = yield* Effect.flip(old.encoded.saveReply(chunk("1", "91")))
      assert.instanceOf(again.cause, ShardLockLost)

      yield* next.encoded.saveEnvelope({
        envelope: {
          _tag: "AckChunk",
          id: "50",
          requestId: "1",
          replyId: "90",
          address: { shardId: { group: "default", id: 1 }, entityType: "T", entityId: "e" }
        },
        primaryKey: null,
        deliverAt: null
      })
      assert.deepStrictEqual(yield* next.read, ["1", "1"])
      yield* next.encoded.saveReply(exit("1", "101"))
      assert.deepStrictEqual((yield* old.encoded.repliesFor(["1"])).map(({ id }) => id), ["101"])
    })))

  it.live("stores no reply after it has the shard again, if the request has an exit by then", () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      const old = yield* runner(services, 1)
      const next = yield* runner(services, 2)
      assert.isTrue(yield* old.acquire)
      yield* send(old.encoded, "1")
      yield* old.read
      yield* old.locks.release(old.address, shard)
      assert.isTrue(yield* next.acquire)
      yield* next.encoded.saveReply(exit("1", "101"))
      yield* next.locks.releaseAll(next.address)
      assert.isTrue(yield* old.acquire)
      const refused = yield* Effect.flip(old.encoded.saveReply(exit("1", "100")))
      assert.deepInclude(refused.cause, { _tag: "RequestFinished", id: "1" })
      yield* old.encoded.saveReply(exit("1", "101"))
    })))

  it.live("commits no transaction whose shard was lost in the middle of it", () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      const old = yield* runner(services, 1)
      const next = yield* runner(services, 2)
      assert.isTrue(yield* old.acquire)
      yield* send(old.encoded, "1")
      yield* old.read
      const committed = yield* Effect.exit(old.encoded.withTransaction(
        Effect.gen(function*() {
          yield* old.encoded.saveReply(exit("1", "100"))
          yield* old.freeze
          assert.isTrue(yield* next.acquire)
        })
      ))
      assert.include(String(committed), "TransactionConflict")
      assert.deepStrictEqual(yield* next.encoded.repliesFor(["1"]), [])
      assert.isFalse(yield* old.isOwner)
    })))
})

it.live("work is there when a message comes, and when one is due", () =>
  Effect.scoped(Effect.gen(function*() {
    const services = yield* memory
    const one = yield* runner(services, 1)
    const sender = yield* runner(services, 2)
    assert.isTrue(yield* one.acquire)
    assert.deepStrictEqual(yield* one.read, [])
    yield* send(sender.encoded, "1")
    yield* one.work.next
    assert.deepStrictEqual(yield* one.read, ["1"])
    const dueMs = Date.now() + 300
    yield* send(sender.encoded, "2", dueMs)
    assert.deepStrictEqual(yield* one.readAt(dueMs - 1), [])
    yield* one.work.next
    assert.isAtLeast(Date.now(), dueMs)
    assert.deepStrictEqual(yield* one.read, ["2"])
  })))

it.live("a request that is cleared while its handler runs ends its transaction, and takes no shard away", () =>
  Effect.scoped(Effect.gen(function*() {
    const services = yield* memory
    const one = yield* runner(services, 1)
    const other = yield* runner(services, 2)
    assert.isTrue(yield* one.acquire)
    yield* send(one.encoded, "1")
    assert.deepStrictEqual(yield* one.read, ["1"])
    const address = EntityAddress.make({
      shardId: shard,
      entityType: EntityType.make("T"),
      entityId: EntityId.make("e")
    })
    const committed = yield* Effect.exit(one.encoded.withTransaction(
      Effect.andThen(one.encoded.saveReply(exit("1", "100")), other.encoded.clearAddress(address))
    ))
    assert.include(String(committed), "TransactionConflict")
    assert.isTrue(yield* one.isOwner, "nobody took its shard")
    // The handler is run again: there is nobody left to reply to.
    yield* one.encoded.withTransaction(one.encoded.saveReply(exit("1", "100")))
    assert.deepStrictEqual(yield* one.encoded.repliesForUnfiltered(["1"]), [])
  })))

it.live("requests that were saved together are read in the order of their ids, by whoever has the shard", () =>
  Effect.scoped(Effect.gen(function*() {
    const services = yield* memory
    const old = yield* runner(services, 1)
    const next = yield* runner(services, 2)
    assert.isTrue(yield* old.acquire)
    assert.deepStrictEqual(yield* old.read, [])
    const ids = Array.from({ length: 40 }, (_, i) => String(i + 1))
    yield* Effect.forEach(ids.toReversed(), (id) => send(old.encoded, id), { concurrency: "unbounded", discard: true })
    const kv = yield* Effect.provide(KeyValue, services)
    const { entries } = yield* kv.scan("fx/c/fence/M/")
    assert.strictEqual(new Set(entries.map(({ modRevision }) => modRevision)).size, 1, "they were saved together")
    assert.deepStrictEqual(yield* old.read, ids)
    yield* old.locks.release(old.address, shard)
    assert.isTrue(yield* next.acquire)
    assert.deepStrictEqual(yield* next.read, ids)
  })))

describe("processed messages", () => {
  it.live("are kept as long as they are to be, and those of workflows for good", () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      yield* Effect.gen(function*() {
        const kv = yield* KeyValue
        const all = Effect.map(
          kv.scan("fx/c/kept/"),
          ({ entries }) => entries.map(({ keyText }) => keyText.slice(10)).filter((key) => key !== "T" && key !== "V")
        )
        const { encoded, retention } = yield* makeEncodedMessageStorage({ cluster: "kept", keepProcessedFor: "1 hour" })
        const save = (id: string, type: string) =>
          encoded.saveEnvelope({
            envelope: {
              _tag: "Request",
              requestId: id,
              address: { shardId: { group: "default", id: 1 }, entityType: type, entityId: "e" },
              tag: "Do",
              payload: null,
              headers: {}
            },
            primaryKey: `${type}/e/Do/1`,
            deliverAt: null
          })
        yield* save("1", "T")
        yield* save("2", "Workflow/W")
        yield* save("3", "U")
        yield* save("4", "V")
        yield* encoded.saveReply(chunk("1", "90"))
        for (const id of ["1", "2", "4"]) yield* encoded.saveReply(exit(id, `10${id}`))
        const before = yield* all
        assert.strictEqual(yield* retention.sweep, 0)
        assert.deepStrictEqual(yield* all, before)

        // As if the hour had been long ago, and nothing had been looked at; the last one was cleared since.
        const { entries } = yield* kv.scan("fx/c/kept/M/")
        assert.deepStrictEqual(entries.map(({ text }) => text.includes(`"hour":`)), [true, false, false, true])
        for (const { key, text } of entries) yield* kv.put(key, text.replace(/"hour":\d+/, `"hour":1`))
        yield* kv.delete("fx/c/kept/T")
        yield* encoded.clearReplies(Snowflake.Snowflake("4"))
        assert.strictEqual(yield* retention.sweep, 1)
        assert.deepStrictEqual((yield* encoded.repliesForUnfiltered(["1"])).length, 0)
        assert.deepStrictEqual((yield* encoded.repliesFor(["2"])).map(({ id }) => id), ["102"])
        const rest = yield* all
        assert.isFalse(rest.some((key) => key.includes(`${2n ** 63n + 1n}`)), "nothing is left of it")
        assert.strictEqual((yield* save("5", "T"))._tag, "Success")
        assert.strictEqual((yield* save("6", "Workflow/W"))._tag, "Duplicate")
        assert.deepStrictEqual(
          (yield* encoded.unprocessedMessages(["default:1"], 0)).map(({ envelope }) => envelope.requestId),
          ["3", "4", "5"]
        )
      }).pipe(Effect.provide(Layer.merge(services, HeldShards.layer)))
    })))

  it.live("leave no rows behind when the time of all is over, however many they are", () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      yield* Effect.gen(function*() {
        const kv = yield* KeyValue
        const later = aheadBy(yield* Clock.Clock, 3 * 3_600_000)
        const options = { cluster: "swept", keepProcessedFor: "1 hour" } as const
        const { encoded } = yield* makeEncodedMessageStorage(options)
        const { retention } = yield* Effect.provideService(makeEncodedMessageStorage(options), Clock.Clock, later)
        const ids = Array.from({ length: 600 }, (_, i) => String(i + 1))
        yield* Effect.forEach(ids, (id) =>
          Effect.gen(function*() {
            yield* send(encoded, id)
            if (Number(id) % 10 === 0) yield* encoded.saveReply(chunk(id, `${id}0000`))
            yield* encoded.saveReply(exit(id, `${id}9999`))
          }), { concurrency: 50, discard: true })
        assert.isAbove((yield* kv.scan("fx/c/swept/", { limit: 2_000 })).entries.length, 1_000)
        assert.strictEqual(yield* retention.sweep, 600)
        const { entries } = yield* kv.scan("fx/c/swept/")
        assert.deepStrictEqual(entries.map(({ keyText }) => keyText), ["fx/c/swept/T", "fx/c/swept/V"])
      }).pipe(Effect.provide(Layer.merge(services, HeldShards.layer)))
    })))
})

it("the fence of a lock is one object, so that steps which share a transaction compare it once", () => {
  const keys = new ClusterKeys({})
  const shards = new ShardTable()
  shards.hold("default:1", 7)
  const fence = shards.fence(keys, "default:1")
  if (fence instanceof ShardLockLost) throw fence
  shards.hold("default:1", 7)
  assert.strictEqual(shards.fence(keys, "default:1"), fence)
  assert.deepStrictEqual(fence, [Compare.createRevision(keys.lock("default:1")).equals(7)])
  shards.hold("default:1", 9)
  assert.deepStrictEqual(
    shards.fence(keys, "default:1"),
    [Compare.createRevision(keys.lock("default:1")).equals(9)],
    "another lock has another one"
  )
  assert.deepStrictEqual(
    shards.fence(new ClusterKeys({ cluster: "other" }), "default:1"),
    [Compare.createRevision(new ClusterKeys({ cluster: "other" }).lock("default:1")).equals(9)]
  )
  shards.release("default:1")
  assert.instanceOf(shards.fence(keys, "default:1"), ShardLockLost)
})
