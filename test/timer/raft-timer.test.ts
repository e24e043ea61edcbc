import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Exit, Layer, Queue, Scope } from "effect"
import { TestClock } from "effect/testing"
import type { TimerTick } from "../../src/timer/RaftTimer.ts"
import { ManualTimer, RaftTimer } from "../../src/timer/RaftTimer.ts"

const tickMs = 100

const build = (layer: Layer.Layer<RaftTimer>) =>
  Effect.map(Layer.build(Layer.fresh(layer)), (context) => Context.get(context, RaftTimer))

/** What waits, without waiting. */
const waiting = (timer: RaftTimer["Service"]): Effect.Effect<ReadonlyArray<TimerTick>> =>
  Effect.suspend((): Effect.Effect<ReadonlyArray<TimerTick>> =>
    Queue.sizeUnsafe(timer.ticks) === 0 ? Effect.succeed([]) : Queue.takeAll(timer.ticks)
  )

describe("RaftTimer on the Effect clock", () => {
  it.effect("ticks when a period has passed, and not before", () =>
    Effect.gen(function*() {
      const timer = yield* build(RaftTimer.layer({ tickMs }))
      yield* TestClock.adjust(tickMs - 1)
      assert.deepStrictEqual(yield* waiting(timer), [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* waiting(timer), [{ lateMs: 0 }])
    }))

  it.effect("ticks once per period, for ever", () =>
    Effect.gen(function*() {
      const timer = yield* build(RaftTimer.layer({ tickMs }))
      let count = 0
      for (let i = 0; i < 50; i++) {
        yield* TestClock.adjust(tickMs)
        count += (yield* waiting(timer)).length
      }
      assert.strictEqual(count, 50)
    }))

  it.effect("keeps one tick at most for an owner that does not look", () =>
    Effect.gen(function*() {
      const timer = yield* build(RaftTimer.layer({ tickMs }))
      yield* TestClock.adjust(10 * tickMs)
      assert.strictEqual((yield* waiting(timer)).length, 1)
    }))

  it.effect("goes on ticking when the wall clock is set", () => {
    let setMs = 0
    return Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const wall: Clock.Clock = { ...clock, currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + setMs }
      const timer = yield* build(RaftTimer.layer({ tickMs })).pipe(Effect.provideService(Clock.Clock, wall))
      for (setMs of [-3_600_000, 0, 3_600_000]) {
        yield* TestClock.adjust(tickMs)
        assert.deepStrictEqual(yield* waiting(timer), [{ lateMs: 0 }])
      }
    })
  })

  it.effect("says how late a tick is, and does not replay what a stall delayed", () => {
    // A clock that jumps while the process stands still, as it does in a stall.
    let stalledMs = 0
    return Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const late: Clock.Clock = {
        ...clock,
        monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe() + BigInt(stalledMs) * 1_000_000n,
        sleep: (duration) => clock.sleep(duration)
      }
      const timer = yield* build(RaftTimer.layer({ tickMs })).pipe(Effect.provideService(Clock.Clock, late))
      yield* TestClock.adjust(0)
      stalledMs = 730
      yield* TestClock.adjust(tickMs)
      assert.deepStrictEqual(yield* waiting(timer), [{ lateMs: 730 }])
      yield* TestClock.adjust(tickMs - 1)
      assert.deepStrictEqual(yield* waiting(timer), [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* waiting(timer), [{ lateMs: 0 }])
    })
  })

  it.effect("makes up for small delays, so that they do not add up", () => {
    let stalledMs = 0
    return Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const late: Clock.Clock = {
        ...clock,
        monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe() + BigInt(stalledMs) * 1_000_000n,
        sleep: (duration) => clock.sleep(duration)
      }
      const timer = yield* build(RaftTimer.layer({ tickMs })).pipe(Effect.provideService(Clock.Clock, late))
      yield* TestClock.adjust(0)
      stalledMs = 30
      yield* TestClock.adjust(tickMs)
      assert.deepStrictEqual(yield* waiting(timer), [{ lateMs: 30 }])
      yield* TestClock.adjust(tickMs - 30)
      assert.deepStrictEqual(yield* waiting(timer), [{ lateMs: 0 }])
    })
  })

  it.effect("reads the time of that clock", () =>
    Effect.gen(function*() {
      const timer = yield* build(RaftTimer.layer({ tickMs }))
      const before = timer.nowMsUnsafe()
      yield* TestClock.adjust(12_345)
      assert.strictEqual(timer.nowMsUnsafe() - before, 12_345)
    }))

  it.effect("stops with its scope", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const timer = yield* Scope.provide(build(RaftTimer.layer({ tickMs })), scope)
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust(5 * tickMs)
      assert.strictEqual(Queue.sizeUnsafe(timer.ticks), 0)
    }))
})

describe("RaftTimer in a test's hand", () => {
  it.effect("ticks every node that uses it, until that node stops", () =>
    Effect.gen(function*() {
      const manual = new ManualTimer()
      const scope = yield* Scope.make()
      const first = yield* build(RaftTimer.layerManual(manual))
      const second = yield* Scope.provide(build(RaftTimer.layerManual(manual)), scope)
      manual.nowMs = 42
      manual.tick(7)
      assert.deepStrictEqual(yield* waiting(first), [{ lateMs: 7 }])
      assert.deepStrictEqual(yield* waiting(second), [{ lateMs: 7 }])
      assert.deepStrictEqual([first.nowMsUnsafe(), second.nowMsUnsafe()], [42, 42])
      yield* Scope.close(scope, Exit.void)
      manual.tick()
      assert.deepStrictEqual(yield* waiting(first), [{ lateMs: 0 }])
      assert.deepStrictEqual(yield* waiting(second), [])
    }))
})

describe("RaftTimer that ticks once", () => {
  it.effect("is enough for a cluster of one to elect itself", () =>
    Effect.gen(function*() {
      const timer = yield* build(RaftTimer.layerOnce)
      assert.deepStrictEqual(yield* waiting(timer), [{ lateMs: 0 }])
      yield* TestClock.adjust(100 * tickMs)
      assert.deepStrictEqual(yield* waiting(timer), [])
    }))
})
