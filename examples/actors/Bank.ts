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
import { Effect, Option, Schedule, Schema } from "effect"
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

/** An answer that did not come, because a runner died or the store was away: the same message gets it later. */
const untilAnswered = <A, E extends { readonly _tag: string }, R>(call: Effect.Effect<A, E, R>) =>
  Effect.retry(call, {
    while: ({ _tag }) => _tag !== "InsufficientFunds",
    schedule: Schedule.spaced("100 millis"),
    times: 600
  })

/** Makes the transfer, however often it is called: says whether the money moved. */
export const transfer = Effect.fnUntraced(function*({ from, ...payload }: Transfer) {
  const accountOf = yield* Account.client
  return yield* untilAnswered(accountOf(from).Send(payload)).pipe(
    Effect.as(true),
    Effect.catchTag("InsufficientFunds", () => Effect.succeed(false))
  )
})

/** Puts money into an account that came from outside the bank. */
export const deposit = Effect.fnUntraced(function*(account: string, payload: Omit<Transfer, "from" | "to">) {
  yield* untilAnswered((yield* Account.client)(account).Deposit(payload))
})

export type Balances = ReadonlyMap<string, number>

/** What each account must have after the transfers that were accepted. */
export const books = (opening: Balances, accepted: ReadonlyArray<Transfer>): Balances => {
  const balances = new Map(opening)
  const add = (account: string, cents: number) => balances.set(account, (balances.get(account) ?? 0) + cents)
  for (const { cents, from, to } of accepted) {
    add(from, -cents)
    add(to, cents)
  }
  return balances
}

/** Waits until each account has what the books say: what it was sent arrives a little after the sender's answer. */
export const settled = Effect.fnUntraced(function*(expected: Balances) {
  const found = Effect.forEach(
    [...expected],
    ([account, cents]) => Effect.map(untilAnswered(balance(account)), (has) => has === cents),
    { concurrency: 16 }
  )
  yield* Effect.repeat(found, {
    until: (right) => right.every((is) => is) ? Effect.succeed(true) : Effect.as(Effect.sleep("20 millis"), false)
  })
})

const opening = 10_000

/** Opens an account for each of the names, with 100.00. */
export const open = Effect.fnUntraced(function*(accounts: ReadonlyArray<string>) {
  yield* Effect.forEach(
    accounts,
    (account) => deposit(account, { transfer: `opening of ${account}`, cents: opening }),
    { concurrency: 16, discard: true }
  )
  return new Map(accounts.map((account) => [account, opening])) as Balances
})

export interface Audit {
  readonly accepted: number
  readonly declined: number
  readonly balances: Balances
}

/** Opens the accounts, makes each transfer and asks for it a second time, and waits until the money is where it goes. */
export const program = Effect.fnUntraced(function*(transfers: ReadonlyArray<Transfer>) {
  const opened = yield* open([...new Set(transfers.flatMap(({ from, to }) => [from, to]))])
  const outcomes = yield* Effect.forEach(
    transfers,
    (one) =>
      Effect.gen(function*() {
        const moved = yield* transfer(one)
        if ((yield* transfer(one)) !== moved) return yield* Effect.die(`${one.transfer} has two answers`)
        return moved
      }),
    { concurrency: 16 }
  )
  const accepted = transfers.filter((_, i) => outcomes[i])
  const balances = books(opened, accepted)
  yield* settled(balances)
  return { accepted: accepted.length, declined: transfers.length - accepted.length, balances } satisfies Audit
})
