/** By which clock messages become due: that of the nodes, and the log's while they do not say it. */
import { assert, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"
import { Unavailable } from "../../src/FlareDbError.ts"
import * as DueTime from "../../src/actors/DueTime.ts"
import { LogTime } from "../../src/actors/LogTime.ts"
import { ClusterAdmin } from "../../src/client/ClusterAdmin.ts"
import * as FlareDb from "../../src/FlareDb.ts"

const hour = 3_600_000

/** Clocks run apart, so an older reading counts as a little earlier. */
const isAbout = (actualMs: number, expectedMs: number) => assert.closeTo(actualMs, expectedMs, 20)

/** A cluster whose log is an hour behind the clocks of its nodes, which are `aheadMs` ahead of this process's. */
const world = Effect.fnUntraced(function*() {
  const clock = yield* Clock.Clock
  const admin = yield* Effect.provide(ClusterAdmin, FlareDb.layerMemory)
  const nodes = { aheadMs: 0, answer: true, asked: 0 }
  const now = () => clock.currentTimeMillisUnsafe()
  const dueTime = yield* DueTime.make(LogTime.of({ now: Effect.sync(() => now() - hour) })).pipe(
    Effect.provideService(
      ClusterAdmin,
      ClusterAdmin.of({
        ...admin,
        wallMs: Effect.suspend(() => {
          nodes.asked += 1
          return nodes.answer
            ? Effect.succeed(now() + nodes.aheadMs)
            : Effect.fail(new Unavailable({ reason: "no node knows" }))
        })
      })
    )
  )
  return { nodes, now, dueTime: dueTime.now }
})

it.effect("it is that of the nodes, not of the process and not of a log that stood still", () =>
  Effect.gen(function*() {
    const { dueTime, nodes, now } = yield* world()
    nodes.aheadMs = hour
    isAbout(yield* dueTime, now() + hour)
    yield* TestClock.adjust(60_000)
    isAbout(yield* dueTime, now() + hour)
  }).pipe(Effect.scoped))

it.effect("it is the log's while no node says it, and the nodes are asked again, but not for each message", () =>
  Effect.gen(function*() {
    const { dueTime, nodes, now } = yield* world()
    nodes.answer = false
    for (let i = 0; i < 10; i++) isAbout(yield* dueTime, now() - hour)
    assert.strictEqual(nodes.asked, 1)
    nodes.answer = true
    yield* TestClock.adjust(5_000)
    isAbout(yield* dueTime, now())
  }).pipe(Effect.scoped))

it.effect("it goes on while no node answers, and follows a clock that was set back", () =>
  Effect.gen(function*() {
    const { dueTime, nodes, now } = yield* world()
    isAbout(yield* dueTime, now())
    nodes.answer = false
    yield* TestClock.adjust(60_000)
    isAbout(yield* dueTime, now())
    nodes.answer = true
    nodes.aheadMs = -hour
    for (let i = 0; i < 3; i++) {
      yield* TestClock.adjust(5_000)
      yield* dueTime
      yield* Effect.yieldNow
    }
    isAbout(yield* dueTime, now() - hour)
  }).pipe(Effect.scoped))
