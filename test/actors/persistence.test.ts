/** Effect's persistence on FlareDB in memory, and the suite on Effect's own memory store. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer } from "effect"
import { Persistence } from "effect/persistence"
import { layerBackingPersistence } from "../../src/actors/index.ts"
import { LongLived } from "../../src/actors/persistence/LongLived.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { Leases } from "../../src/client/Lease.ts"
import { eventually } from "../Eventually.ts"
import { persistenceCases } from "../../src/testing/index.ts"
import { memory, onMemory } from "./Stores.ts"

// They wait for the ends of values, each on a store of its own.
describe.concurrent("persistence in FlareDB", () => {
  onMemory((services) => persistenceCases({ layer: Layer.provide(layerBackingPersistence(), services) }))
})

describe.concurrent("Effect's memory store", () => {
  const cases = persistenceCases({ layer: Persistence.layerBackingMemory, shared: false, ownTime: false })
  for (const { effect, name } of cases) it.live(name, () => effect)
})

describe.concurrent("rows with a time to live", () => {
  it.live("share a lease, and are deleted by it", () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      yield* Effect.gen(function*() {
        const kv = yield* KeyValue
        const { list, revoke } = yield* Leases
        const store = yield* (yield* Persistence.BackingPersistence).make("rows")
        yield* Effect.forEach(
          Array.from({ length: 300 }),
          (_, i) => store.set(`key ${i}`, { i }, Duration.millis(60_000 + i)),
          { concurrency: 100 }
        )
        yield* store.set("long", {}, Duration.days(5))
        yield* store.set("longer", {}, Duration.days(400))
        assert.strictEqual(yield* kv.count("fx/p/"), 302)
        const leases = yield* list()
        assert.deepStrictEqual(leases.map(({ keys }) => keys), [300, 1])
        yield* store.set("short", {}, Duration.millis(600))
        assert.strictEqual(yield* kv.count("fx/p/"), 303)
        yield* eventually("nobody swept, and the row is gone", Effect.map(kv.count("fx/p/"), (keys) => keys === 302))

        // A lease that somebody revoked is no reason to fail.
        yield* store.set("other", {}, Duration.days(5))
        for (const { id } of yield* list()) yield* revoke(id)
        yield* store.set("other", { a: 1 }, Duration.days(5))
        assert.deepStrictEqual(yield* store.get("other"), { a: 1 })
      }).pipe(Effect.provide(Layer.provideMerge(layerBackingPersistence(), services)))
    })))

  it.live("are swept when no lease lives that long, unless they were written again", () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      yield* Effect.gen(function*() {
        const kv = yield* KeyValue
        const { list } = yield* Leases
        const store = yield* (yield* Persistence.BackingPersistence).make("rows")
        yield* Effect.forEach(
          Array.from({ length: 450 }),
          (_, i) => store.set(`key ${i}`, {}, Duration.days(7 + i)),
          { concurrency: 100 }
        )
        yield* store.set("key 5", { again: "for longer" }, Duration.days(400))
        yield* store.set("key 6", { again: "for ever" }, undefined)
        yield* store.set("key 7", { again: "for less" }, Duration.days(1))
        assert.deepStrictEqual((yield* list()).map(({ keys }) => keys), [1], "the others have no lease")
        const longLived = new LongLived(kv, "fx/")
        const nowMs = Date.now()
        const days = (count: number) => nowMs + Duration.toMillis(Duration.days(count))
        yield* longLived.sweep(days(6))
        assert.strictEqual(yield* kv.count("fx/p/"), 450)
        yield* longLived.sweep(days(307) - 3_600_000)
        assert.strictEqual(yield* kv.count("fx/p/"), 153, "150 of them, and three that were written again")
        assert.deepStrictEqual(
          yield* store.getMany(["key 4", "key 5", "key 6", "key 7", "key 299", "key 300"]),
          [undefined, { again: "for longer" }, { again: "for ever" }, { again: "for less" }, undefined, {}]
        )
        yield* longLived.sweep(days(1_000))
        assert.strictEqual(yield* kv.count("fx/p/"), 2)
        assert.strictEqual(yield* kv.count("fx/x/"), 0)
      }).pipe(Effect.provide(Layer.provideMerge(layerBackingPersistence(), services)))
    })))

  it.live("that another writer made are an error that says so", () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      yield* Effect.gen(function*() {
        const kv = yield* KeyValue
        const store = yield* (yield* Persistence.BackingPersistence).make("rows")
        yield* kv.put("fx/p/rows/=key", "no row")
        const error = yield* Effect.flip(store.get("key"))
        assert.strictEqual(error._tag, "PersistenceError")
        assert.match(error.message, /unable to get key of the store rows: the row is not of a known format/)
        assert.match((yield* Effect.flip(store.set("key", { self: BigInt(1) }, undefined))).message, /as JSON/)
      }).pipe(Effect.provide(Layer.provideMerge(layerBackingPersistence(), services)))
    })))
})
