/** Workflows whose runner ends at some point and starts again over the same store. */
import { assert, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Exit, Fiber, Layer, Option, Schema, Scope } from "effect"
import { RunnerAddress, Runners, Sharding, ShardingConfig } from "effect/cluster"
import { TestClock } from "effect/testing"
import { Activity, DurableClock, DurableDeferred, Workflow } from "effect/workflow"
import { Actors, layerWorkflowEngine, MessageWork } from "../../src/actors/index.ts"
import type { ClusterAdmin } from "../../src/client/ClusterAdmin.ts"
import type { KeyValue } from "../../src/client/KeyValue.ts"
import type { Leases } from "../../src/client/Lease.ts"
import type { Watch } from "../../src/client/Watch.ts"

const Order = Workflow.make("Order", {
  payload: { id: Schema.String },
  success: Schema.String,
  error: Schema.String,
  idempotencyKey: ({ id }) => id
})

const paid = DurableDeferred.make("paid", { success: Schema.String })

/** Where a run of the workflow stops until its runner ends; what has run so far. */
interface World {
  stopAt: string | undefined
  readonly reached: Deferred.Deferred<void>
  readonly ran: Array<string>
}

const orders = (world: World) => {
  const point = (name: string) =>
    world.stopAt === name
      ? Effect.andThen(Deferred.succeed(world.reached, undefined), Effect.never)
      : Effect.void
  const step = (name: string) =>
    Activity.make({
      name,
      success: Schema.String,
      execute: Effect.suspend(() => {
        world.ran.push(name)
        return Effect.as(point(`in ${name}`), name)
      })
    })
  return Order.toLayer(({ id }) =>
    Effect.gen(function*() {
      yield* step("Reserve").pipe(Order.withCompensation(() => Effect.orDie(step("Release"))))
      yield* point("between")
      yield* step("Charge")
      yield* DurableClock.sleep({ name: "short", duration: "50 seconds" })
      const receipt = yield* DurableDeferred.await(paid)
      return id.startsWith("bad") ? yield* Effect.fail(receipt) : receipt
    })
  ).pipe(Layer.provideMerge(layerWorkflowEngine))
}

/** Lets the test's time pass until an effect is done. */
const whileTimePasses = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>, stepMs = 200) {
  const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
  while (fiber.pollUnsafe() === undefined) {
    yield* TestClock.adjust(stepMs)
    yield* TestClock.withLive(Effect.sleep(1))
  }
  return yield* Fiber.join(fiber)
})

/** A runner over a store, for as long as its scope lives. */
const start = Effect.fnUntraced(function*(
  store: Layer.Layer<KeyValue | Leases | Watch | ClusterAdmin>,
  program: ReturnType<typeof orders>
) {
  const scope = yield* Scope.make()
  const context = yield* whileTimePasses(Layer.buildWithScope(
    Layer.fresh(program.pipe(
      Layer.provideMerge(MessageWork.layerWake),
      Layer.provideMerge(Sharding.layer),
      Layer.provideMerge(Runners.layerNoop),
      Layer.provideMerge(Actors.layerStorage({ cluster: "restart" })),
      Layer.provide(ShardingConfig.layer({
        runnerAddress: Option.some(RunnerAddress.make("localhost", 1)),
        shardsPerGroup: 4,
        shardLockExpiration: "2 days",
        shardLockRefreshInterval: "1 hour",
        runnerHealthCheckInterval: "1 hour",
        refreshAssignmentsInterval: "1 minute",
        entityTerminationTimeout: 0
      })),
      Layer.provide(store)
    )),
    scope
  ))
  return { context, end: whileTimePasses(Scope.close(scope, Exit.void)) }
})

const store = Effect.map(
  Layer.build(Actors.layerMemory({ cluster: "store" })),
  (context) => Layer.succeedContext(context)
)

const settle = Effect.fnUntraced(function*(id: string) {
  const token = yield* DurableDeferred.tokenFromPayload(paid, { workflow: Order, payload: { id } })
  yield* DurableDeferred.succeed(paid, { token, value: "receipt" })
})

for (const stopAt of ["in Reserve", "between", "in Charge"]) {
  it.effect(`a workflow goes on when its runner ended ${stopAt}, and what has a result does not run again`, () =>
    Effect.gen(function*() {
      const services = yield* store
      const world: World = { stopAt, reached: yield* Deferred.make<void>(), ran: [] }
      const first = yield* start(services, orders(world))
      yield* Effect.provide(whileTimePasses(Order.execute({ id: "1" }, { discard: true })), first.context)
      yield* whileTimePasses(Deferred.await(world.reached))
      yield* first.end
      world.stopAt = undefined
      const next = yield* start(services, orders(world))
      yield* Effect.provide(settle("1"), next.context)
      const answer = yield* Effect.provide(whileTimePasses(Order.execute({ id: "1" })), next.context)
      assert.strictEqual(answer, "receipt")
      const times = (name: string) => world.ran.filter((ran) => ran === name).length
      assert.strictEqual(times("Reserve"), stopAt === "in Reserve" ? 2 : 1)
      assert.strictEqual(times("Charge"), stopAt === "in Charge" ? 2 : 1)
      yield* next.end
    }).pipe(Effect.scoped))
}

it.effect("a short sleep goes on where it was when its runner ended", () =>
  Effect.gen(function*() {
    const services = yield* store
    const world: World = { stopAt: undefined, reached: yield* Deferred.make<void>(), ran: [] }
    const first = yield* start(services, orders(world))
    yield* Effect.provide(whileTimePasses(Order.execute({ id: "1" }, { discard: true })), first.context)
    yield* Effect.provide(settle("1"), first.context)
    yield* whileTimePasses(Effect.repeat(Effect.sleep(100), { until: () => world.ran.includes("Charge") }))
    yield* whileTimePasses(Effect.sleep("40 seconds"), 1_000)
    yield* first.end
    const next = yield* start(services, orders(world))
    const startedMs = yield* Clock.currentTimeMillis
    assert.strictEqual(yield* Effect.provide(whileTimePasses(Order.execute({ id: "1" })), next.context), "receipt")
    // The test's time. From its beginning the sleep would take fifty seconds.
    assert.isBelow((yield* Clock.currentTimeMillis) - startedMs, 45_000)
    yield* next.end
  }).pipe(Effect.scoped))

it.effect("a workflow that waits for a deferred goes on when it is settled after its runner ended, and compensates", () =>
  Effect.gen(function*() {
    const services = yield* store
    const world: World = { stopAt: undefined, reached: yield* Deferred.make<void>(), ran: [] }
    const first = yield* start(services, orders(world))
    yield* Effect.provide(whileTimePasses(Order.execute({ id: "bad" }, { discard: true })), first.context)
    yield* whileTimePasses(Effect.repeat(Effect.sleep(100), { until: () => world.ran.includes("Charge") }))
    yield* whileTimePasses(Effect.sleep("1 minute"), 1_000)
    // At the moment at which it is settled the runner ends.
    yield* Effect.provide(settle("bad"), first.context)
    yield* first.end
    const next = yield* start(services, orders(world))
    const failed = yield* Effect.provide(whileTimePasses(Effect.flip(Order.execute({ id: "bad" }))), next.context)
    assert.strictEqual(failed, "receipt")
    assert.deepStrictEqual(
      ["Reserve", "Charge", "Release"].map((name) => world.ran.filter((ran) => ran === name).length),
      [1, 1, 1]
    )
    yield* next.end
  }).pipe(Effect.scoped))
