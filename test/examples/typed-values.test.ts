/** The example of values with a Schema, on a node in memory. */
import { assert, layer } from "@effect/vitest"
import { DateTime, Effect, Option, Stream } from "effect"
import { FlareDb } from "flaredb"
import { KeyValue } from "flaredb/client"
import { Order, orders } from "../../examples/typed-values.ts"

const placed = DateTime.makeUnsafe("2026-11-29T12:00:00Z")

layer(FlareDb.layerMemory)("orders", (it) => {
  it.effect("come back as they were put, and in order", () =>
    Effect.gen(function*() {
      const [first, second] = [1, 2].map((cents) => Order.make({ customer: "ada", cents, placed, state: "open" }))
      yield* orders.put("a/1", first as Order)
      yield* orders.put("a/2", second as Order)
      assert.deepStrictEqual(yield* orders.get("a/1"), Option.some(first as Order))
      assert.deepStrictEqual(yield* orders.get("a/9"), Option.none())
      const text = Option.getOrThrow(yield* (yield* KeyValue).get("orders/a/1")).text
      assert.deepStrictEqual(
        JSON.parse(text),
        { customer: "ada", cents: 1, placed: "2026-11-29T12:00:00.000Z", state: "open" }
      )
      const all = yield* Stream.runCollect(orders.all)
      assert.deepStrictEqual(all.map(([id]) => id).filter((id) => id.startsWith("a/")), ["a/1", "a/2"])
    }))

  it.effect("are understood in their older form, and refused in a wrong one", () =>
    Effect.gen(function*() {
      const kv = yield* KeyValue
      const older = { customer: "ada", cents: 3, placed: "2026-01-01T00:00:00.000Z" }
      yield* kv.put("orders/b/1", JSON.stringify(older))
      assert.strictEqual(Option.getOrThrow(yield* orders.get("b/1")).state, "open")
      yield* kv.put("orders/b/2", JSON.stringify({ ...older, cents: -1 }))
      assert.strictEqual((yield* Effect.flip(orders.get("b/2")))._tag, "SchemaError")
      yield* kv.delete("orders/b/2")
    }))

  it.effect("are changed by many at once without a lost update", () =>
    Effect.gen(function*() {
      yield* orders.put("c", Order.make({ customer: "ada", cents: 0, placed, state: "open" }))
      const count = (order: Order) => Order.make({ ...order, cents: order.cents + 1 })
      yield* Effect.forEach(Array.from({ length: 20 }), () => orders.update("c", count), { concurrency: "unbounded" })
      assert.strictEqual(Option.getOrThrow(yield* orders.get("c")).cents, 20)
    }))
})
