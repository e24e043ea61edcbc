/**
 * `MessageStorage.withTransaction`: what is stored inside waits in a buffer, with its conditions, and is committed as
 * one transaction of the store when the effect has succeeded. When it fails, nothing of it was stored.
 *
 * A handler adds operations of its own with {@link addToTransaction}: its state, its reply and the messages it sends
 * are then one entry of the log.
 */
import { Context, Data, Effect, Semaphore } from "effect"
import type { KeyValue, ReadFailure, WriteFailure } from "../../client/KeyValue.ts"
import type { Compare, Op, Ops } from "../../client/Txn.ts"
import type { InvalidArgument } from "../../FlareDbError.ts"
import { transactionConflict } from "../ActorMetrics.ts"
import type { StepWriter } from "../StepWriter.ts"
import { Sharing, stepOf } from "../StepWriter.ts"
import type { Contended, UnknownRow } from "./Failures.ts"
import { isUnknown, repeatable } from "./Failures.ts"

/** Where transactions are carried out. */
export interface Store {
  readonly kv: KeyValue["Service"]
  /** What shares transactions of the store. */
  readonly steps: StepWriter
}

/** What a transaction was decided on has changed since; nothing of it was stored. */
export class TransactionConflict extends Data.TaggedError("TransactionConflict")<{ readonly conditions: number }> {
  override get message() {
    return `one of the transaction's ${this.conditions} conditions does not hold any more; nothing was stored`
  }
}

/** A handler's transaction can never be stored: it changes too much, or one key twice. Nothing of it was stored. */
export class TransactionRefused extends Data.TaggedError("TransactionRefused")<{
  readonly requestId: string
  /** What of it is wrong. */
  readonly field: string
  readonly problem: string
}> {
  override get message() {
    return `the transaction of request ${this.requestId}, its state, reply and messages, is refused for good: ` +
      `${this.field} ${this.problem}. Change less in one request, each key once`
  }
}

/** There is no transaction to add to. */
export class NoTransaction extends Data.TaggedError("NoTransaction")<{}> {
  override get message() {
    return "no transaction is open here: the handler's RPC is not annotated with ClusterSchema.WithTransaction, " +
      "or the effect does not run inside MessageStorage.withTransaction"
  }
}

/** A row that a transaction may change several times, of which the last is committed. */
export interface TransactionRow {
  /** What the row, and who writes it, have to be like at the commit. */
  readonly conditions: ReadonlyArray<Compare>
  /** `undefined` when it was only read. */
  readonly operation: Op<unknown> | undefined
}

/** Called when the transaction is not committed because one of these conditions does not hold. */
export interface OnConflict {
  readonly conditions: ReadonlyArray<Compare>
  readonly call: () => Effect.Effect<void>
}

/** Whether a transaction took effect. */
type Proof = Effect.Effect<boolean, ReadFailure | UnknownRow | Contended>

/** Operations that wait for their transaction. */
export class TransactionBuffer {
  /** Whether it takes operations: until its effect has ended, which fibers of the effect may outlive. */
  isOpen = true
  readonly conditions: Array<Compare> = []
  readonly operations: Array<Op<unknown>> = []
  readonly onConflict: Array<OnConflict> = []
  /** Each says whether the transaction took effect, from what only it writes. */
  readonly proofs: Array<Proof> = []
  /** Requests saved in it, by their primary key. */
  readonly primaryKeys = new Map<string, string>()
  /** Primary keys of which a request is being saved in it, by another fiber. */
  private readonly saving = new Map<string, Semaphore.Semaphore>()
  /** By key. */
  readonly rows = new Map<string, TransactionRow>()
  /** Carried out when the store has refused the transaction, and would again. */
  readonly onRefused: Array<(refusal: InvalidArgument) => Effect.Effect<unknown>> = []
  /**
   * Carried out when the transaction has ended, the last one first. Told its revision when it is known to be committed.
   */
  readonly onEnd: Array<(revision: number | undefined) => Effect.Effect<unknown>> = []

  /** Saves the request of a primary key, after those that other fibers of the transaction are about to save. */
  savingOne<A, E, R>(primaryKey: string, save: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      const turn = this.saving.get(primaryKey) ?? Semaphore.makeUnsafe(1)
      this.saving.set(primaryKey, turn)
      return turn.withPermit(save)
    })
  }

  /** Runs an effect whose operations are taken back when it fails. */
  attempt<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      const lists = [this.conditions, this.operations, this.onConflict, this.onRefused, this.proofs]
      const lengths = lists.map(({ length }) => length)
      const keys = new Set(this.primaryKeys.keys())
      const rows = [...this.rows]
      return Effect.onError(effect, () =>
        Effect.sync(() => {
          for (const [i, list] of lists.entries()) list.length = lengths[i] ?? 0
          for (const key of this.primaryKeys.keys()) if (!keys.has(key)) this.primaryKeys.delete(key)
          for (const [key, row] of this.rows) this.rows.set(key, { ...row, operation: undefined })
          for (const [key, row] of rows) this.rows.set(key, row)
        }))
    })
  }
}

/** The transaction that a fiber, or the one that forked it, was in. */
const Transaction = Context.Reference<TransactionBuffer | undefined>("flaredb/actors/OpenTransaction", {
  defaultValue: () => undefined
})

/** The transaction that is open. A fiber that outlives its handler has none: nothing would commit what it adds. */
export const openTransaction: Effect.Effect<TransactionBuffer | undefined> = Effect.map(
  Transaction,
  (buffer) => buffer?.isOpen === true ? buffer : undefined
)

export interface CarryOutOptions {
  /** The conditions are known to hold as far as this process can tell: the commit alone looks at them. */
  readonly isExpected?: boolean
  /** Told the revision, when it is carried out at once. */
  readonly onStored?: (revision: number) => void
  readonly onConflict?: ReadonlyArray<OnConflict>
  readonly proof?: Proof
  /** Given when its conditions most often hold: then it shares transactions of the store with others. */
  readonly sharing?: Sharing
}

/**
 * Carries out a transaction, and says whether its conditions held. Its answer may be lost: when they did not hold, the
 * caller looks whether its own effect is there. Within an open transaction its conditions are looked at now and again
 * at the commit, and its operations wait until then.
 */
export const carryOut = (
  store: Store,
  txn: { readonly if: ReadonlyArray<Compare>; readonly do: Ops },
  options: CarryOutOptions = {}
): Effect.Effect<boolean, WriteFailure> =>
  Effect.flatMap(openTransaction, (open) => {
    const { kv, steps } = store
    const { isExpected = false, onConflict = [], onStored, proof, sharing } = options
    if (open === undefined) {
      const write = sharing === undefined ? kv.transact(txn) : steps.take(stepOf(txn.if, txn.do, sharing))
      return Effect.map(repeatable(write), ({ revision, succeeded }) => {
        if (succeeded) onStored?.(revision)
        return succeeded
      })
    }
    const looked = isExpected ? Effect.succeed(true) : Effect.map(kv.transact({ if: txn.if }), (txn) => txn.succeeded)
    return Effect.flatMap(looked, (holds) => {
      if (!holds) return Effect.succeed(false)
      // The handler may have ended meanwhile, without this fiber.
      if (!open.isOpen) return carryOut(store, txn, options)
      open.conditions.push(...txn.if)
      open.operations.push(...txn.do)
      open.onConflict.push(...onConflict)
      if (proof !== undefined) open.proofs.push(proof)
      return Effect.succeed(true)
    })
  })

/**
 * Adds operations to the open transaction: they are committed with all else in it, if the conditions hold then. Each
 * key can be written once in a transaction.
 */
export const addToTransaction = (
  txn: { readonly if?: ReadonlyArray<Compare> | undefined; readonly do: Ops }
): Effect.Effect<void, NoTransaction> =>
  Effect.flatMap(openTransaction, (open) => {
    if (open === undefined) return Effect.fail(new NoTransaction())
    open.conditions.push(...txn.if ?? [])
    open.operations.push(...txn.do)
    return Effect.void
  })

/** Runs an effect as one transaction; an inner one is part of the outer one. A commit that fails is a defect. */
export const inTransaction = (store: Store) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(openTransaction, (outer) => {
    if (outer !== undefined) return outer.attempt(effect)
    const buffer = new TransactionBuffer()
    let revision: number | undefined
    return Effect.provideService(effect, Transaction, buffer).pipe(
      Effect.ensuring(Effect.sync(() => buffer.isOpen = false)),
      Effect.tap(() =>
        commit(store, buffer).pipe(
          Effect.tapErrorTag("InvalidArgument", (refusal) =>
            Effect.forEach(buffer.onRefused, (refused) => refused(refusal), { discard: true })),
          Effect.orDie,
          Effect.map((committed) => {
            revision = committed
          })
        )
      ),
      Effect.ensuring(
        Effect.suspend(() => Effect.forEach(buffer.onEnd.toReversed(), (end) => end(revision), { discard: true }))
      )
    )
  })

/** Handlers' transactions seldom meet others. */
const commits = new Sharing()

/** Times that a commit whose answer was lost is sent again. */
const repeats = 2

/** The transaction's revision; `undefined` when there was nothing to commit, or when its answer was lost. */
const commit = Effect.fnUntraced(function*(
  { kv, steps }: Store,
  buffer: TransactionBuffer
): Effect.fn.Return<number | undefined, WriteFailure | ReadFailure | TransactionConflict | UnknownRow | Contended> {
  const rows = [...buffer.rows.values()]
  const conditions = [...buffer.conditions, ...rows.flatMap((row) => row.conditions)]
  const operations = [...buffer.operations, ...rows.flatMap(({ operation }) => operation ?? [])]
  if (operations.length === 0) return undefined
  const step = stepOf(conditions, operations, commits)
  for (let attempt = 0;; attempt++) {
    const sent = yield* Effect.result(steps.take(step))
    if (sent._tag === "Failure") {
      if (!isUnknown(sent.failure) || attempt >= repeats) return yield* sent.failure
      continue
    }
    if (sent.success.succeeded) return sent.success.revision
    // The conditions do not hold any more once it took effect; one proof is enough, because it is all or nothing.
    const [proof] = buffer.proofs
    if (attempt > 0 && proof !== undefined && (yield* proof)) return undefined
    // A row that somebody else changed does not say that a shard is lost.
    for (const { call, conditions } of buffer.onConflict) {
      if (!(yield* kv.transact({ if: conditions })).succeeded) yield* call()
    }
    yield* transactionConflict
    return yield* new TransactionConflict({ conditions: conditions.length })
  }
})
