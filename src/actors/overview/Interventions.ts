/**
 * What an operator changes: a message or a workflow is interrupted, all of an entity is forgotten. Each is what
 * Effect's own cluster would store, through the same storage of messages, so runners that are at work see it at once.
 */
import { Data, Effect, Layer, Stream } from "effect"
import { EntityAddress, EntityId, EntityType, ShardId, Snowflake } from "effect/cluster"
import type { Envelope, MessageStorage } from "effect/cluster"
import type { ReadFailure } from "../../client/KeyValue.ts"
import { HeldShards } from "../cluster/HeldShards.ts"
import { persistent } from "../cluster/Failures.ts"
import { addressOf } from "../cluster/MessageRows.ts"
import { makeEncoded } from "../cluster/MessageStorage.ts"
import { StoredMessages } from "../cluster/StoredMessages.ts"
import { entityRowOf } from "./QueuedMessage.ts"
import type { OverviewOptions, Reader } from "./Reader.ts"
import type { WorkflowState } from "./Workflows.ts"
import { clockType, interruptSignal, workflow } from "./Workflows.ts"

/** There is no such message, or it has its exit. */
export class NoSuchMessage extends Data.TaggedError("NoSuchMessage")<{ readonly id: string }> {
  override get message() {
    return `no message ${this.id} waits: it has its reply, was cleared, or never was`
  }
}

/** There is no such execution of a workflow. */
export class NoSuchWorkflow extends Data.TaggedError("NoSuchWorkflow")<{
  readonly name: string
  readonly execution: string
}> {
  override get message() {
    return `the workflow ${JSON.stringify(this.name)} has no execution ${JSON.stringify(this.execution)}; ` +
      "flaredb actors workflows lists them"
  }
}

/** The execution is done: there is nothing to interrupt. */
export class WorkflowFinished extends Data.TaggedError("WorkflowFinished")<{
  readonly name: string
  readonly execution: string
  readonly state: WorkflowState
}> {
  override get message() {
    return `the execution ${JSON.stringify(this.execution)} of the workflow ${JSON.stringify(this.name)} is done ` +
      `(${this.state}); nothing was changed`
  }
}

/** The storage of messages of a process that runs no entities. */
export const storage = (options: OverviewOptions) =>
  Effect.map(
    Effect.provide(makeEncoded(options), Layer.mergeAll(HeldShards.layer, Snowflake.layerGenerator)),
    ({ encoded }) => encoded
  )

const newId = Effect.map(Snowflake.Generator, (generator) => generator.nextUnsafe()).pipe(
  Effect.provide(Snowflake.layerGenerator)
)

const messageOf = ({ keys, kv, read }: Reader, id: string) => persistent(new StoredMessages(keys, kv, read).find(id))

/**
 * Has a message that waits, or is being handled, interrupted. A delayed one ends when it is due, handlers that are
 * uninterruptible go on, and one whose caller has an unacknowledged chunk is interrupted after the acknowledgement.
 * Repeating it does no harm.
 */
export const interruptMessage = Effect.fnUntraced(function*(
  reader: Reader,
  messages: MessageStorage.Encoded,
  id: string
) {
  const found = yield* messageOf(reader, id)
  if (found === undefined || found.finished !== undefined) return yield* new NoSuchMessage({ id })
  const address = addressOf(found.request)
  const envelope: Envelope.InterruptEncoded = {
    _tag: "Interrupt",
    id: String(yield* newId),
    address,
    requestId: id
  }
  yield* messages.saveEnvelope({ envelope, primaryKey: null, deliverAt: null })
  return address
})

/**
 * Asks for the interrupt of an execution, as `WorkflowEngine.interrupt` does: compensations run, and its activities are
 * not begun any more. Repeating it does no harm.
 */
export const interruptWorkflow = Effect.fnUntraced(function*(
  reader: Reader,
  messages: MessageStorage.Encoded,
  name: string,
  execution: string
) {
  const { run, view } = yield* workflow(reader, name, execution)
  const found = run === undefined ? undefined : yield* messageOf(reader, run)
  if (view === undefined || found === undefined) return yield* new NoSuchWorkflow({ name, execution })
  const address = addressOf(found.request)
  if (["succeeded", "failed", "interrupted"].includes(view.state)) {
    return yield* new WorkflowFinished({ name, execution, state: view.state })
  }
  const envelope: Envelope.PartialRequestEncoded = {
    _tag: "Request",
    requestId: String(yield* newId),
    address,
    tag: "deferred",
    payload: { name: interruptSignal, exit: { _tag: "Success", value: null } },
    headers: {}
  }
  yield* messages.saveEnvelope({
    envelope,
    primaryKey: `${address.entityType}/${address.entityId}/deferred/${interruptSignal}`,
    deliverAt: null
  })
  return view
})

/** What there is of an entity. */
export interface EntityContents {
  /** Requests that are kept, those that have their exit among them. */
  readonly messages: number
  /** Requests that have no exit. */
  readonly waiting: number
}

const concurrency = 64

/** The clock of a workflow's execution is an entity of its own. */
const typesOf = (type: string): ReadonlyArray<string> =>
  type.startsWith("Workflow/") && type !== clockType ? [type, clockType] : [type]

/** Counts what {@link clearEntity} would remove. */
export const entityContents = Effect.fnUntraced(function*(
  reader: Reader,
  type: string,
  id: string
): Effect.fn.Return<EntityContents, ReadFailure> {
  const { keys } = reader
  const ofType = (one: string) =>
    reader.rows(keys.entity(one, id)).pipe(
      Stream.mapEffect((row) => {
        const found = entityRowOf(row)
        return found === undefined
          ? Effect.succeed(0)
          : Effect.map(reader.get(keys.part(found.shard, found.id, "r")), ({ _tag }) => _tag === "Some" ? 1 : 0)
      }, { concurrency }),
      Stream.runFold(() => ({ messages: 0, waiting: 0 }), (sum, waits) => ({
        messages: sum.messages + 1,
        waiting: sum.waiting + waits
      }))
    )
  const all = yield* Effect.forEach(typesOf(type), ofType)
  return {
    messages: all.reduce((sum, { messages }) => sum + messages, 0),
    waiting: all.reduce((sum, { waiting }) => sum + waiting, 0)
  }
})

/**
 * Forgets an entity: its messages, their replies, and their primary keys, which may be used again. Of a workflow's
 * execution its clocks too. What is being handled goes on, and its reply is dropped. Repeating it does no harm.
 */
export const clearEntity = (messages: MessageStorage.Encoded, type: string, id: string) =>
  Effect.forEach(typesOf(type), (one) =>
    messages.clearAddress(EntityAddress.make({
      entityType: EntityType.make(one),
      entityId: EntityId.make(id),
      shardId: ShardId.make("default", 1)
    })), { discard: true })
