/** A service that embeds FlareDB, tested on a node in memory: ten minutes pass when the test says so. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { TestClock } from "effect/testing"
import { FlareDb } from "flaredb"
import { Seats } from "../../../examples/embedding/Seats.ts"

layer(Seats.layer.pipe(Layer.provide(FlareDb.layerMemory)))("seats", (it) => {
  it.effect("are free again after ten minutes, unless they are paid for", () =>
    Effect.gen(function*() {
      const seats = yield* Seats
      assert.isTrue(yield* seats.hold("12", "ada"))
      assert.isTrue(yield* seats.hold("13", "ada"))
      assert.isFalse(yield* seats.hold("12", "bob"))
      assert.isTrue(yield* seats.pay("13", "ada"))

      yield* TestClock.adjust("9 minutes")
      assert.deepStrictEqual(yield* seats.ownerOf("12"), Option.some("ada"))

      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(yield* seats.ownerOf("12"), Option.none())
      assert.deepStrictEqual(yield* seats.ownerOf("13"), Option.some("ada"))
      assert.isFalse(yield* seats.pay("12", "ada"))
      assert.isTrue(yield* seats.hold("12", "bob"))
    }))
})
