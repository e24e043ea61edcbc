/**
 * To see what actors keep, and to change it by hand: what `flaredb actors …` and the status page are made of. It reads
 * the rows of runners, messages and queues from outside; what only a runner has in memory is not here.
 */
import { Clock, Context, Effect, Layer, Option, Stream } from "effect"
import type { ClusterError } from "effect/cluster"
import { ClusterAdmin } from "../../client/ClusterAdmin.ts"
import type { ReadFailure, WriteFailure } from "../../client/KeyValue.ts"
import { KeyValue } from "../../client/KeyValue.ts"
import { Leases } from "../../client/Lease.ts"
import type { Watch } from "../../client/Watch.ts"
import * as LogTime from "../LogTime.ts"
import { PlaceSequence } from "../persistence/queue/Places.ts"
import type { OtherQueueLayout } from "../persistence/queue/QueueLayout.ts"
import type { CronJobView } from "./CronJobs.ts"
import { cronJobs } from "./CronJobs.ts"
import type { Changed, DeadLetter, DeadLetterNotFound } from "./DeadLetters.ts"
import {
  deadLetter,
  deadLetters,
  dropDeadLetter,
  dropDeadLetters,
  retryDeadLetter,
  retryDeadLetters
} from "./DeadLetters.ts"
import type { EntitiesOptions, EntitiesView } from "./Entities.ts"
import { entities } from "./Entities.ts"
import type { MessageView } from "./EntityMessages.ts"
import { messages } from "./EntityMessages.ts"
import type { EntityContents, NoSuchMessage, NoSuchWorkflow, WorkflowFinished } from "./Interventions.ts"
import { clearEntity, entityContents, interruptMessage, interruptWorkflow, storage } from "./Interventions.ts"
import type { QueuesOptions, QueueView } from "./Queues.ts"
import { queues } from "./Queues.ts"
import type { OverviewOptions } from "./Reader.ts"
import { Reader } from "./Reader.ts"
import type { RunnerView, ShardsOptions, ShardView } from "./Runners.ts"
import { runners, shards } from "./Runners.ts"
import type { Summary } from "./Summary.ts"
import { summary } from "./Summary.ts"
import type { WorkflowsOptions, WorkflowView } from "./Workflows.ts"
import { workflows } from "./Workflows.ts"

export type { CronJobView } from "./CronJobs.ts"
export type { Changed, DeadLetter } from "./DeadLetters.ts"
export { DeadLetterNotFound } from "./DeadLetters.ts"
export type { EntitiesOptions, EntitiesView, EntityView } from "./Entities.ts"
export type { MessageView } from "./EntityMessages.ts"
export type { EntityContents } from "./Interventions.ts"
export { NoSuchMessage, NoSuchWorkflow, WorkflowFinished } from "./Interventions.ts"
export type { QueuesOptions, QueueView } from "./Queues.ts"
export type { Budget, OverviewOptions } from "./Reader.ts"
export type { RunnerView, ShardsOptions, ShardView } from "./Runners.ts"
export type { Count, QueueSummary, Summary } from "./Summary.ts"
export type { WorkflowsOptions, WorkflowState, WorkflowView } from "./Workflows.ts"

/** Why a dead letter is not changed. */
export type QueueFailure = ReadFailure | WriteFailure | OtherQueueLayout | LogTime.LogTimeFailure

/**
 * What is kept of a cluster of runners and of the queues of its prefix. Lists are streams that read a page at a
 * time. How long something waits is judged by this process's clock where times are given from outside, and in queues by
 * the cluster's, for which they write to a key; without the right to, by the clocks of most nodes, where there is a
 * `ClusterAdmin`.
 *
 * **When to use**
 *
 * In tools and pages of one's own; `flaredb actors` and the status page are made of it.
 *
 * **Details**
 *
 * It reads at most what its options allow, and says what it left out.
 */
export class Overview extends Context.Service<Overview, {
  /** Runners that are registered or hold locks. */
  readonly runners: Effect.Effect<ReadonlyArray<RunnerView>, ReadFailure>
  /** Shards with their owners and how many messages wait. */
  readonly shards: (options?: ShardsOptions) => Effect.Effect<ReadonlyArray<ShardView>, ReadFailure>
  /** Entities with messages that wait. */
  readonly entities: (options?: EntitiesOptions) => Effect.Effect<EntitiesView, ReadFailure>
  /** Messages of one entity that wait. */
  readonly messages: (type: string, id: string) => Stream.Stream<MessageView, ReadFailure>
  /** Persisted queues with their counts. */
  readonly queues: (options?: QueuesOptions) => Effect.Effect<ReadonlyArray<QueueView>, ReadFailure>
  /** Elements of a queue that failed for good, the oldest first. */
  readonly deadLetters: (queue: string) => Stream.Stream<DeadLetter, ReadFailure>
  /** The dead letter of an id. */
  readonly deadLetter: (queue: string, id: string) => Effect.Effect<DeadLetter, ReadFailure | DeadLetterNotFound>
  /** Puts a dead letter back into its queue; `false` when another one has changed it meanwhile. */
  readonly retry: (queue: string, letter: DeadLetter) => Effect.Effect<boolean, QueueFailure>
  /**
   * Puts all dead letters of a queue back that there are when it begins. `progress` is called after each: when this
   * fails, it has reported the ones that are done.
   */
  readonly retryAll: (
    queue: string,
    progress?: (so: Changed) => void
  ) => Effect.Effect<Changed, QueueFailure>
  /** Removes all dead letters of a queue that there are when it begins, with their ids. */
  readonly dropAll: (
    queue: string,
    progress?: (so: Changed) => void
  ) => Effect.Effect<Changed, QueueFailure>
  /** Removes a dead letter and its id; `false` when another one has changed it meanwhile. */
  readonly drop: (letter: DeadLetter) => Effect.Effect<boolean, QueueFailure>
  /** Executions of workflows. */
  readonly workflows: (options?: WorkflowsOptions) => Stream.Stream<WorkflowView, ReadFailure>
  /** Cron singletons. */
  readonly cronJobs: Stream.Stream<CronJobView, ReadFailure>
  /** Has a message interrupted that has no exit. */
  readonly interruptMessage: (
    id: string
  ) => Effect.Effect<void, NoSuchMessage | ReadFailure | ClusterError.PersistenceError>
  /** Has an execution of a workflow interrupted, with its compensations. */
  readonly interruptWorkflow: (
    name: string,
    execution: string
  ) => Effect.Effect<void, NoSuchWorkflow | WorkflowFinished | ReadFailure | ClusterError.PersistenceError>
  /** Counts the messages that `clear` would remove. */
  readonly contents: (type: string, id: string) => Effect.Effect<EntityContents, ReadFailure>
  /** Forgets all messages of an entity, with their primary keys. */
  readonly clear: (type: string, id: string) => Effect.Effect<void, ClusterError.PersistenceError>
  /** A few figures, for which a bounded number of keys is read. */
  readonly summary: Effect.Effect<Summary, ReadFailure>
}>()("flaredb/actors/Overview") {
  /** The overview of a cluster of runners, and of the queues of a prefix. */
  static readonly layer = (
    options: OverviewOptions = {}
  ): Layer.Layer<Overview, never, KeyValue | Leases | Watch> =>
    Layer.effect(
      Overview,
      Effect.gen(function*() {
        const reader = new Reader(yield* KeyValue, yield* Leases, options)
        const stored = yield* storage(options)
        const placing = { now: (yield* LogTime.make(reader.keys.clock)).now, places: new PlaceSequence() }
        const now = Clock.currentTimeMillis
        // Asking for the time of the log, by which elements have their places, is a write. Who may only read, or reads
        // what one node knows, goes by the clocks of most nodes, and by the own one where no node tells them.
        const admin = yield* Effect.serviceOption(ClusterAdmin)
        const wallNow = Option.isNone(admin) ? now : Effect.catch(admin.value.wallMs, () => now)
        const clusterNow = reader.read.consistency === "stale" ? wallNow : Effect.catch(placing.now, () => wallNow)
        return Overview.of({
          runners: Effect.suspend(() => runners(reader)),
          shards: (shardOptions) => shards(reader, shardOptions),
          entities: (entityOptions) => Effect.flatMap(now, (nowMs) => entities(reader, nowMs, entityOptions)),
          messages: (type, id) => Stream.unwrap(Effect.map(now, (nowMs) => messages(reader, nowMs, type, id))),
          queues: (queueOptions) => queues(reader, clusterNow, queueOptions),
          deadLetters: (queue) => deadLetters(reader, queue),
          deadLetter: (queue, id) => deadLetter(reader, queue, id),
          retry: (queue, letter) => retryDeadLetter(reader, placing, queue, letter),
          retryAll: (queue, progress) => retryDeadLetters(reader, placing, queue, progress),
          dropAll: (queue, progress) => dropDeadLetters(reader, queue, progress),
          drop: (letter) => dropDeadLetter(reader, letter),
          workflows: (workflowOptions) => workflows(reader, workflowOptions),
          cronJobs: cronJobs(reader),
          interruptMessage: (id) => Effect.asVoid(interruptMessage(reader, stored, id)),
          interruptWorkflow: (name, execution) => Effect.asVoid(interruptWorkflow(reader, stored, name, execution)),
          contents: (type, id) => entityContents(reader, type, id),
          clear: (type, id) => clearEntity(stored, type, id),
          summary: Effect.suspend(() => summary(reader))
        })
      })
    )
}
