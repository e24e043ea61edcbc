/** What a transaction does. Everything that it needs of the store is loaded before anything is changed. */
import type { Batch } from "./Batch.ts"
import type { WriteSetEntry } from "./WriteSet.ts"
import { maxPageBytes, maxRangeDeletes, maxTransactionReadBytes, maxTransactionReadRows } from "./Limits.ts"
import type { Loading } from "./Loading.ts"
import { ReadBudget } from "./ReadBudget.ts"
import { leaseProblem, refused } from "./Refusal.ts"
import type { OperationResult, RefusedReply, Row, TransactionReply } from "./Reply.ts"
import type { Operation, RangeOperation, Transaction } from "./Transaction.ts"
import { holds, touchedKeys, writes } from "./Transaction.ts"
import { noBytes } from "../../bytes/Binary.ts"

/**
 * A transaction, also one that only reads. Whatever could refuse it is looked at before anything is changed, so that
 * nothing has to be taken back.
 */
export function* transact(batch: Batch, transaction: Transaction): Loading<TransactionReply | RefusedReply> {
  const budget = new ReadBudget()
  const reply = yield* transactWithin(batch, transaction, budget)
  batch.readBytes += budget.bytes
  return reply ?? refused(
    batch,
    "invalid",
    "transaction",
    `looks at more than maxTransactionReadBytes = ${maxTransactionReadBytes} bytes or maxTransactionReadRows = ` +
      `${maxTransactionReadRows} keys (all that it names, and the rows of its ranges); split it into smaller ones`
  )
}

/** The reply, or `undefined` when the transaction looks at more than it may. Nothing is changed then. */
function* transactWithin(
  batch: Batch,
  transaction: Transaction,
  budget: ReadBudget
): Loading<TransactionReply | RefusedReply | undefined> {
  const { writeSet } = batch
  const touched = yield* writeSet.loadAll(touchedKeys(transaction), budget)
  if (budget.exceeded) return undefined
  const { compares } = transaction
  const succeeded = compares.every((compare, i) => holds(compare, touched[i]?.record))
  const list = succeeded ? "success" : "failure"
  const operations = transaction[list]
  const entries = entriesOf(operations, touched, compares.length + (succeeded ? 0 : countKeys(transaction.success)))
  const deletes = yield* prepare(batch, operations, entries, list, budget)
  if (!Array.isArray(deletes)) return deletes
  const results: Array<OperationResult> = []
  let room = maxPageBytes
  // A range sees what the operations before it changed, so what it looks at is known only then.
  batch.beginRevision(operations.some(writes) && operations.some(({ _tag }) => _tag === "Range"))
  for (let i = 0; i < operations.length; i++) {
    const operation = operations[i] as Operation
    if (operation._tag !== "Range") {
      results.push(step(batch, operation, entries[i], deletes[i] ?? []))
      continue
    }
    const { more, rows } = yield* writeSet.range(operation.range, operation.limit, operation.reverse, room, budget)
    if (budget.exceeded) {
      batch.abandonRevision()
      return undefined
    }
    room -= rows.reduce((sum, { key, record }) => sum + key.byteLength + record.value.byteLength, 0)
    results.push({ _tag: "Range", more, rows: operation.keysOnly ? rows.map(withoutValue) : rows })
  }
  batch.endRevision()
  return { _tag: "TransactionReply", revision: batch.revision, succeeded, results }
}

const countKeys = (operations: ReadonlyArray<Operation>): number =>
  operations.reduce((count, operation) => count + ("key" in operation ? 1 : 0), 0)

/**
 * The entries of a list's operations on single keys, in the places of the operations. They are those of the
 * transaction's touched keys from `first` on: a key is looked up once, however often the transaction names it.
 */
const entriesOf = (
  operations: ReadonlyArray<Operation>,
  touched: ReadonlyArray<WriteSetEntry>,
  first: number
): ReadonlyArray<WriteSetEntry | undefined> => {
  let next = first
  return operations.map((operation) => "key" in operation ? touched[next++] : undefined)
}

/** The keys that each delete-range will remove, in the places of the operations; or why the transaction is refused. */
function* prepare(
  batch: Batch,
  operations: ReadonlyArray<Operation>,
  entries: ReadonlyArray<WriteSetEntry | undefined>,
  list: string,
  budget: ReadBudget
): Loading<Array<ReadonlyArray<Uint8Array>> | RefusedReply | undefined> {
  const { writeSet } = batch
  const deletes = new Array<ReadonlyArray<Uint8Array>>(operations.length)
  let readBytes = 0
  for (let i = 0; i < operations.length; i++) {
    const operation = operations[i] as Operation
    if (operation._tag === "DeleteRange") {
      const { range } = operation
      const { more, rows } = yield* writeSet.range(range, maxRangeDeletes, false, maxTransactionReadBytes, budget)
      if (budget.exceeded) return undefined
      if (more) return tooLarge(batch, `${list}[${i}].range`)
      for (const { key, record } of rows) if (!writeSet.isLoaded(key)) writeSet.load(key, record)
      deletes[i] = rows.map(({ key }) => key)
    } else if (operation._tag === "Put" && operation.lease !== 0) {
      const problem = leaseProblem(batch, entries[i] as WriteSetEntry, operation.lease)
      if (problem !== undefined) return problem
    } else if (operation._tag === "Get") {
      readBytes += entries[i]?.record?.value.byteLength ?? 0
    }
  }
  return readBytes > maxPageBytes
    ? refused(batch, "invalid", list, `reads ${readBytes} bytes of values; at most ${maxPageBytes} are allowed`)
    : deletes
}

const tooLarge = (batch: Batch, field: string): RefusedReply =>
  refused(
    batch,
    "invalid",
    field,
    `holds more than maxRangeDeletes = ${maxRangeDeletes} keys; delete it in smaller ranges`
  )

const withoutValue = ({ key, record }: Row): Row => ({ key, record: { ...record, value: noBytes } })

/** One operation on keys that are loaded. An operation on a single key has its entry. */
const step = (
  batch: Batch,
  operation: Exclude<Operation, RangeOperation>,
  entry: WriteSetEntry | undefined,
  deletes: ReadonlyArray<Uint8Array>
): OperationResult => {
  switch (operation._tag) {
    case "Put": {
      const { createRevision, version } = batch.putKey(entry as WriteSetEntry, operation.value, operation.lease)
      return { _tag: "Put", createRevision, version }
    }
    case "Delete": {
      const deleted = entry?.record === undefined ? 0 : 1
      if (deleted === 1) batch.deleteKey(entry as WriteSetEntry)
      return { _tag: "Delete", deleted }
    }
    case "DeleteRange":
      for (const key of deletes) batch.deleteKey(batch.writeSet.entry(key))
      return { _tag: "Delete", deleted: deletes.length }
    case "Get":
      return { _tag: "Get", record: entry?.record }
  }
}
