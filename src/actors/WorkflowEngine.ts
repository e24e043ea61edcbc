/**
 * Effect's cluster workflow engine, with short sleeps that last across crashes, and compensations that stand an
 * interrupt.
 *
 * `DurableClock.sleep` of up to a minute is an activity that waits in memory. With Effect's engine, a runner that takes
 * over starts that wait from its beginning: a workflow whose runners restart more often than that never goes on. With
 * this one it waits for what is left since the sleep was first asked for, which the id of its stored request says.
 *
 * @module
 */
import { Cause, Clock, Context, Duration, Effect, Layer, Scope } from "effect"
import type { MessageStorage, Sharding } from "effect/cluster"
import {
  ClusterSchema,
  ClusterWorkflowEngine,
  EntityAddress,
  EntityId,
  EntityType,
  MessageStorage as Messages,
  Sharding as Shards,
  Snowflake
} from "effect/cluster"
import type { Activity } from "effect/workflow"
import { WorkflowEngine } from "effect/workflow"

/** How the names of the activities begin that `DurableClock.sleep` makes. */
const sleepName = "DurableClock/"

const make = Effect.gen(function*() {
  const inner = yield* WorkflowEngine.WorkflowEngine
  const sharding = yield* Shards.Sharding
  const storage = yield* Messages.MessageStorage

  /** When an activity was first asked for, in milliseconds. */
  const askedAt = Effect.fnUntraced(function*(
    { executionId, workflow }: WorkflowEngine.WorkflowInstance["Service"],
    name: string,
    attempt: number
  ) {
    const entityId = EntityId.make(executionId)
    const group = Context.get(workflow.annotations, ClusterSchema.ShardGroup)(entityId)
    const found = yield* storage.requestIdForPrimaryKey({
      address: EntityAddress.make({
        entityType: EntityType.make(`Workflow/${workflow._tag}`),
        entityId,
        shardId: sharding.getShardId(entityId, group)
      }),
      tag: "activity",
      id: `${name}/${attempt}`
    })
    return found._tag === "None" ? undefined : Snowflake.timestamp(found.value)
  }, Effect.orDie)

  const engine: WorkflowEngine.WorkflowEngine["Service"] = {
    ...inner,
    register: (workflow, execute) =>
      inner.register(
        workflow,
        (payload, executionId) =>
          Effect.provideService(
            compensating(execute(payload, executionId)),
            WorkflowEngine.WorkflowEngine,
            engine
          )
      ),
    activityExecute: (activity, attempt) =>
      activity.name.startsWith(sleepName)
        ? Effect.flatMap(WorkflowEngine.WorkflowInstance, (instance) =>
          inner.activityExecute(
            sleepsFrom(activity, Effect.suspend(() => askedAt(instance, activity.name, attempt))),
            attempt
          ))
        : inner.activityExecute(activity, attempt)
  }
  return engine
})

/**
 * A run that has failed compensates as one does that is interrupted. Without that Effect begins it again, and again, at
 * the next activity of a compensation during which it is interrupted.
 */
const compensating = <A, E, R>(run: Effect.Effect<A, E, R>) =>
  Effect.onError(run, (cause) =>
    Cause.hasInterruptsOnly(cause)
      ? Effect.void
      // The finalizer that is added last comes first, before the compensations.
      : Effect.flatMap(WorkflowEngine.WorkflowInstance, (instance) =>
        Scope.addFinalizer(
          instance.scope,
          Effect.sync(() => {
            instance.interrupted = true
          })
        )))

/** The activity, with sleeps that count from the time at which it was first asked for. */
const sleepsFrom = <A extends Activity.Any>(activity: A, asked: Effect.Effect<number | undefined>): A => ({
  ...activity,
  executeEncoded: Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const askedMs = yield* asked
    if (askedMs === undefined) return yield* activity.executeEncoded
    const passedMs = Math.max(0, (yield* Clock.currentTimeMillis) - askedMs)
    return yield* Effect.provideService(activity.executeEncoded, Clock.Clock, shortened(clock, passedMs))
  })
})

/** A clock whose sleeps are shorter by what has passed of them. */
const shortened = (clock: Clock.Clock, passedMs: number): Clock.Clock => ({
  currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
  currentTimeMillis: clock.currentTimeMillis,
  currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
  currentTimeNanos: clock.currentTimeNanos,
  monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
  monotonicTimeNanos: clock.monotonicTimeNanos,
  sleep: (duration) => clock.sleep(Duration.subtract(duration, Duration.millis(passedMs)))
})

/**
 * Effect's engine for workflows in a cluster; in place of `ClusterWorkflowEngine.layer`.
 *
 * **When to use**
 *
 * With every runner that has workflows.
 */
export const layer: Layer.Layer<
  WorkflowEngine.WorkflowEngine,
  never,
  Sharding.Sharding | MessageStorage.MessageStorage
> = Layer.provide(Layer.effect(WorkflowEngine.WorkflowEngine, make), ClusterWorkflowEngine.layer)
