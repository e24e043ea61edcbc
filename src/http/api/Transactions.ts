/** Transactions of the API: from JSON to those of the store, carried out once, and their results back to JSON. */
import { Effect } from "effect"
import { InvalidArgument, ResultsNotKept } from "../../FlareDbError.ts"
import { prefixRange } from "../../bytes/KeyRange.ts"
import type { ReadOptions } from "../../client/session/Requests.ts"
import { unexpected } from "../../client/session/Requests.ts"
import { defaultScanLimit } from "../../kv/model/Limits.ts"
import type { OperationResult } from "../../kv/model/Reply.ts"
import type { Compare, Operation as StoreOperation, Transaction } from "../../kv/model/Transaction.ts"
import { onlyReads } from "../../kv/model/Transaction.ts"
import type { Condition, Operation, OperationAnswer, TransactionRequest } from "./Answers.ts"
import type { ApiServer, Asked, Failure } from "./ApiServer.ts"
import type { Encoding } from "./Entries.ts"
import { bytesIn, entryJson } from "./Entries.ts"
import type { Carried } from "./RequestIds.ts"
import { idProblem } from "./RequestIds.ts"

/** Carries a transaction out as its caller; once, when it has an id. */
export const carryOut = (
  { ids }: ApiServer["Service"],
  { caller, requests }: Asked,
  transaction: Transaction,
  options: ReadOptions & { readonly timeoutMs: number },
  id: string | undefined
): Effect.Effect<Carried, Failure> => {
  if (id !== undefined && !onlyReads(transaction)) {
    const problem = idProblem(id)
    if (problem !== undefined) return Effect.fail(problem)
    const command = { _tag: "Transact", transaction } as const
    const { timeoutMs } = options
    const request = { id, caller, command, timeoutMs, stillAllowed: requests.stillAllowed(command) }
    return requests.carryOut(command, ids.transact(request, transaction))
  }
  const asked = { _tag: "Transact", transaction } as const
  const answered = onlyReads(transaction) ? requests.read(asked, options) : requests.write(asked, options)
  return Effect.flatMap(answered, (reply): Effect.Effect<Carried, Failure> => {
    const { revision } = reply
    if (reply._tag === "DigestReply") {
      return Effect.fail(new ResultsNotKept({ revision, succeeded: reply.succeeded }))
    }
    if (reply._tag !== "TransactionReply") throw unexpected(reply)
    return Effect.succeed({ done: true, succeeded: reply.succeeded, revision, results: reply.results })
  })
}

/** What a place in a request has to hold, or the first thing that is wrong. */
class Problem {
  readonly error: InvalidArgument

  constructor(error: InvalidArgument) {
    this.error = error
  }
}

/** Bytes in a place of a request; throws a {@link Problem}, which {@link transactionIn} catches. */
const read = (field: string, text: string, encoding: Encoding): Uint8Array => {
  const bytes = bytesIn(field, text, encoding)
  if (bytes instanceof InvalidArgument) throw new Problem(bytes)
  return bytes
}

const compareIn = (condition: Condition, field: string, encoding: Encoding): Compare => {
  const key = read(`${field}.key`, condition.key, condition.keyEncoding ?? encoding)
  if ("exists" in condition) return { _tag: "CompareExists", key, exists: condition.exists }
  const { is: operator } = condition
  return condition.field === "value"
    ? {
      _tag: "CompareValue",
      key,
      operator,
      value: read(`${field}.to`, condition.to, condition.valueEncoding ?? encoding)
    }
    : { _tag: "CompareNumber", key, figure: condition.field, operator, value: condition.to }
}

const operationIn = (operation: Operation, field: string, encoding: Encoding): StoreOperation => {
  const own = operation.keyEncoding ?? encoding
  switch (operation.op) {
    case "put":
      return {
        _tag: "Put",
        key: read(`${field}.key`, operation.key, own),
        value: read(`${field}.value`, operation.value, operation.valueEncoding ?? encoding),
        lease: operation.lease ?? 0
      }
    case "delete":
      return { _tag: "Delete", key: read(`${field}.key`, operation.key, own) }
    case "get":
      return { _tag: "Get", key: read(`${field}.key`, operation.key, own) }
    case "deletePrefix":
      return { _tag: "DeleteRange", range: prefixRange(read(`${field}.prefix`, operation.prefix, own)) }
    case "scan":
      return {
        _tag: "Range",
        range: prefixRange(read(`${field}.prefix`, operation.prefix, own)),
        limit: operation.limit ?? defaultScanLimit,
        keysOnly: operation.keysOnly ?? false,
        reverse: operation.reverse ?? false
      }
  }
}

/** The transaction that a request asks for, or what is wrong with it. */
export const transactionIn = (request: typeof TransactionRequest.Type): Transaction | InvalidArgument => {
  const { do: success = [], else: failure = [], encoding = "text", if: compares = [] } = request
  try {
    return {
      compares: compares.map((one, i) => compareIn(one, `if[${i}]`, encoding)),
      success: success.map((one, i) => operationIn(one, `do[${i}]`, encoding)),
      failure: failure.map((one, i) => operationIn(one, `else[${i}]`, encoding))
    }
  } catch (error) {
    if (error instanceof Problem) return error.error
    throw error
  }
}

/** One result as JSON, by the operation in its place. */
export const resultJson = (operation: StoreOperation, result: OperationResult, encoding: Encoding): OperationAnswer => {
  switch (result._tag) {
    case "Put":
      return { op: "put", created: result.version === 1, version: result.version }
    case "Delete":
      return operation._tag === "DeleteRange"
        ? { op: "deletePrefix", deleted: result.deleted }
        : { op: "delete", deleted: result.deleted === 1 }
    case "Get": {
      const key = "key" in operation ? operation.key : new Uint8Array(0)
      const { record } = result
      return { op: "get", entry: record === undefined ? null : entryJson(key, record, encoding) }
    }
    case "Range": {
      const keysOnly = operation._tag === "Range" && operation.keysOnly
      const entries = result.rows.map(({ key, record }) => entryJson(key, record, encoding, keysOnly))
      return { op: "scan", entries, more: result.more }
    }
  }
}
