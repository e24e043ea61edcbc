/** A program that begins on one back end and goes on on another: what it did is in a journal of the test's process. */
import { Context, DateTime, Effect, Layer, PrimaryKey, Schema, Stream } from "effect"
import { ClusterSchema, DeliverAt, Entity } from "effect/cluster"
import { PersistedQueue } from "effect/persistence"
import { Rpc } from "effect/rpc"
import { Activity, DurableClock, Workflow } from "effect/workflow"

export class Journal extends Context.Service<Journal, Array<string>>()("test/Journal") {}

const wrote = (line: string) => Effect.map(Journal, (journal) => void journal.push(line))

class Add extends Schema.Class<Add>("Add")({ id: Schema.String, atMs: Schema.NullOr(Schema.Number) }) {
  [PrimaryKey.symbol]() {
    return this.id
  }
  [DeliverAt.symbol]() {
    return DateTime.makeUnsafe(this.atMs ?? 0)
  }
}

export const add = (id: string, atMs: number | null = null) => new Add({ id, atMs })

export const Account = Entity.make("Account", [
  Rpc.make("Add", { payload: Add, success: Schema.String }).annotate(ClusterSchema.Persisted, true),
  Rpc.make("List", { payload: Add, success: Schema.Number, stream: true }).annotate(ClusterSchema.Persisted, true)
])

export const AccountLive = Account.toLayer(
  Effect.gen(function*() {
    const journal = yield* Journal
    const { entityId } = yield* Entity.CurrentAddress
    return Account.of({
      Add: ({ payload }) =>
        Effect.sync(() => {
          journal.push(`add ${entityId.slice(0, 20)} ${payload.id}`)
          return `${payload.id} is entry ${journal.length}`
        }),
      List: () => Stream.range(1, 5)
    })
  })
)

/** Works, sleeps as long as it is told, and works again. */
export const Sleeper = Workflow.make("Sleeper", {
  payload: { id: Schema.String, sleepMs: Schema.Number },
  success: Schema.String,
  idempotencyKey: ({ id }) => id
})

export const SleeperLive = Sleeper.toLayer(Effect.fnUntraced(function*({ id, sleepMs }) {
  const step = (name: string) =>
    Activity.make({ name, success: Schema.String, execute: Effect.as(wrote(`${name} ${id}`), name) })
  const first = yield* step("first")
  yield* DurableClock.sleep({ name: "sleep", duration: sleepMs, inMemoryThreshold: 0 })
  const second = yield* step("second")
  return `${first}, ${second}`
}))

export const jobs = PersistedQueue.make({ name: "jobs", schema: Schema.String, maxAttempts: 3 })

/** Has no second attempt. */
export const letters = PersistedQueue.make({ name: "letters", schema: Schema.String, maxAttempts: 1 })

export const layer = Layer.mergeAll(AccountLive, SleeperLive)
