/** The handlers for single keys, pages of them, and their number. */
import { Effect, Option } from "effect"
import type { HttpServerRequest } from "effect/http"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder, HttpApiSchema } from "effect/http-api"
import { jsonField } from "../../client/Encoding.ts"
import { InvalidArgument } from "../../FlareDbError.ts"
import { maxValueBytes } from "../../kv/model/Limits.ts"
import type { OperationResult } from "../../kv/model/Reply.ts"
import type { Compare, Operation } from "../../kv/model/Transaction.ts"
import type { DeleteAnswer, PutAnswer } from "./Answers.ts"
import { Api } from "./Api.ts"
import type { Asked, Failure } from "./ApiServer.ts"
import { answer, ApiServer, timeLimit, withBody } from "./ApiServer.ts"
import type { Encoding } from "./Entries.ts"
import { bytesIn, entryJson } from "./Entries.ts"
import { apiFailure } from "./Failures.ts"
import { keyInPath } from "./KeyPath.ts"
import { conditionsOf, etagOf, isKnown } from "./Preconditions.ts"
import { carryOut } from "./Transactions.ts"

type Request = HttpServerRequest.HttpServerRequest

/** How the strings of a request are written. */
interface EncodingQuery {
  readonly encoding?: Encoding
  readonly keyEncoding?: Encoding
}

/** Bytes of a request, or its failure. */
const orFail = (bytes: Uint8Array | InvalidArgument): Effect.Effect<Uint8Array, InvalidArgument> =>
  bytes instanceof InvalidArgument ? Effect.fail(bytes) : Effect.succeed(bytes)

const keyOf = ({ url }: Request, { keyEncoding = "text" }: EncodingQuery) => orFail(keyInPath(url, keyEncoding))

/** The prefix of a request; all keys when it has none. */
export const prefixOf = ({ encoding = "text", keyEncoding = encoding, prefix = "" }: EncodingQuery & {
  readonly prefix?: string
}) => orFail(bytesIn("prefix", prefix, keyEncoding))

const notFound = apiFailure("KeyNotFound", "there is no such key", {})

const conflict = (key: Uint8Array, result: OperationResult | undefined, encoding: Encoding) => {
  const record = result?._tag === "Get" ? result.record : undefined
  const current = record === undefined ? null : entryJson(key, record, encoding)
  const now = current === null ? "the key does not exist" : `its ETag is ${etagOf(current.modRevision)}`
  return apiFailure("Conflict", `the precondition does not hold: ${now}. Nothing was written`, { current })
}

/** A write of one key with conditions or an id: a transaction that reads the key when it does not write it. */
const writeKey = Effect.fnUntraced(function*(
  server: ApiServer["Service"],
  asked: Asked,
  { conditions, encoding = "text", id, key, operation, timeoutMs }: {
    readonly key: Uint8Array
    readonly operation: Operation
    readonly conditions: ReadonlyArray<Compare>
    readonly id: string | undefined
    readonly encoding?: Encoding | undefined
    readonly timeoutMs: number
  }
): Effect.fn.Return<{ readonly revision: number; readonly result: OperationResult | undefined }, Failure> {
  const transaction = {
    compares: conditions,
    success: [operation],
    failure: [{ _tag: "Get", key } as const]
  }
  const { results, revision, succeeded } = yield* carryOut(server, asked, transaction, { timeoutMs }, id)
  if (!succeeded) return yield* Effect.fail(conflict(key, results?.[0], encoding))
  return { revision, result: results?.[0] }
})

const get = (server: ApiServer["Service"]) =>
({ headers, query, request }: {
  readonly request: Request
  readonly headers: { readonly "if-none-match"?: string }
  readonly query: EncodingQuery & { readonly as?: "raw" | "json" } & Parameters<Asked["keyValue"]["get"]>[1]
}) =>
  answer(server, request, ({ keyValue }) =>
    Effect.gen(function*() {
      const key = yield* keyOf(request, query)
      const found = yield* keyValue.get(key, { ...query, ...timeLimit(query) })
      if (Option.isNone(found)) return yield* Effect.fail(notFound)
      const { createRevision, lease, modRevision, value, version } = found.value
      const tags = {
        etag: etagOf(modRevision),
        "flaredb-create-revision": String(createRevision),
        "flaredb-version": String(version),
        ...lease === 0 ? {} : { "flaredb-lease": String(lease) }
      }
      if (isKnown(headers["if-none-match"], modRevision)) {
        return HttpServerResponse.empty({ status: 304, headers: tags })
      }
      return query.as === "json"
        ? HttpServerResponse.jsonUnsafe(entryJson(key, found.value, query.encoding ?? "text"), { headers: tags })
        : HttpServerResponse.uint8Array(value, { headers: tags, contentType: "application/octet-stream" })
    }))

const put = (server: ApiServer["Service"], asked: Asked, value: Uint8Array, { headers, query, request }: {
  readonly request: Request
  readonly headers: Parameters<typeof conditionsOf>[1] & { readonly "idempotency-key"?: string }
  readonly query: EncodingQuery & { readonly lease?: number; readonly timeoutMs?: number }
}): Effect.Effect<typeof PutAnswer.Type, Failure> =>
  Effect.gen(function*() {
    const key = yield* keyOf(request, query)
    const conditions = conditionsOf(key, headers)
    if (conditions instanceof InvalidArgument) return yield* conditions
    const { lease = 0 } = query
    const { timeoutMs } = timeLimit(query)
    const id = headers["idempotency-key"]
    if (conditions.length === 0 && id === undefined) return yield* asked.keyValue.put(key, value, { lease, timeoutMs })
    const { result, revision } = yield* writeKey(server, asked, {
      key,
      operation: { _tag: "Put", key, value, lease },
      conditions,
      id,
      encoding: query.encoding,
      timeoutMs
    })
    return result?._tag === "Put"
      ? { revision, created: result.version === 1, version: result.version }
      : { revision, replayed: true as const }
  })

const remove = (server: ApiServer["Service"], asked: Asked, { headers, query, request }: {
  readonly request: Request
  readonly headers: Parameters<typeof conditionsOf>[1] & { readonly "idempotency-key"?: string }
  readonly query: EncodingQuery & { readonly timeoutMs?: number }
}): Effect.Effect<typeof DeleteAnswer.Type, Failure> =>
  Effect.gen(function*() {
    const key = yield* keyOf(request, query)
    const conditions = conditionsOf(key, headers)
    if (conditions instanceof InvalidArgument) return yield* conditions
    const { timeoutMs } = timeLimit(query)
    const id = headers["idempotency-key"]
    if (conditions.length === 0 && id === undefined) return yield* asked.keyValue.delete(key, { timeoutMs })
    const { result, revision } = yield* writeKey(server, asked, {
      key,
      operation: { _tag: "Delete", key },
      conditions,
      id,
      encoding: query.encoding,
      timeoutMs
    })
    return result?._tag === "Delete"
      ? { revision, deleted: result.deleted === 1 }
      : { revision, replayed: true as const }
  })

export const keyHandlers = HttpApiBuilder.group(Api, "keys", (handlers) =>
  Effect.map(ApiServer, (server) =>
    handlers
      .handle("get", get(server))
      .handleRaw("put", (asked) =>
        Effect.map(
          answer(
            server,
            asked.request,
            (as) => withBody(server, asked.request, maxValueBytes, (value) => put(server, as, value, asked))
          ),
          (body) =>
            HttpServerResponse.isHttpServerResponse(body)
              ? body
              : HttpApiSchema.withHeaders({ body, headers: { etag: etagOf(body.revision) } })
        ))
      .handle("delete", (asked) => answer(server, asked.request, (as) => remove(server, as, asked)))
      .handle("scan", ({ query, request }) =>
        answer(server, request, ({ keyValue, room }) =>
          server.pages.withPermits(1)(Effect.gen(function*() {
            // Others may have answered much while this one waited.
            const full = room()
            if (full !== undefined) return yield* full
            const { cursor, encoding = "text", keysOnly = false, limit, reverse } = query
            const prefix = yield* prefixOf(query)
            const from = cursor === undefined
              ? undefined
              : yield* orFail(bytesIn("cursor", cursor, query.cursorEncoding ?? encoding))
            const page = yield* keyValue.scan(prefix, {
              ...query,
              ...timeLimit(query),
              limit,
              reverse,
              keysOnly,
              cursor: from
            })
            return {
              entries: page.entries.map((entry) =>
                entryJson(entry.key, entry, encoding, keysOnly)
              ),
              ...page.cursor === undefined ? {} : jsonField("cursor", page.cursor, encoding),
              revision: page.revision
            }
          }))))
      .handle("count", ({ query, request }) =>
        answer(server, request, ({ keyValue }) =>
          Effect.flatMap(prefixOf(query), (prefix) =>
            Effect.map(
              keyValue.count(prefix, { ...query, ...timeLimit(query) }),
              (count) => ({ count })
            ))))))
