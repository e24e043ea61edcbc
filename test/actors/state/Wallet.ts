/** An entity that keeps its balance in a `DurableState`, and whose handlers a test can get in the way of. */
import { Context, Effect, PrimaryKey, Schema } from "effect"
import { ClusterSchema, Entity, MessageStorage } from "effect/cluster"
import { Rpc } from "effect/rpc"
import { DurableState } from "../../../src/actors/index.ts"

export class Change extends Schema.Class<Change>("Change")({ id: Schema.String, amount: Schema.Number }) {
  [PrimaryKey.symbol]() {
    return this.id
  }
}

const change = { payload: Change, success: Schema.Number, error: Schema.String }

export const Wallet = Entity.make("Wallet", [
  /** Answers with the balance. */
  DurableState.atomic(Rpc.make("Add", change)),
  /** Changes the balance, and then fails. */
  DurableState.atomic(Rpc.make("Refuse", change)),
  /** Adds, and then, within a transaction of its own that fails, adds again. */
  DurableState.atomic(Rpc.make("TakeBack", change)),
  /** Adds to this one, and sends the amount on to three others. */
  DurableState.atomic(Rpc.make("Share", change)),
  /** Adds, and then changes the values that it gave and got. */
  DurableState.atomic(Rpc.make("Spoil", change)),
  /** Forgets the balance. */
  DurableState.atomic(Rpc.make("Empty", change)),
  /** Says why its state could not be changed. */
  DurableState.atomic(Rpc.make("Explain", { payload: Change, success: Schema.String }))
])

/** The same entity type without transactions. */
export const Plain = Entity.make("Plain", [
  Rpc.make("Get", { success: Schema.Number }),
  Rpc.make("Add", { payload: Change, success: Schema.String })
]).annotateRpcs(ClusterSchema.Persisted, false)

/** What happens in each handler after it changed the state, and before it answers. */
export class Meanwhile extends Context.Service<Meanwhile, (id: string) => Effect.Effect<void>>()("test/Meanwhile") {}

const Balance = Schema.Struct({ amount: Schema.Number, note: Schema.optional(Schema.String) })

const balance = DurableState.make({ schema: Balance, initial: { amount: 0 } })

export const WalletLive = (concurrency: number | "unbounded" = 1) =>
  Wallet.toLayer(
    Effect.gen(function*() {
      const state = yield* balance
      const storage = yield* MessageStorage.MessageStorage
      const meanwhile = yield* Meanwhile
      const send = yield* Wallet.client
      const add = (amount: number) =>
        Effect.orDie(state.modify((old) => [old.amount + amount, { amount: old.amount + amount }]))
      return Wallet.of({
        Add: ({ payload }) => Effect.tap(add(payload.amount), meanwhile(payload.id)),
        Refuse: ({ payload }) => Effect.andThen(add(payload.amount), Effect.fail("refused")),
        TakeBack: ({ payload }) =>
          Effect.gen(function*() {
            yield* add(payload.amount)
            yield* Effect.ignore(storage.withTransaction(Effect.andThen(add(1_000), Effect.fail("no"))))
            return yield* add(0)
          }),
        Share: ({ payload }) =>
          Effect.gen(function*() {
            const left = yield* add(payload.amount)
            for (const other of ["a", "b", "c"]) {
              const part = new Change({ id: `${payload.id}/${other}`, amount: payload.amount })
              yield* Effect.orDie(send(other).Add(part, { discard: true }))
            }
            return left
          }),
        Spoil: ({ payload }) =>
          Effect.orDie(Effect.gen(function*() {
            const given = { amount: payload.amount }
            yield* state.set(given)
            given.amount = 1_000
            const got = yield* state.get
            Object.assign(got, { amount: 2_000 })
            return (yield* state.get).amount
          })),
        Empty: () =>
          Effect.orDie(
            Effect.andThen(
              Effect.andThen(state.set({ amount: 5 }), state.remove),
              Effect.map(state.get, ({ amount }) => amount)
            )
          ),
        Explain: ({ payload }) =>
          state.set({ amount: 1, note: "n".repeat(payload.amount) }).pipe(
            Effect.as("set"),
            Effect.catchTag("DurableStateError", (error) => Effect.succeed(`${error.reason._tag}: ${error.message}`))
          )
      })
    }),
    { concurrency }
  )

export const PlainLive = Plain.toLayer(
  Effect.gen(function*() {
    const state = yield* balance
    return Plain.of({
      Get: () => Effect.orDie(Effect.map(state.get, ({ amount }) => amount)),
      Add: ({ payload }) =>
        state.update(({ amount }) => ({ amount: amount + payload.amount })).pipe(
          Effect.as("added"),
          Effect.catchTag("DurableStateError", ({ reason }) => Effect.succeed(reason._tag))
        )
    })
  })
)
