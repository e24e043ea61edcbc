/**
 * Transactions: compare what is there, then do one list of operations or the other, all of it atomically and in one
 * revision.
 *
 * ```ts
 * const txn = yield* kv.transact({
 *   if: [Compare.missing("orders/17")],
 *   do: [Op.put("orders/17", "paid"), Op.put("orders/last", "17")],
 *   else: [Op.get("orders/17")]
 * })
 * if (!txn.succeeded) {
 *   const [existing] = txn.results // Option<KeyValueEntry>: the results are those of `else`, in its order
 * }
 * ```
 *
 * A transaction is plain data. One that only reads needs no entry in the log and is answered like any read.
 */
import { Option } from "effect"
import { prefixRange } from "../bytes/KeyRange.ts"
import { defaultScanLimit } from "../kv/model/Limits.ts"
import type { OperationResult } from "../kv/model/Reply.ts"
import type {
  Compare as KvCompare,
  CompareFigure,
  CompareOperator,
  Operation,
  Transaction
} from "../kv/model/Transaction.ts"
import type { Data } from "./Entry.ts"
import { briefBytesOf, bytesOf, KeyValueEntry } from "./Entry.ts"

export { maxTransactionOperations } from "../kv/model/Limits.ts"

/** A condition on one key. */
export interface Compare {
  readonly compare: KvCompare
}

/** How something is compared. `A` is a number or a value; values are compared bytewise. */
export interface Comparison<A> {
  readonly equals: (value: A) => Compare
  readonly differs: (value: A) => Compare
  readonly below: (value: A) => Compare
  readonly atMost: (value: A) => Compare
  readonly above: (value: A) => Compare
  readonly atLeast: (value: A) => Compare
}

/** Makes a function when one is asked for: of each comparison, one of six is used. */
class ComparisonBy<A> implements Comparison<A> {
  private readonly make: (operator: CompareOperator, value: A) => KvCompare

  constructor(make: (operator: CompareOperator, value: A) => KvCompare) {
    this.make = make
  }

  get equals() {
    return this.by("=")
  }

  get differs() {
    return this.by("!=")
  }

  get below() {
    return this.by("<")
  }

  get atMost() {
    return this.by("<=")
  }

  get above() {
    return this.by(">")
  }

  get atLeast() {
    return this.by(">=")
  }

  private by(operator: CompareOperator) {
    return (value: A): Compare => ({ compare: this.make(operator, value) })
  }
}

const comparison = <A>(make: (operator: CompareOperator, value: A) => KvCompare): Comparison<A> =>
  new ComparisonBy(make)

const figure = (name: CompareFigure) => (key: Data): Comparison<number> =>
  comparison((operator, value) => ({ _tag: "CompareNumber", key: briefBytesOf(key), figure: name, operator, value }))

const existence = (exists: boolean) => (key: Data): Compare => ({
  compare: { _tag: "CompareExists", key: briefBytesOf(key), exists }
})

/** Conditions. All figures of a key that does not exist are 0. */
export const Compare = {
  /** The key exists. */
  exists: existence(true),
  /** The key does not exist. */
  missing: existence(false),
  /** The key's value. A key that does not exist has none: every comparison of it is false. */
  value: (key: Data): Comparison<Data> =>
    comparison((operator, value) => ({
      _tag: "CompareValue",
      key: briefBytesOf(key),
      operator,
      value: briefBytesOf(value)
    })),
  /** Puts since the key was created. */
  version: figure("version"),
  /** The revision that created the key. */
  createRevision: figure("createRevision"),
  /** The revision of the key's last put. */
  modRevision: figure("modRevision"),
  /** The lease the key is attached to. */
  lease: figure("lease")
} as const

/** One operation of a transaction, answered by an `A`. */
export interface Op<out A> {
  readonly operation: Operation
  /** The answer, from what the store says of it and the revision of the transaction. */
  readonly read: (result: OperationResult, revision: number) => A
}

/** What a put did. */
export interface PutResult {
  /** The revision this write took: one gapless sequence for the whole store. */
  readonly revision: number
  /** Whether the key did not exist before. */
  readonly created: boolean
  /** Puts since the key was created. */
  readonly version: number
}

/** What a delete did. */
export interface DeleteResult {
  /** The revision this delete took; the store's revision when there was nothing to delete. */
  readonly revision: number
  /** Whether the key existed. */
  readonly deleted: boolean
}

/** How a put of a transaction is done. */
export interface OpPutOptions {
  /** The lease that the key is to live as long as. Without one, the key is detached from the lease it had. */
  readonly lease?: number | undefined
}

/** How a scan of a transaction is done. */
export interface OpScanOptions {
  /** Most entries, 1 to 10,000. Default 1000. The values of all operations together have at most 4 MiB. */
  readonly limit?: number | undefined
  /** From the last key to the first. */
  readonly reverse?: boolean | undefined
  /** Leave the values out. */
  readonly keysOnly?: boolean | undefined
}

/** The first keys with a prefix, or the last ones, as the transaction finds them. */
export interface ScanResult {
  readonly entries: ReadonlyArray<KeyValueEntry>
  /** Whether there were more than these. */
  readonly more: boolean
}

const mismatch = (result: OperationResult): Error => new Error(`a result of ${result._tag} answers another operation`)

const readPut = (result: OperationResult, revision: number): PutResult => {
  if (result._tag !== "Put") throw mismatch(result)
  return { revision, created: result.version === 1, version: result.version }
}

const readDelete = (result: OperationResult, revision: number): DeleteResult => {
  if (result._tag !== "Delete") throw mismatch(result)
  return { revision, deleted: result.deleted === 1 }
}

/** Operations. A list may write each key once: the whole transaction is one revision. */
export const Op = {
  put: (key: Data, value: Data, options?: OpPutOptions): Op<PutResult> => ({
    operation: { _tag: "Put", key: briefBytesOf(key), value: briefBytesOf(value), lease: options?.lease ?? 0 },
    read: readPut
  }),
  /** Removes a key; one that does not exist is no error. */
  delete: (key: Data): Op<DeleteResult> => ({
    operation: { _tag: "Delete", key: briefBytesOf(key) },
    read: readDelete
  }),
  /** Removes every key with a prefix and says how many. At most 10,000 keys and 32 MiB; more refuse the transaction. */
  deletePrefix: (prefix: Data): Op<number> => ({
    operation: { _tag: "DeleteRange", range: prefixRange(bytesOf(prefix)) },
    read: (result) => {
      if (result._tag !== "Delete") throw mismatch(result)
      return result.deleted
    }
  }),
  get: (key: Data): Op<Option.Option<KeyValueEntry>> => {
    const bytes = bytesOf(key)
    return {
      operation: { _tag: "Get", key: bytes },
      read: (result) => {
        if (result._tag !== "Get") throw mismatch(result)
        return result.record === undefined ? Option.none() : Option.some(new KeyValueEntry(bytes, result.record))
      }
    }
  },
  /** The keys with a prefix, in byte order. */
  scan: (prefix: Data, options?: OpScanOptions): Op<ScanResult> => ({
    operation: {
      _tag: "Range",
      range: prefixRange(bytesOf(prefix)),
      limit: options?.limit ?? defaultScanLimit,
      keysOnly: options?.keysOnly ?? false,
      reverse: options?.reverse ?? false
    },
    read: (result) => {
      if (result._tag !== "Range") throw mismatch(result)
      return { entries: result.rows.map(({ key, record }) => new KeyValueEntry(key, record)), more: result.more }
    }
  })
} as const

/** Operations, of whatever kind. */
export type Ops = ReadonlyArray<Op<unknown>>

/**
 * A transaction: if all conditions hold, one list of operations, otherwise the other. All atomically, or
 * nothing.
 */
export interface Txn<Do extends Ops = Ops, Else extends Ops = Ops> {
  /** All of these must hold for `do`; without any, `do` is what is done. At most 512. */
  readonly if?: ReadonlyArray<Compare> | undefined
  /** Carried out in order when every condition holds: a later operation sees an earlier one. At most 512. */
  readonly do?: Do | undefined
  /** Carried out when one of them does not. At most 512. */
  readonly else?: Else | undefined
}

/** The answers to a list of operations, in its order. */
export type Results<List extends Ops> = { readonly [I in keyof List]: List[I] extends Op<infer A> ? A : never }

/** What became of a transaction. */
export type TxnResult<Do extends Ops, Else extends Ops> =
  /** Every condition held. */
  | {
    readonly succeeded: true
    /** The revision it took; the store's revision when it changed nothing. */
    readonly revision: number
    readonly results: Results<Do>
  }
  | { readonly succeeded: false; readonly revision: number; readonly results: Results<Else> }

/** The transaction as the store takes it. */
export const transactionOf = (txn: Txn): Transaction => ({
  compares: (txn.if ?? []).map(({ compare }) => compare),
  success: (txn.do ?? []).map(({ operation }) => operation),
  failure: (txn.else ?? []).map(({ operation }) => operation)
})

/** The answers of a transaction's operations, typed as the operations say. */
export const resultOf = <Do extends Ops, Else extends Ops>(
  txn: Txn<Do, Else>,
  reply: { readonly succeeded: boolean; readonly revision: number; readonly results: ReadonlyArray<OperationResult> }
): TxnResult<Do, Else> => {
  const { revision, succeeded } = reply
  const ops: Ops = (succeeded ? txn.do : txn.else) ?? []
  if (ops.length !== reply.results.length) {
    throw new Error(`${reply.results.length} results answer ${ops.length} operations`)
  }
  const results = reply.results.map((result, i) => (ops[i] as Op<unknown>).read(result, revision))
  // Each result was read by the operation in its place, which is what the type says.
  return { succeeded, revision, results } as TxnResult<Do, Else>
}

/** What the store calls the parts of a transaction, in the words of {@link Txn}. */
export const fieldOf = (field: string): string =>
  field.replace(/^compares\b/, "if").replace(/^success\b/, "do").replace(/^failure\b/, "else")
    // Callers name ranges by their prefixes.
    .replace(/\brange(?:\.(?:gte|lt))?$/, "prefix")
