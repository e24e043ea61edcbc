/**
 * The entity of a chaos run. Each of its messages is to take effect once: a row of its own, which says who wrote it, and
 * the entity's count. Both are committed with the reply, in one transaction.
 */
import { Context, DateTime, Effect, Option, PrimaryKey, Schema } from "effect"
import { ClusterSchema, DeliverAt, Entity } from "effect/cluster"
import { Rpc } from "effect/rpc"
import { addToTransaction } from "../../../src/actors/index.ts"
import { Compare, KeyValue, Op } from "../../../src/client/index.ts"

/** Before the keys of the entity itself. */
export const tallyPrefix = "tally/"
export const effectsPrefix = `${tallyPrefix}effect/`
export const countsPrefix = `${tallyPrefix}count/`
export const holdersPrefix = `${tallyPrefix}holder/`

export const effectKey = (entity: string, id: string): string => `${effectsPrefix}${entity}/${id}`

/** What the row of an effect says. */
export interface EffectRow {
  /** The runner's process. */
  readonly by: string
  readonly shard: string
}

class Message extends Schema.Class<Message>("Message")({ id: Schema.String }) {
  [PrimaryKey.symbol]() {
    return this.id
  }
}

class MessageTo extends Schema.Class<MessageTo>("MessageTo")({ id: Schema.String, to: Schema.String }) {
  [PrimaryKey.symbol]() {
    return this.id
  }
}

class Due extends Schema.Class<Due>("Due")({ id: Schema.String, atMs: Schema.Number }) {
  [PrimaryKey.symbol]() {
    return this.id
  }
  [DeliverAt.symbol]() {
    return DateTime.makeUnsafe(this.atMs)
  }
}

export const message = (id: string) => new Message({ id })
export const messageTo = (id: string, to: string) => new MessageTo({ id, to })
export const due = (id: string, atMs: number) => new Due({ id, atMs })

export const Tally = Entity.make("Tally", [
  Rpc.make("Record", { payload: Message, success: Schema.String })
    .annotate(ClusterSchema.Persisted, true)
    .annotate(ClusterSchema.WithTransaction, true),
  Rpc.make("RecordDue", { payload: Due, success: Schema.String })
    .annotate(ClusterSchema.Persisted, true)
    .annotate(ClusterSchema.WithTransaction, true),
  /** Records, and has another entity record, with one commit. */
  Rpc.make("Forward", { payload: MessageTo, success: Schema.String })
    .annotate(ClusterSchema.Persisted, true)
    .annotate(ClusterSchema.WithTransaction, true),
  /** Says which runner has it, and records once that runner's gate was opened. */
  Rpc.make("Hold", { payload: Message, success: Schema.String })
    .annotate(ClusterSchema.Persisted, true)
    .annotate(ClusterSchema.WithTransaction, true)
])

/** The process that entities run in. */
export class Here extends Context.Service<Here, {
  readonly name: string
  /** Begins to wait for the gate's next opening. The inner effect ends with it. */
  readonly gate: Effect.Effect<Effect.Effect<void>>
}>()("test/chaos/actors/Here") {}

export const TallyLive = Tally.toLayer(
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const here = yield* Here
    const entityOf = yield* Tally.client
    const { entityId, shardId } = yield* Entity.CurrentAddress
    const row: EffectRow = { by: here.name, shard: `${shardId.group}:${shardId.id}` }
    const countKey = `${countsPrefix}${entityId}`
    /** A store that fails is a defect: the entity starts again and handles its message once more. */
    const record = Effect.fnUntraced(function*(id: string) {
      const found = yield* kv.get(countKey)
      const { count, revision } = Option.match(found, {
        onNone: () => ({ count: 0, revision: 0 }),
        onSome: (entry) => ({ count: Number(entry.text), revision: entry.modRevision })
      })
      yield* addToTransaction({
        if: [Compare.modRevision(countKey).equals(revision)],
        do: [Op.put(countKey, String(count + 1)), Op.put(effectKey(entityId, id), JSON.stringify(row))]
      })
      return id
    }, Effect.orDie)

    return Tally.of({
      Record: ({ payload }) => record(payload.id),
      RecordDue: ({ payload }) => record(payload.id),
      Forward: ({ payload: { id, to } }) =>
        Effect.andThen(
          Effect.orDie(entityOf(to).Record(message(`${id} forwarded`), { discard: true })),
          record(id)
        ),
      Hold: ({ payload: { id } }) =>
        Effect.gen(function*() {
          const opened = yield* here.gate
          yield* Effect.orDie(kv.put(`${holdersPrefix}${id}/${here.name}`, ""))
          yield* opened
          return yield* record(id)
        })
    })
  })
)
