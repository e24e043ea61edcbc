/** The seats of the example on three nodes in memory, which lose their leader. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Option, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Watch } from "flaredb/client"
import { TestCluster } from "flaredb/testing"
import { Seats } from "../../../examples/embedding/Seats.ts"

it.effect("are held and paid for also when the leader is lost in between", () =>
  Effect.gen(function*() {
    const cluster = yield* TestCluster.make({ voters: 3, passTime: TestClock.adjust(10) })
    yield* cluster.whileTimePasses(
      Effect.gen(function*() {
        const seats = yield* Seats
        const watch = yield* Watch
        assert.isTrue(yield* seats.hold("12", "ada"))
        yield* (yield* cluster.leader()).crash
        assert.isFalse(yield* seats.hold("12", "bob"))
        assert.isTrue(yield* seats.pay("12", "ada"))
        assert.deepStrictEqual(yield* seats.ownerOf("12"), Option.some("ada"))
        const [listed] = yield* Stream.runCollect(Stream.take(watch.mirror("seats/"), 1))
        assert.strictEqual(listed?._tag, "Listed")
      }).pipe(Effect.provide(Layer.provideMerge(Seats.layer, cluster.client)))
    )
  }))
