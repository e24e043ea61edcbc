/** The handler for transactions. */
import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { InvalidArgument } from "../../FlareDbError.ts"
import { maxTransactionBytes } from "../../kv/model/Limits.ts"
import { TransactionRequest } from "./Answers.ts"
import { Api } from "./Api.ts"
import { answer, ApiServer, timeLimit, withBody } from "./ApiServer.ts"
import { decodeBody } from "./JsonBody.ts"
import { carryOut, resultJson, transactionIn } from "./Transactions.ts"

/** Most bytes of a transaction in JSON: base64 and names take room beside its keys and values. */
const maxTransactionBody = 2 * maxTransactionBytes

export const transactionHandlers = HttpApiBuilder.group(
  Api,
  "transactions",
  (handlers) =>
    Effect.map(
      ApiServer,
      (server) =>
        handlers.handleRaw("transact", ({ headers, query, request }) =>
          answer(server, request, (asked) =>
            withBody(server, request, maxTransactionBody, (body) =>
              Effect.gen(function*() {
                const decoded = yield* decodeBody(TransactionRequest, body)
                const transaction = transactionIn(decoded)
                if (transaction instanceof InvalidArgument) {
                  return yield* transaction
                }
                const options = { ...query, ...timeLimit(query) }
                const id = headers["idempotency-key"]
                const { results, revision, succeeded } = yield* carryOut(server, asked, transaction, options, id)
                if (results === undefined) {
                  return { succeeded, revision, replayed: true as const }
                }
                const operations = succeeded ? transaction.success : transaction.failure
                const { encoding = "text" } = decoded
                return {
                  succeeded,
                  revision,
                  results: operations.flatMap((operation, i) => {
                    const result = results[i]
                    return result === undefined ? [] : [resultJson(operation, result, encoding)]
                  })
                }
              }))))
    )
)
