/** What is told of workflows and cron singletons, and a workflow that is interrupted from outside. */
import { assert, it } from "@effect/vitest"
import { Cron, Effect, Exit, Layer, Schema, Stream } from "effect"
import { ClusterCron, ClusterWorkflowEngine } from "effect/cluster"
import { Activity, DurableClock, DurableDeferred, Workflow } from "effect/workflow"
import { NoSuchWorkflow, Overview, WorkflowFinished } from "../../../src/actors/index.ts"
import { eventually } from "../../Eventually.ts"
import { layerRunner } from "./Runner.ts"

const Order = Workflow.make("Order", {
  payload: { id: Schema.String },
  success: Schema.String,
  error: Schema.String,
  idempotencyKey: ({ id }) => id
})

const Paid = DurableDeferred.make("Paid")

const compensated: Array<string> = []

const OrderLive = Order.toLayer(Effect.fnUntraced(function*({ id }) {
  yield* Activity.make({ name: "Reserve", execute: Effect.void }).pipe(
    Order.withCompensation(() => Effect.sync(() => compensated.push(id)))
  )
  if (id === "sleeps") yield* DurableClock.sleep({ name: "night", duration: "8 hours", inMemoryThreshold: 0 })
  if (id === "waits") yield* DurableDeferred.await(Paid)
  if (id === "fails") return yield* Effect.fail("no stock")
  return id
}))

const layer = Layer.mergeAll(
  OrderLive,
  ClusterCron.make({ name: "Report/daily", cron: Cron.parseUnsafe("0 3 * * *"), execute: Effect.void })
).pipe(
  Layer.provideMerge(Overview.layer()),
  Layer.provideMerge(ClusterWorkflowEngine.layer),
  Layer.provideMerge(layerRunner)
)

it.live("a workflow's state is told, and it ends when it is interrupted from outside", () =>
  Effect.gen(function*() {
    const overview = yield* Overview
    const all = Effect.map(
      Stream.runCollect(overview.workflows()),
      (found) => [...found].sort((a, b) => a.startedMs - b.startedMs)
    )
    const executions: Record<string, string> = {}
    for (const id of ["done", "fails", "sleeps", "waits"]) {
      executions[id] = yield* Order.execute({ id }, { discard: true })
      yield* eventually(`${id} was begun`, Effect.map(all, (found) => found.length === Object.keys(executions).length))
    }
    const states = Effect.map(all, (found) => found.map(({ state }) => state).join())
    yield* eventually("all have got on", Effect.map(states, (now) => now === "succeeded,failed,sleeping,suspended"))
    const [done, fails, sleeps, waits] = yield* all
    assert.deepInclude(done, { name: "Order", execution: executions["done"] ?? "", activities: 1, reason: undefined })
    assert.match(fails?.reason ?? "", /no stock/)
    assert.isAtMost(Math.abs((sleeps?.wakesMs ?? 0) - Date.now() - 8 * 3_600_000), 600_000)
    assert.deepInclude(waits, { interrupting: false, wakesMs: undefined })
    assert.lengthOf(yield* Stream.runCollect(overview.workflows({ name: "Other" })), 0)

    assert.deepStrictEqual(compensated, ["fails"])
    for (const id of ["sleeps", "waits"]) yield* overview.interruptWorkflow("Order", executions[id] ?? "")
    yield* eventually("both are interrupted", Effect.map(states, (now) => now.endsWith("interrupted,interrupted")))
    assert.deepStrictEqual([...compensated].sort(), ["fails", "sleeps", "waits"])
    const polled = yield* Order.poll(executions["waits"] ?? "")
    assert.isTrue(polled._tag === "Some" && polled.value._tag === "Complete" && Exit.hasInterrupts(polled.value.exit))
    assert.instanceOf(
      yield* Effect.flip(overview.interruptWorkflow("Order", executions["waits"] ?? "")),
      WorkflowFinished
    )
    assert.instanceOf(yield* Effect.flip(overview.interruptWorkflow("Order", "none")), NoSuchWorkflow)
    yield* overview.clear("Workflow/Order", executions["waits"] ?? "")
    assert.lengthOf(yield* all, 3)

    const [job, ...others] = yield* Stream.runCollect(overview.cronJobs)
    assert.deepStrictEqual(others, [])
    assert.deepInclude(job, { name: "Report/daily", runner: "localhost:34431", lastSentMs: undefined })
    assert.isAbove(job?.nextMs ?? 0, Date.now())
  }).pipe(Effect.provide(layer)))
