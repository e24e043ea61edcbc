import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Exit, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import type { Elapsed } from "../../src/timer/RaftTimer.ts"
import { ManualTimer, RaftTimer, TickCounter } from "../../src/timer/RaftTimer.ts"
import { withWall } from "../WallClock.ts"

const tickMs = 100

/** An owner that takes the ticks that have passed at each alarm, and then sleeps for `sleepTicks`. */
const own = (layer: Layer.Layer<RaftTimer>, sleepTicks = () => 1) =>
  Effect.gen(function*() {
    const timer = Context.get(yield* Layer.build(Layer.fresh(layer)), RaftTimer)
    const taken: Array<Elapsed> = []
    const look = () => {
      const elapsed = timer.takeUnsafe()
      if (elapsed.ticks > 0) taken.push(elapsed)
      timer.sleepUnsafe(sleepTicks())
    }
    yield* timer.start(look)
    return { timer, look, taken, next: () => taken.splice(0) }
  })

const once = [{ ticks: 1, lateMs: 0 }]

/** A clock that has run on while the process stood still, as it does in a stall. */
const stalling = Effect.map(Clock.Clock, (clock) => {
  const late = { ms: 0 }
  const stalled: Clock.Clock = {
    ...clock,
    monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe() + BigInt(late.ms) * 1_000_000n,
    sleep: (duration) => clock.sleep(duration)
  }
  return { late, stalled }
})

describe("RaftTimer on the Effect clock", () => {
  it.effect("ticks when a period has passed, and not before", () =>
    Effect.gen(function*() {
      const owner = yield* own(RaftTimer.layer({ tickMs }))
      yield* TestClock.adjust(tickMs - 1)
      assert.deepStrictEqual(owner.next(), [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(owner.next(), once)
    }))

  it.effect("wakes its owner between ticks, once, and no earlier than it asked for", () =>
    Effect.gen(function*() {
      const timer = Context.get(yield* Layer.build(Layer.fresh(RaftTimer.layer({ tickMs }))), RaftTimer)
      let alarms = 0
      timer.wakeUnsafe?.(1)
      yield* TestClock.adjust(1)
      yield* timer.start(() => alarms += 1)
      timer.wakeUnsafe?.(5)
      timer.wakeUnsafe?.(0.5)
      timer.wakeUnsafe?.(5)
      assert.strictEqual(alarms, 0)
      yield* TestClock.adjust(1)
      assert.strictEqual(alarms, 1)
      yield* TestClock.adjust(20)
      assert.strictEqual(alarms, 1)
    }))

  it.effect("wakes nobody for what must not wait, where time may stand", () =>
    Effect.gen(function*() {
      const layer = RaftTimer.layer({ tickMs, stands: true })
      assert.isUndefined(Context.get(yield* Layer.build(Layer.fresh(layer)), RaftTimer).wakeUnsafe)
    }))

  it.effect("ticks once per period, for ever", () =>
    Effect.gen(function*() {
      const owner = yield* own(RaftTimer.layer({ tickMs }))
      for (let i = 0; i < 50; i++) yield* TestClock.adjust(tickMs)
      assert.deepStrictEqual(owner.next(), Array.from({ length: 50 }, () => once[0]))
    }))

  it.effect("lets ticks pass until the owner wants to know, and hands them over together", () =>
    Effect.gen(function*() {
      const owner = yield* own(RaftTimer.layer({ tickMs }), () => 7)
      yield* TestClock.adjust(tickMs)
      assert.deepStrictEqual(owner.next(), once)
      yield* TestClock.adjust(7 * tickMs - 1)
      assert.deepStrictEqual(owner.next(), [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(owner.next(), [{ ticks: 7, lateMs: 0 }])
    }))

  it.effect("hands over what has passed to an owner that has a turn before its alarm, and the rest at the alarm", () =>
    Effect.gen(function*() {
      const owner = yield* own(RaftTimer.layer({ tickMs }), () => 7)
      yield* TestClock.adjust(tickMs)
      owner.next()
      yield* TestClock.adjust(3 * tickMs + 40)
      owner.look()
      assert.deepStrictEqual(owner.next(), [{ ticks: 3, lateMs: 0 }])
      // The owner needs nothing for seven ticks from here on; the alarm that is set comes after four and tells no less.
      yield* TestClock.adjust(4 * tickMs - 40)
      assert.deepStrictEqual(owner.next(), [{ ticks: 4, lateMs: 0 }])
      yield* TestClock.adjust(7 * tickMs)
      assert.deepStrictEqual(owner.next(), [{ ticks: 7, lateMs: 0 }])
    }))

  it.effect("sleeps once for a whole wait of an owner that has turns meanwhile, not once for each turn", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      let sleeps = 0
      const counted: Clock.Clock = {
        ...clock,
        sleep: (duration) => {
          sleeps += 1
          return clock.sleep(duration)
        }
      }
      const owner = yield* own(RaftTimer.layer({ tickMs }), () => 40).pipe(Effect.provideService(Clock.Clock, counted))
      yield* TestClock.adjust(tickMs)
      sleeps = 0
      // A follower that hears its leader each five ticks for 80: its alarm goes off twice.
      for (let turn = 0; turn < 16; turn++) {
        yield* TestClock.adjust(5 * tickMs)
        owner.look()
      }
      assert.strictEqual(sleeps, 2)
      assert.strictEqual(owner.next().reduce((sum, { ticks }) => sum + ticks, 0), 81)
    }))

  it.effect("wakes the owner sooner when something makes that necessary", () => {
    let sleepTicks = 20
    return Effect.gen(function*() {
      const owner = yield* own(RaftTimer.layer({ tickMs }), () => sleepTicks)
      yield* TestClock.adjust(3 * tickMs)
      owner.look()
      owner.next()
      sleepTicks = 2
      owner.look()
      sleepTicks = 20
      yield* TestClock.adjust(2 * tickMs)
      assert.deepStrictEqual(owner.next(), [{ ticks: 2, lateMs: 0 }])
      yield* TestClock.adjust(20 * tickMs - 1)
      assert.deepStrictEqual(owner.next(), [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(owner.next(), [{ ticks: 20, lateMs: 0 }])
    })
  })

  it.effect("goes on ticking when the wall clock is set", () => {
    let setMs = 0
    return Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const wall = withWall(clock, () => clock.currentTimeMillisUnsafe() + setMs)
      const owner = yield* own(RaftTimer.layer({ tickMs })).pipe(Effect.provideService(Clock.Clock, wall))
      for (setMs of [-3_600_000, 0, 3_600_000]) {
        yield* TestClock.adjust(tickMs)
        assert.deepStrictEqual(owner.next(), once)
      }
    })
  })

  it.effect("says how late a tick is, and does not replay what a stall delayed", () =>
    Effect.gen(function*() {
      const { late, stalled } = yield* stalling
      const owner = yield* own(RaftTimer.layer({ tickMs })).pipe(Effect.provideService(Clock.Clock, stalled))
      yield* TestClock.adjust(0)
      late.ms = 730
      yield* TestClock.adjust(tickMs)
      assert.deepStrictEqual(owner.next(), [{ ticks: 1, lateMs: 730 }])
      yield* TestClock.adjust(tickMs - 1)
      assert.deepStrictEqual(owner.next(), [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(owner.next(), once)
    }))

  it.effect("counts a stall for no more ticks than the owner wanted to sleep", () =>
    Effect.gen(function*() {
      const { late, stalled } = yield* stalling
      const owner = yield* own(RaftTimer.layer({ tickMs }), () => 5).pipe(Effect.provideService(Clock.Clock, stalled))
      yield* TestClock.adjust(tickMs)
      owner.next()
      late.ms = 60_000
      // A message comes first: the socket has it, and so the owner has a turn before its alarm.
      owner.look()
      assert.deepStrictEqual(owner.next(), [{ ticks: 5, lateMs: 60_000 - 5 * tickMs }])
      yield* TestClock.adjust(5 * tickMs)
      assert.deepStrictEqual(owner.next(), [{ ticks: 5, lateMs: 0 }])
    }))

  it.effect("makes up for small delays, so that they do not add up", () =>
    Effect.gen(function*() {
      const { late, stalled } = yield* stalling
      const owner = yield* own(RaftTimer.layer({ tickMs })).pipe(Effect.provideService(Clock.Clock, stalled))
      yield* TestClock.adjust(0)
      late.ms = 30
      yield* TestClock.adjust(tickMs)
      assert.deepStrictEqual(owner.next(), [{ ticks: 1, lateMs: 30 }])
      yield* TestClock.adjust(tickMs - 30)
      assert.deepStrictEqual(owner.next(), once)
    }))

  it.effect("reads the time of that clock", () =>
    Effect.gen(function*() {
      const { timer } = yield* own(RaftTimer.layer({ tickMs }))
      const before = timer.nowMsUnsafe()
      yield* TestClock.adjust(12_345)
      assert.strictEqual(timer.nowMsUnsafe() - before, 12_345)
    }))

  it.effect("stops with its scope", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const owner = yield* Scope.provide(own(RaftTimer.layer({ tickMs })), scope)
      yield* TestClock.adjust(tickMs)
      assert.deepStrictEqual(owner.next(), once)
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust(5 * tickMs)
      assert.deepStrictEqual(owner.next(), [])
    }))
})

describe("a counter of ticks", () => {
  it("takes an alarm that goes off a moment early for what it is", () => {
    let nowMs = 0
    const counter = new TickCounter(10, () => nowMs)
    assert.strictEqual(counter.remainingMs(), 10)
    nowMs = 9.4
    counter.ring()
    assert.deepStrictEqual(counter.take(), { ticks: 1, lateMs: 0 })
    assert.strictEqual(counter.arm(1), 11)
  })

  it("counts nothing while no alarm is set: then nobody knows how much may be counted", () => {
    let nowMs = 0
    const counter = new TickCounter(10, () => nowMs)
    nowMs = 10
    assert.strictEqual(counter.take().ticks, 1)
    nowMs = 90
    assert.strictEqual(counter.take().ticks, 0)
    assert.strictEqual(counter.arm(3), 0)
    assert.deepStrictEqual(counter.take(), { ticks: 3, lateMs: 50 })
  })
})

describe("RaftTimer in a test's hand", () => {
  it.effect("ticks every node that uses it, until that node stops", () =>
    Effect.gen(function*() {
      const manual = new ManualTimer()
      const scope = yield* Scope.make()
      const first = yield* own(RaftTimer.layerManual(manual))
      const second = yield* Scope.provide(own(RaftTimer.layerManual(manual)), scope)
      manual.nowMs = 42
      manual.tick(7)
      assert.deepStrictEqual(first.next(), [{ ticks: 1, lateMs: 7 }])
      assert.deepStrictEqual(second.next(), [{ ticks: 1, lateMs: 7 }])
      assert.deepStrictEqual([first.timer.nowMsUnsafe(), second.timer.nowMsUnsafe()], [42, 42])
      yield* Scope.close(scope, Exit.void)
      manual.tick()
      assert.deepStrictEqual(first.next(), once)
      assert.deepStrictEqual(second.next(), [])
    }))
})

describe("RaftTimer that ticks once", () => {
  it.effect("is enough for a cluster of one to elect itself", () =>
    Effect.gen(function*() {
      const owner = yield* own(RaftTimer.layerOnce)
      assert.deepStrictEqual(owner.next(), once)
      yield* TestClock.adjust(100 * tickMs)
      assert.deepStrictEqual(owner.next(), [])
    }))
})
