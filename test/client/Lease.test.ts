/** What leases promise their holders, on memory and on RocksDB, in real time. */
import { assert, describe, it, layer } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Layer, Option, Scope } from "effect"
import { TestClock } from "effect/testing"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { Elections } from "../../src/client/Election.ts"
import { Leases } from "../../src/client/Lease.ts"
import { Locks } from "../../src/client/Lock.ts"
import * as RemoteClient from "../../src/client/RemoteClient.ts"
import * as FlareDb from "../../src/FlareDb.ts"
import { LeaseLost, LeaseNotFound } from "../../src/FlareDbError.ts"
import { maxTtlMs } from "../../src/kv/model/Limits.ts"
import { connectTo, FakeNode } from "./FakeCluster.ts"
import { FakeStore } from "./FakeStore.ts"
import { stores } from "./Stores.ts"

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

for (const store of stores) {
  layer(store.layer, { excludeTestServices: true })(`leases on ${store.name}`, (it) => {
    it.effect("hold keys, which go with them", () =>
      Effect.gen(function*() {
        const kv = yield* KeyValue
        const leases = yield* Leases
        const { id, ttlMs } = yield* leases.grant(60_000)
        assert.strictEqual(ttlMs, 60_000)
        yield* kv.put("b", "1", { lease: id })
        yield* kv.put("a", "1", { lease: id })
        yield* kv.put("c", "1", { lease: id })
        yield* kv.put("c", "2")
        const left = yield* leases.timeToLive(id)
        assert.deepStrictEqual(left.keys.map(text), ["a", "b"], "a put without the lease detaches a key")
        assert.isAtMost(left.remainingMs, 60_000)
        assert.isAbove(left.remainingMs, 50_000)
        assert.deepInclude((yield* leases.list()).find((lease) => lease.id === id), { ttlMs: 60_000, keys: 2 })
        const before = yield* kv.transact({ do: [] })
        assert.strictEqual(yield* leases.revoke(id), 2)
        const after = yield* kv.transact({ do: [] })
        assert.strictEqual(after.revision, before.revision + 1, "all of them in one revision")
        assert.isTrue(Option.isNone(yield* kv.get("a")))
        assert.isTrue(Option.isSome(yield* kv.get("c")))
        assert.instanceOf(yield* Effect.flip(leases.revoke(id)), LeaseNotFound)
        assert.instanceOf(yield* Effect.flip(leases.keepAlive(id)), LeaseNotFound)
        assert.instanceOf(yield* Effect.flip(leases.timeToLive(id)), LeaseNotFound)
        assert.strictEqual((yield* Effect.flip(leases.grant(10)))._tag, "InvalidArgument")
      }))

    it.effect("live while their scope does, longer than their time, and no longer", () =>
      Effect.gen(function*() {
        const kv = yield* KeyValue
        const leases = yield* Leases
        const scope = yield* Scope.make()
        const lease = yield* Scope.provide(leases.scoped(3_000), scope)
        yield* kv.put("mine", "1", { lease: lease.id })
        const lost = yield* Effect.forkChild(lease.lost)
        yield* Effect.sleep(4_000)
        assert.isTrue(Option.isSome(yield* kv.get("mine")))
        assert.isUndefined(lost.pollUnsafe())
        yield* Scope.close(scope, Exit.void)
        assert.isTrue(Option.isNone(yield* kv.get("mine")))
      }))

    it.effect("tell their holder when they are revoked", () =>
      Effect.gen(function*() {
        const leases = yield* Leases
        const { id } = yield* leases.grant(1_000)
        yield* Effect.scoped(
          Effect.gen(function*() {
            const held = yield* leases.hold(id)
            yield* leases.revoke(id)
            const error = yield* Effect.flip(held.lost)
            assert.instanceOf(error, LeaseLost)
            assert.deepInclude(error, { lease: id, reason: "ended" })
          })
        )
      }))
  })
}

describe("a holder that is cut off", () => {
  it.effect("learns within the lease's time that it may be lost, and not before", () =>
    Effect.gen(function*() {
      const store = yield* FakeStore.make
      const node = new FakeNode(1)
      node.write = store.answer
      const context = yield* Layer.build(RemoteClient.layerConnect({ endpoints: [node.endpoint] }, connectTo([node])))
      yield* Effect.gen(function*() {
        const leases = yield* Leases
        const held = yield* leases.scoped(9_000)
        const lost = yield* Deferred.make<LeaseLost>()
        yield* Effect.forkScoped(Effect.flatMap(Effect.flip(held.lost), (error) => Deferred.succeed(lost, error)))
        yield* TestClock.adjust(30_000)
        assert.isFalse(yield* Deferred.isDone(lost))
        // The last keep-alive was answered at 30 s.
        node.write = () => Effect.never
        for (let ms = 30_000; ms < 38_900; ms += 100) yield* TestClock.adjust(100)
        assert.isFalse(yield* Deferred.isDone(lost))
        for (let ms = 38_900; ms < 39_200; ms += 100) yield* TestClock.adjust(100)
        assert.isTrue(yield* Deferred.isDone(lost))
        assert.deepInclude(yield* Deferred.await(lost), { reason: "unconfirmed" })
        node.write = store.answer
      }).pipe(Effect.provide(context))
    }))
})

it.effect("a lease that is given back is lost for what still goes on under it, and so is a lock and a leadership", () =>
  Effect.gen(function*() {
    const lock = yield* Effect.scoped((yield* Locks).acquire("lock"))
    const lease = yield* Effect.scoped((yield* Leases).scoped(60_000))
    const leadership = yield* (yield* Elections).campaign("election", "me")
    yield* leadership.resign
    assert.deepStrictEqual([yield* lock.remainingMs, yield* lease.remainingMs], [0, 0])
    for (const { lost } of [lock, lease, leadership]) {
      const error = yield* Effect.timeoutOption(Effect.flip(lost), 1_000)
      assert.deepInclude(Option.getOrThrow(error), { _tag: "LeaseLost", reason: "ended" })
    }
  }).pipe(Effect.provide(FlareDb.layerMemory)))

describe("a lease of the longest time", () => {
  it.effect("is revoked with its scope, which waits for an answer no longer than any operation", () =>
    Effect.gen(function*() {
      const store = yield* FakeStore.make
      const node = new FakeNode(1)
      node.write = store.answer
      const context = yield* Layer.build(RemoteClient.layerConnect({ endpoints: [node.endpoint] }, connectTo([node])))
      const leases = Context.get(context, Leases)
      const scope = yield* Scope.make()
      const { id } = yield* Scope.provide(leases.scoped(maxTtlMs), scope)
      yield* Scope.close(scope, Exit.void)
      assert.instanceOf(yield* Effect.flip(leases.revoke(id)), LeaseNotFound)

      const other = yield* Scope.make()
      yield* Scope.provide(leases.scoped(maxTtlMs), other)
      node.write = () => Effect.never
      const closing = yield* Effect.forkChild(Scope.close(other, Exit.void))
      for (let ms = 0; ms < 5_100; ms += 100) yield* TestClock.adjust(100)
      assert.isDefined(closing.pollUnsafe())
      node.write = store.answer
    }))
})
