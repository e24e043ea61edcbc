/**
 * A bank: every account is an entity, and a transfer is a message with an id. A caller that does not know what became
 * of its transfer sends it again, and the money moves once.
 *
 * What keeps that promise:
 *
 * - `Send` and `Deposit` are persisted under the transfer's id, so a repeated message gets the first one's reply.
 * - A handler that stopped between its change and its reply runs again. The change and a receipt for it are one write
 *   of the account, and a handler that finds its receipt changes nothing.
 * - Money on its way is a persisted message. `Send` does not wait for the other account, or two accounts that pay each
 *   other at once would wait for ever: an entity handles one message at a time.
 */
import type { Layer } from "effect"
import { Effect, Option, Schema } from "effect"
import type { Sharding } from "effect/cluster"
import { ClusterSchema, Entity } from "effect/cluster"
import { KeyValueStore } from "effect/persistence"
import { Rpc } from "effect/rpc"

const Cents = Schema.Int.check(Schema.isGreaterThan(0))

export class InsufficientFunds extends Schema.TaggedError<InsufficientFunds>()("InsufficientFunds", {
  balance: Schema.Int,
  wanted: Schema.Int
}) {}

const Send = Rpc.make("Send", {
  payload: { transfer: Schema.String, to: Schema.String, cents: Cents },
  primaryKey: ({ transfer }) => transfer,
  error: InsufficientFunds
}).annotate(ClusterSchema.Persisted, true)

const Deposit = Rpc.make("Deposit", {
  payload: { transfer: Schema.String, cents: Cents },
  primaryKey: ({ transfer }) => transfer
}).annotate(ClusterSchema.Persisted, true)

/** Nothing depends on an answer that was lost, so this one is not persisted. */
const Balance = Rpc.make("Balance", { success: Schema.Int })

export const Account = Entity.make("Account", [Send, Deposit, Balance])

const State = Schema.Struct({ balance: Schema.Int, receipts: Schema.Array(Schema.String) })
type State = typeof State.Type

/** A handler that runs again is one of those the mailbox held, so no more receipts than these are ever asked for. */
const mailboxCapacity = 64

/** One direction of a transfer: whoever sends money to themselves has both in one account. */
type Receipt = `${"in" | "out"}:${string}`

const changed = (state: State, receipt: Receipt, cents: number): State => ({
  balance: state.balance + cents,
  receipts: [receipt, ...state.receipts].slice(0, mailboxCapacity)
})

/** The accounts of whichever runner this layer is part of. */
export const Accounts: Layer.Layer<never, never, KeyValueStore.KeyValueStore | Sharding.Sharding> = Account.toLayer(
  Effect.gen(function*() {
    const { entityId } = yield* Entity.CurrentAddress
    const accountOf = yield* Account.client
    const store = KeyValueStore.toSchemaStore(yield* KeyValueStore.KeyValueStore, State)
    const key = `accounts/${entityId}`
    const load = Effect.map(store.get(key), Option.getOrElse((): State => ({ balance: 0, receipts: [] })))

    // A store that fails is a defect: the entity starts again and handles its message once more.
    return Account.of({
      Send: ({ payload: { cents, to, transfer } }) =>
        Effect.gen(function*() {
          const state = yield* Effect.orDie(load)
          if (!state.receipts.includes(`out:${transfer}`)) {
            if (state.balance < cents) return yield* new InsufficientFunds({ balance: state.balance, wanted: cents })
            yield* Effect.orDie(store.set(key, changed(state, `out:${transfer}`, -cents)))
          }
          yield* Effect.orDie(accountOf(to).Deposit({ transfer, cents }, { discard: true }))
        }),
      Deposit: ({ payload: { cents, transfer } }) =>
        Effect.gen(function*() {
          const state = yield* load
          if (state.receipts.includes(`in:${transfer}`)) return
          yield* store.set(key, changed(state, `in:${transfer}`, cents))
        }).pipe(Effect.orDie),
      Balance: () => Effect.orDie(Effect.map(load, ({ balance }) => balance))
    })
  }),
  { mailboxCapacity }
)

export interface Transfer {
  readonly transfer: string
  readonly from: string
  readonly to: string
  readonly cents: number
}

const balance = Effect.fnUntraced(function*(account: string) {
  return yield* (yield* Account.client)(account).Balance()
})

/** Makes the transfer, however often it is called: says whether the money moved. */
export const transfer = Effect.fnUntraced(function*({ from, ...payload }: Transfer) {
  const accountOf = yield* Account.client
  return yield* accountOf(from).Send(payload).pipe(
    Effect.as(true),
    Effect.catchTag("InsufficientFunds", () => Effect.succeed(false))
  )
})

/** Puts money into an account that came from outside the bank. */
export const deposit = Effect.fnUntraced(function*(account: string, payload: Omit<Transfer, "from" | "to">) {
  yield* (yield* Account.client)(account).Deposit(payload)
})

export interface Audit {
  readonly accepted: number
  readonly declined: number
  readonly balances: ReadonlyMap<string, number>
}

/**
 * Opens accounts with 100.00 each, makes the transfers, every one of them twice, and waits until each account has
 * what the accepted transfers say.
 */
export const program = (transfers: ReadonlyArray<Transfer>) =>
  Effect.gen(function*() {
    const opening = 10_000
    const books = new Map(transfers.flatMap(({ from, to }) => [[from, opening], [to, opening]]))
    const accounts = [...books.keys()]
    yield* Effect.forEach(
      accounts,
      (account) => deposit(account, { transfer: `opening of ${account}`, cents: opening }),
      { concurrency: "unbounded", discard: true }
    )

    const outcomes = yield* Effect.forEach(
      transfers,
      (one) =>
        Effect.gen(function*() {
          const moved = yield* transfer(one)
          const again = yield* transfer(one)
          if (moved !== again) return yield* Effect.die(`${one.transfer}: the second answer is not the first`)
          return moved
        }),
      { concurrency: 16 }
    )
    for (const [i, moved] of outcomes.entries()) {
      const { cents, from, to } = transfers[i] as Transfer
      if (!moved) continue
      books.set(from, (books.get(from) ?? 0) - cents)
      books.set(to, (books.get(to) ?? 0) + cents)
    }

    // What an account was sent arrives a little after the sender's answer.
    const balances = Effect.map(
      Effect.forEach(accounts, (account) => Effect.map(balance(account), (cents) => [account, cents] as const), {
        concurrency: 16
      }),
      (entries) => new Map(entries)
    )
    const settled = yield* Effect.repeat(balances, {
      while: (found) =>
        Effect.as(Effect.sleep("20 millis"), accounts.some((account) => found.get(account) !== books.get(account)))
    })
    const accepted = outcomes.filter((moved) => moved).length
    return { accepted, declined: outcomes.length - accepted, balances: settled } satisfies Audit
  })
