/**
 * `MessageStorage.withTransaction`: what is stored inside waits in a buffer, with its conditions, and is committed as
 * one transaction of the store when the effect has succeeded. When it fails, nothing of it was stored.
 *
 * A handler adds operations of its own with {@link addToTransaction}: its state, its reply and the messages it sends
 * are then one entry of the log.
 */
import { Context, Data, Effect } from "effect"
import type { KeyValue, ReadFailure, WriteFailure } from "../../client/KeyValue.ts"
import type { Compare, Op, Ops } from "../../client/Txn.ts"
import { isUnknown, repeatable } from "./Failures.ts"

type Store = KeyValue["Service"]

/** What a transaction was decided on has changed since; nothing of it was stored. */
export class TransactionConflict extends Data.TaggedError("TransactionConflict")<{ readonly conditions: number }> {
  override get message() {
    return `one of the transaction's ${this.conditions} conditions does not hold any more; nothing was stored`
  }
}

/** There is no transaction to add to. */
export class NoTransaction extends Data.TaggedError("NoTransaction")<{}> {
  override get message() {
    return "no transaction is open here: the handler's RPC is not annotated with ClusterSchema.WithTransaction, " +
      "or the effect does not run inside MessageStorage.withTransaction"
  }
}

/** What a transaction knows of one key that it may write several times: only the last operation is committed. */
export interface Staged {
  /** The key is still as it was read. */
  readonly condition: Compare
  /** Absent while the key was only read. */
  readonly operation?: Op<unknown>
  /** What the key is to hold; `undefined` when it is not to exist. */
  readonly text: string | undefined
  /** Called after the commit, with its revision; with `undefined` when it was refused or its revision is not known. */
  readonly ended: (revision: number | undefined) => void
}

/** Operations that wait for their transaction. */
export class TransactionBuffer {
  readonly conditions: Array<Compare> = []
  readonly operations: Array<Op<unknown>> = []
  /** Called when the transaction is not committed because a condition does not hold. */
  readonly onConflict: Array<() => Effect.Effect<void>> = []
  /** Each says whether the transaction took effect, from what only it writes. */
  readonly proofs: Array<Effect.Effect<boolean, ReadFailure>> = []
  /** Requests saved in it, by their primary key. */
  readonly primaryKeys = new Map<string, string>()
  /** By key. An entry is replaced and never changed, so that an inner transaction that fails can put it back. */
  staged: ReadonlyMap<string, Staged> = new Map()

  stage(key: string, staged: Staged): void {
    this.staged = new Map(this.staged).set(key, staged)
  }

  /** Runs an effect whose operations are taken back when it fails. */
  attempt<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      const lists = [this.conditions, this.operations, this.onConflict, this.proofs]
      const lengths = lists.map(({ length }) => length)
      const keys = new Set(this.primaryKeys.keys())
      const { staged } = this
      return Effect.onError(effect, () =>
        Effect.sync(() => {
          this.staged = staged
          for (const [i, list] of lists.entries()) list.length = lengths[i] ?? 0
          for (const key of this.primaryKeys.keys()) if (!keys.has(key)) this.primaryKeys.delete(key)
        }))
    })
  }
}

/** The transaction that is open. */
export const OpenTransaction = Context.Reference<TransactionBuffer | undefined>(
  "flaredb/actors/OpenTransaction",
  { defaultValue: () => undefined }
)

/**
 * Carries out a transaction, and says whether its conditions held. Its answer may be lost: who is told that they did
 * not hold looks whether its own effect is there. Within an open transaction its conditions are looked at now and again
 * at the commit, and its operations wait until then.
 */
export const carryOut = (
  kv: Store,
  txn: { readonly if: ReadonlyArray<Compare>; readonly do: Ops },
  { onConflict, proof }: {
    readonly onConflict?: () => Effect.Effect<void>
    readonly proof?: Effect.Effect<boolean, ReadFailure>
  } = {}
): Effect.Effect<boolean, WriteFailure> =>
  Effect.flatMap(OpenTransaction, (open) => {
    if (open === undefined) return Effect.map(repeatable(kv.transact(txn)), ({ succeeded }) => succeeded)
    return Effect.map(kv.transact({ if: txn.if }), ({ succeeded }) => {
      if (!succeeded) return false
      open.conditions.push(...txn.if)
      open.operations.push(...txn.do)
      if (onConflict !== undefined) open.onConflict.push(onConflict)
      if (proof !== undefined) open.proofs.push(proof)
      return true
    })
  })

/**
 * Adds operations to the open transaction: they are committed with all else in it, if the conditions hold then. Each
 * key can be written once in a transaction.
 */
export const addToTransaction = (
  txn: { readonly if?: ReadonlyArray<Compare> | undefined; readonly do: Ops }
): Effect.Effect<void, NoTransaction> =>
  Effect.flatMap(OpenTransaction, (open) => {
    if (open === undefined) return Effect.fail(new NoTransaction())
    open.conditions.push(...txn.if ?? [])
    open.operations.push(...txn.do)
    return Effect.void
  })

/** Runs an effect as one transaction; an inner one is part of the outer one. A commit that fails is a defect. */
export const inTransaction = (kv: Store) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(OpenTransaction, (outer) => {
    if (outer !== undefined) return outer.attempt(effect)
    const buffer = new TransactionBuffer()
    return Effect.tap(
      Effect.provideService(effect, OpenTransaction, buffer),
      () => Effect.orDie(commit(kv, buffer))
    )
  })

/** Times that a commit whose answer was lost is sent again. */
const repeats = 2

const commit = (kv: Store, buffer: TransactionBuffer) =>
  Effect.onExit(send(kv, buffer), (exit) =>
    Effect.sync(() => {
      const revision = exit._tag === "Success" ? exit.value : undefined
      for (const { ended } of buffer.staged.values()) ended(revision)
    }))

/** Commits, and says in which revision; `undefined` when that is not known because the answer was lost. */
const send = Effect.fnUntraced(function*(
  kv: Store,
  buffer: TransactionBuffer
): Effect.fn.Return<number | undefined, WriteFailure | ReadFailure | TransactionConflict> {
  const { onConflict, proofs } = buffer
  const staged = [...buffer.staged.values()]
  const conditions = [...buffer.conditions, ...staged.map(({ condition }) => condition)]
  const operations = [
    ...buffer.operations,
    ...staged.flatMap(({ operation }) => operation === undefined ? [] : [operation])
  ]
  if (operations.length === 0) return undefined
  for (let attempt = 0;; attempt++) {
    const sent = yield* Effect.result(kv.transact({ if: conditions, do: operations }))
    if (sent._tag === "Failure") {
      if (!isUnknown(sent.failure) || attempt >= repeats) return yield* sent.failure
      continue
    }
    if (sent.success.succeeded) return sent.success.revision
    // The conditions do not hold any more once it took effect; one proof is enough, because it is all or nothing.
    const [proof] = proofs
    if (attempt > 0 && proof !== undefined && (yield* proof)) return undefined
    yield* Effect.forEach(onConflict, (call) => call(), { discard: true })
    return yield* new TransactionConflict({ conditions: conditions.length })
  }
})
