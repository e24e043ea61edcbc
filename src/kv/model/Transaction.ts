/**
 * Compare, then do one thing or the other: all of it in one revision, or none of it.
 *
 * ```
 * compares      count u16 · { tag u8 · operator u8 · key u16+ · operand }
 *   operand     value u32+  |  number u64  |  exists u8
 * success       count u16 · { tag u8 · fields }, and the same for failure
 *   Put         lease u64 · key u16+ · value u32+
 *   Delete      key u16+
 *   DeleteRange gte u16+ · lt u16+
 *   Get         key u16+
 *   Range       flags u8 · limit u32 · gte u16+ · lt u16+
 * ```
 */
import { compareBytes } from "../../bytes/Bytes.ts"
import type { Reader, Writer } from "../../bytes/Binary.ts"
import type { KeyRange } from "../../bytes/KeyRange.ts"
import { rangeProblem } from "./KeyRange.ts"
import { contains, overlaps } from "../../bytes/KeyRange.ts"
import type { KeyRecord } from "./KeyRecord.ts"
import { DistinctKeys } from "../../bytes/KeyTable.ts"
import type { Problem } from "./Limits.ts"
import {
  countProblem,
  keyProblem,
  limitProblem,
  maxPageBytesOf,
  maxRecordBytes,
  maxScanLimit,
  maxTransactionBytes,
  maxTransactionOperations,
  problem,
  valueProblem
} from "./Limits.ts"

/** How a compare relates what is there (left) to its operand (right). */
export const compareOperators = ["=", "!=", "<", "<=", ">", ">="] as const
export type CompareOperator = (typeof compareOperators)[number]

/** The figures of a key that can be compared. All of them are 0 for a key that does not exist. */
export const compareFigures = ["version", "createRevision", "modRevision", "lease"] as const
export type CompareFigure = (typeof compareFigures)[number]

/** A key's value, bytewise. A key that does not exist has none: every such compare of it is false. */
export interface CompareValue {
  readonly _tag: "CompareValue"
  readonly key: Uint8Array
  readonly operator: CompareOperator
  readonly value: Uint8Array
}

export interface CompareNumber {
  readonly _tag: "CompareNumber"
  readonly key: Uint8Array
  readonly figure: CompareFigure
  readonly operator: CompareOperator
  readonly value: number
}

export interface CompareExists {
  readonly _tag: "CompareExists"
  readonly key: Uint8Array
  readonly exists: boolean
}

export type Compare = CompareValue | CompareNumber | CompareExists

export interface PutOperation {
  readonly _tag: "Put"
  readonly key: Uint8Array
  readonly value: Uint8Array
  /** The lease to attach the key to; 0 for none. */
  readonly lease: number
}

export interface DeleteOperation {
  readonly _tag: "Delete"
  readonly key: Uint8Array
}

/**
 * Removes every key of a range, at most `maxRangeDeletes` of them and as many as the transaction may look at; more
 * refuse the whole transaction.
 */
export interface DeleteRangeOperation {
  readonly _tag: "DeleteRange"
  readonly range: KeyRange
}

export interface GetOperation {
  readonly _tag: "Get"
  readonly key: Uint8Array
}

/** The first keys of a range, or the last ones. */
export interface RangeOperation {
  readonly _tag: "Range"
  readonly range: KeyRange
  readonly limit: number
  readonly keysOnly: boolean
  readonly reverse: boolean
}

export type Operation = PutOperation | DeleteOperation | DeleteRangeOperation | GetOperation | RangeOperation

export interface Transaction {
  /** Without any, `success` is what is done. */
  readonly compares: ReadonlyArray<Compare>
  /** Carried out in order when all compares hold: a later operation sees an earlier one. */
  readonly success: ReadonlyArray<Operation>
  /** Carried out when one of them does not. */
  readonly failure: ReadonlyArray<Operation>
}

const tags = { Put: 1, Delete: 2, DeleteRange: 3, Get: 4, Range: 5 } as const
const compareTags = { CompareValue: 1, CompareNumber: 2, CompareExists: 16 } as const
const keysOnlyFlag = 1
const reverseFlag = 2

/** Whether an operation may change something. */
export const writes = (operation: Operation): boolean => operation._tag !== "Get" && operation._tag !== "Range"

/**
 * Most bytes of keys and values that a transaction may be answered with, whichever way it goes; 0 when it reads none.
 */
export const maxAnswerBytes = ({ failure, success }: Transaction): number =>
  Math.max(readBytes(success), readBytes(failure))

const readBytes = (operations: ReadonlyArray<Operation>): number => {
  let bytes = 0
  for (const operation of operations) {
    if (operation._tag === "Get") bytes += maxRecordBytes
    else if (operation._tag === "Range") bytes += maxPageBytesOf(operation.limit, operation.keysOnly)
  }
  // What it is answered is one page, however many operations read it.
  return Math.min(bytes, maxPageBytesOf(maxScanLimit, false))
}

/** Whether a transaction only reads, whichever way it goes: it then needs no entry in the log. */
export const onlyReads = (transaction: Transaction): boolean =>
  !transaction.success.some(writes) && !transaction.failure.some(writes)

/** Whether a transaction touches nothing but single keys, which are known before it is carried out. */
export const onlySingleKeys = ({ failure, success }: Transaction): boolean =>
  !success.some(isRange) && !failure.some(isRange)

const isRange = (operation: Operation): operation is RangeOperation | DeleteRangeOperation =>
  operation._tag === "Range" || operation._tag === "DeleteRange"

/** The single keys that a transaction may touch. */
export const touchedKeys = (transaction: Transaction): ReadonlyArray<Uint8Array> => {
  const keys = transaction.compares.map(({ key }) => key)
  addKeys(transaction.success, keys)
  addKeys(transaction.failure, keys)
  return keys
}

const addKeys = (operations: ReadonlyArray<Operation>, keys: Array<Uint8Array>): void => {
  for (let i = 0; i < operations.length; i++) {
    const operation = operations[i] as Operation
    if (!isRange(operation)) keys.push(operation.key)
  }
}

/** Whether a compare holds for what is there. */
export const holds = (compare: Compare, record: KeyRecord | undefined): boolean => {
  switch (compare._tag) {
    case "CompareExists":
      return compare.exists === (record !== undefined)
    case "CompareNumber":
      return related((record?.[compare.figure] ?? 0) - compare.value, compare.operator)
    case "CompareValue":
      return record !== undefined && related(compareBytes(record.value, compare.value), compare.operator)
  }
}

const related = (order: number, operator: CompareOperator): boolean => {
  switch (operator) {
    case "=":
      return order === 0
    case "!=":
      return order !== 0
    case "<":
      return order < 0
    case "<=":
      return order <= 0
    case ">":
      return order > 0
    case ">=":
      return order >= 0
  }
}

/** What is wrong with a transaction, if anything; the field says where. */
export const transactionProblem = (transaction: Transaction): Problem | undefined => {
  const { compares, failure, success } = transaction
  if (compares.length > maxTransactionOperations) return tooMany("compares", compares.length)
  for (let i = 0; i < compares.length; i++) {
    const found = compareProblem(compares[i] as Compare)
    if (found !== undefined) return within(`compares[${i}]`, found)
  }
  return listProblem(success, "success") ?? listProblem(failure, "failure")
}

const tooMany = (field: string, count: number): Problem =>
  problem(field, `has ${count} elements; at most ${maxTransactionOperations} are allowed`)

/** What is wrong with the size of an encoded transaction, if anything. */
export const transactionSizeProblem = (bytes: number): Problem | undefined =>
  bytes > maxTransactionBytes
    ? problem("transaction", `has ${bytes} bytes; at most ${maxTransactionBytes} are allowed`)
    : undefined

/** The same problem of a part of a transaction. The names of parts are made for problems alone: most have none. */
const within = (part: string, { field, problem: text }: Problem): Problem => problem(`${part}.${field}`, text)

const compareProblem = (compare: Compare): Problem | undefined =>
  keyProblem(compare.key.byteLength) ??
    (compare._tag === "CompareValue"
      ? valueProblem(compare.value.byteLength)
      : compare._tag === "CompareNumber"
      ? countProblem(compare.value, compare.figure)
      : undefined)

const listProblem = (operations: ReadonlyArray<Operation>, list: string): Problem | undefined => {
  if (operations.length > maxTransactionOperations) return tooMany(list, operations.length)
  for (let i = 0; i < operations.length; i++) {
    const found = operationProblem(operations[i] as Operation)
    if (found !== undefined) return within(`${list}[${i}]`, found)
  }
  return repeatedWrite(operations, list)
}

const operationProblem = (operation: Operation): Problem | undefined => {
  switch (operation._tag) {
    case "Put":
      return keyProblem(operation.key.byteLength) ?? valueProblem(operation.value.byteLength) ??
        countProblem(operation.lease, "lease")
    case "Delete":
    case "Get":
      return keyProblem(operation.key.byteLength)
    case "DeleteRange":
      return rangeProblem(operation.range)
    case "Range":
      return rangeProblem(operation.range) ?? limitProblem(operation.limit)
  }
}

/** A transaction takes one revision, and a key has one change in a revision: two writes of one key have no meaning. */
const repeatedWrite = (operations: ReadonlyArray<Operation>, list: string): Problem | undefined => {
  if (operations.length < 2) return undefined
  writtenKeys.begin(operations.length)
  let ranges: Array<KeyRange> | undefined
  for (let i = 0; i < operations.length; i++) {
    const operation = operations[i] as Operation
    if (operation._tag === "DeleteRange") {
      const { range } = operation
      const before = operations.slice(0, i)
      if (ranges?.some((other) => overlaps(other, range)) === true || before.some((one) => writesIn(range, one))) {
        return problem(`${list}[${i}].range`, "holds a key that this list already writes")
      }
      ranges = [...ranges ?? [], range]
    } else if (operation._tag === "Put" || operation._tag === "Delete") {
      const { key } = operation
      if (!writtenKeys.add(operations, i, key) || ranges?.some((range) => contains(range, key)) === true) {
        return problem(`${list}[${i}].key`, "is already written by this list")
      }
    }
  }
  return undefined
}

const writesIn = (range: KeyRange, operation: Operation): boolean =>
  (operation._tag === "Put" || operation._tag === "Delete") && contains(range, operation.key)

const writtenKeys = new DistinctKeys(maxTransactionOperations)

/** Bytes that {@link writeTransaction} takes. */
const transactionBytes = ({ compares, failure, success }: Transaction): number => {
  let bytes = 6 + operationBytes(success) + operationBytes(failure)
  for (let i = 0; i < compares.length; i++) {
    const compare = compares[i] as Compare
    bytes += 4 + compare.key.byteLength
    bytes += compare._tag === "CompareValue" ? 4 + compare.value.byteLength : compare._tag === "CompareNumber" ? 8 : 1
  }
  return bytes
}

const operationBytes = (operations: ReadonlyArray<Operation>): number => {
  let bytes = 0
  for (let i = 0; i < operations.length; i++) {
    const operation = operations[i] as Operation
    if (operation._tag === "Put") bytes += 15 + operation.key.byteLength + operation.value.byteLength
    else if (operation._tag === "Delete" || operation._tag === "Get") bytes += 3 + operation.key.byteLength
    else bytes += operation.range.gte.byteLength + operation.range.lt.byteLength + 5
    if (operation._tag === "Range") bytes += 5
  }
  return bytes
}

/** Appends a transaction that {@link transactionProblem} has nothing against. `begin` makes room for so many bytes. */
export const writeTransaction = (begin: (bytes: number) => Writer, transaction: Transaction): Writer => {
  const writer = begin(transactionBytes(transaction)).u16(transaction.compares.length)
  for (const compare of transaction.compares) writeCompare(writer, compare)
  for (const operations of [transaction.success, transaction.failure]) {
    writer.u16(operations.length)
    for (const operation of operations) writeOperation(writer, operation)
  }
  return writer
}

const writeCompare = (writer: Writer, compare: Compare): void => {
  const operator = compare._tag === "CompareExists" ? 0 : compareOperators.indexOf(compare.operator)
  const tag = compareTags[compare._tag] +
    (compare._tag === "CompareNumber" ? compareFigures.indexOf(compare.figure) : 0)
  writer.u8(tag).u8(operator).short(compare.key)
  if (compare._tag === "CompareValue") writer.long(compare.value)
  else if (compare._tag === "CompareNumber") writer.u64(compare.value)
  else writer.u8(compare.exists ? 1 : 0)
}

const writeOperation = (writer: Writer, operation: Operation): void => {
  writer.u8(tags[operation._tag])
  switch (operation._tag) {
    case "Put":
      writer.u64(operation.lease).short(operation.key).long(operation.value)
      return
    case "Delete":
    case "Get":
      writer.short(operation.key)
      return
    case "DeleteRange":
      writer.short(operation.range.gte).short(operation.range.lt)
      return
    case "Range":
      writer.u8((operation.keysOnly ? keysOnlyFlag : 0) | (operation.reverse ? reverseFlag : 0))
      writer.u32(operation.limit).short(operation.range.gte).short(operation.range.lt)
  }
}

/** The transaction a reader holds next, whose fields are views; `undefined` when there is none. */
export const readTransaction = (reader: Reader): Transaction | undefined => {
  const compares = readList(reader, readCompare)
  const success = readList(reader, readOperation)
  const failure = readList(reader, readOperation)
  return compares === undefined || success === undefined || failure === undefined || reader.failed
    ? undefined
    : { compares, success, failure }
}

const readList = <A>(reader: Reader, read: (reader: Reader) => A | undefined): ReadonlyArray<A> | undefined => {
  const count = reader.u16()
  const list: Array<A> = []
  for (let i = 0; i < count; i++) {
    const element = read(reader)
    if (element === undefined || reader.failed) return undefined
    list.push(element)
  }
  return list
}

const readCompare = (reader: Reader): Compare | undefined => {
  const tag = reader.u8()
  const operator = compareOperators[reader.u8()]
  const key = reader.short()
  if (operator === undefined) return undefined
  if (tag === compareTags.CompareValue) return { _tag: "CompareValue", key, operator, value: reader.long() }
  if (tag === compareTags.CompareExists) return { _tag: "CompareExists", key, exists: reader.u8() === 1 }
  const figure = compareFigures[tag - compareTags.CompareNumber]
  return figure === undefined ? undefined : { _tag: "CompareNumber", key, figure, operator, value: reader.u64() }
}

const readOperation = (reader: Reader): Operation | undefined => {
  switch (reader.u8()) {
    case tags.Put: {
      const lease = reader.u64()
      return { _tag: "Put", lease, key: reader.short(), value: reader.long() }
    }
    case tags.Delete:
      return { _tag: "Delete", key: reader.short() }
    case tags.DeleteRange:
      return { _tag: "DeleteRange", range: { gte: reader.short(), lt: reader.short() } }
    case tags.Get:
      return { _tag: "Get", key: reader.short() }
    case tags.Range: {
      const flags = reader.u8()
      const limit = reader.u32()
      return {
        _tag: "Range",
        range: { gte: reader.short(), lt: reader.short() },
        limit,
        keysOnly: (flags & keysOnlyFlag) !== 0,
        reverse: (flags & reverseFlag) !== 0
      }
    }
    default:
      return undefined
  }
}
