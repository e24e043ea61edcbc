/** Effect's key-value store on FlareDB in memory, and the suite on Effect's own memory store. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { KeyValueStore } from "effect/persistence"
import { layerKeyValueStore } from "../../src/actors/index.ts"
import { make as makeKeyValueStore } from "../../src/actors/persistence/KeyValueStore.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { keyValueStoreCases } from "../../src/testing/index.ts"
import { memory, onMemory } from "./Stores.ts"

describe("a key-value store in FlareDB", () => {
  onMemory((services) => keyValueStoreCases({ store: (name) => Layer.provide(layerKeyValueStore({ name }), services) }))
})

describe("Effect's memory store", () => {
  const cases = keyValueStoreCases({ store: () => KeyValueStore.layerMemory, shared: false })
  for (const { effect, name } of cases) it.live(name, () => effect)
})

describe("the suite", () => {
  it.live("finds a modify that is a get and a set", () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      const split = Layer.effect(
        KeyValueStore.KeyValueStore,
        Effect.map(KeyValueStore.KeyValueStore, ({ clear, get, getUint8Array, keys, remove, set, size }) =>
          KeyValueStore.make({ clear, get, getUint8Array, keys, remove, set, size }))
      )
      const cases = keyValueStoreCases({
        store: (name) =>
          split.pipe(Layer.provide(layerKeyValueStore({ name })), Layer.provide(services))
      })
      const race = cases.find(({ name }) =>
        name.startsWith("modify is one step")
      )!
      const exit = yield* Effect.exit(race.effect)
      assert.strictEqual(exit._tag, "Failure")
    })))
})

describe("what cannot be kept is refused with the reason:", () => {
  it.live("a key that is too long, a key that is no text, a row of another writer", () =>
    Effect.gen(function*() {
      const kv = yield* KeyValue
      const store = yield* KeyValueStore.KeyValueStore
      const long = yield* Effect.flip(store.set("k".repeat(5_000), "v"))
      assert.strictEqual(long._tag, "KeyValueStoreError")
      assert.strictEqual(long.method, "set")
      assert.match(long.message, /at most 4096/)
      assert.match((yield* Effect.flip(store.set("\ud800", "v"))).message, /surrogate/)
      assert.match((yield* Effect.flip(store.set("large", new Uint8Array(2 ** 20)))).message, /at most 1048576/)
      yield* kv.put("fx/kv/default/other", "no row")
      assert.match((yield* Effect.flip(store.get("other"))).message, /not written by a KeyValueStore/)
    }).pipe((test) =>
      Effect.scoped(
        Effect.flatMap(memory, (services) => Effect.provide(test, Layer.provideMerge(layerKeyValueStore(), services)))
      )
    ))
})

describe("modify", () => {
  it.live("takes one trip after its own write, and begins again when somebody else wrote since", () =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      const kv = yield* Effect.provide(KeyValue, services)
      const trips: Array<string> = []
      const told = <A, E, R>(trip: string, effect: Effect.Effect<A, E, R>) =>
        Effect.suspend(() => {
          trips.push(trip)
          return effect
        })
      const store = makeKeyValueStore({
        ...kv,
        transact: (txn, options) => told("one write", kv.transact(txn, options)),
        modify: (key, change, options) => told("a read and a write", kv.modify(key, change, options))
      })
      yield* store.set("count", "0")
      const add = store.modify("count", (count) => `${count}+`)
      for (let i = 0; i < 3; i++) yield* add
      assert.deepStrictEqual(trips, ["a read and a write", "one write", "one write"])
      yield* store.set("count", "1")
      assert.strictEqual(yield* add, "1+")
      assert.deepStrictEqual(trips.slice(3), ["one write", "a read and a write"])

      // Bytes that a caller goes on changing are not those that were stored.
      const bytes = Buffer.from([1])
      yield* store.set("bytes", bytes)
      yield* store.modifyUint8Array("bytes", () => bytes)
      bytes[0] = 9
      assert.deepStrictEqual(yield* store.modifyUint8Array("bytes", (now) => now), new Uint8Array([1]))
      yield* store.set("text", "")
      yield* store.modify("text", () => "\ud800")
      assert.strictEqual(yield* store.modify("text", (now) => now), "\ufffd")
      yield* store.remove("text")
      assert.isUndefined(yield* store.modify("text", (now) => now))
    })))
})
