/**
 * The HTTP API: which paths there are, what each takes and what it answers. Server, OpenAPI document and page are made
 * from this one definition.
 */
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiMiddleware, HttpApiSchema, OpenApi } from "effect/http-api"
import { maxWatchWaitMs } from "../../protocol/ClientRpcs.ts"
import { version } from "../../Version.ts"
import {
  ChangesData,
  CountAnswer,
  DeleteAnswer,
  GrantRequest,
  LeaseAnswer,
  LeaseDetails,
  LeaseId,
  LeaseList,
  PutAnswer,
  RevokeAnswer,
  ScanAnswer,
  TransactionAnswer,
  TransactionRequest
} from "./Answers.ts"
import { Encoding, Entry } from "./Entries.ts"
import { InvalidArgumentFailure, readFailures, watchFailures, writeFailures } from "./Failures.ts"

/** The longest time that a request may have, in milliseconds. */
export const maxTimeoutMs = 60_000

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const timeLimit = { timeoutMs: Schema.optionalKey(between(1, maxTimeoutMs)) }

const reading = {
  consistency: Schema.optionalKey(Schema.Literals(["linearizable", "stale"])),
  readFrom: Schema.optionalKey(Schema.Literals(["any", "leader"])),
  ...timeLimit
}

const inJson = { encoding: Schema.optionalKey(Encoding) }
const keyEncoding = { keyEncoding: Schema.optionalKey(Encoding) }

const prefixed = { prefix: Schema.optionalKey(Schema.String), ...inJson, ...keyEncoding }

const withId = { "idempotency-key": Schema.optionalKey(Schema.String) }
const preconditions = {
  "if-match": Schema.optionalKey(Schema.String),
  "if-none-match": Schema.optionalKey(Schema.String)
}

const etag = { etag: Schema.String }

const says = (summary: string, description?: string) =>
  OpenApi.annotations({ summary, ...description === undefined ? {} : { description } })

/** A request that does not fit the definition is answered like any other that is wrong. */
export class Malformed extends HttpApiMiddleware.Service<Malformed>()("flaredb/http/Malformed", {
  error: InvalidArgumentFailure
}) {}

const Keys = HttpApiGroup.make("keys").add(
  HttpApiEndpoint.get("get", "/v1/keys/*", {
    query: { as: Schema.optionalKey(Schema.Literals(["raw", "json"])), ...inJson, ...keyEncoding, ...reading },
    headers: { "if-none-match": Schema.optionalKey(Schema.String) },
    success: [HttpApiSchema.WithHeaders(Schema.Uint8Array.pipe(HttpApiSchema.asUint8Array()), etag), Entry],
    error: readFailures
  }).annotateMerge(says(
    "The value of a key",
    "The body is the value as it is, or with as=json the entry with its revisions. Headers: ETag, FlareDB-Version, " +
      "FlareDB-Create-Revision, FlareDB-Lease."
  )),
  HttpApiEndpoint.put("put", "/v1/keys/*", {
    query: { lease: Schema.optionalKey(LeaseId), ...inJson, ...keyEncoding, ...timeLimit },
    headers: { ...preconditions, ...withId },
    payload: Schema.Uint8Array.pipe(HttpApiSchema.asUint8Array()),
    success: HttpApiSchema.WithHeaders(PutAnswer, etag),
    error: writeFailures
  }).annotateMerge(says("Sets a key", "The body is the value as it is, whatever its content type says.")),
  HttpApiEndpoint.delete("delete", "/v1/keys/*", {
    query: { ...inJson, ...keyEncoding, ...timeLimit },
    headers: { ...preconditions, ...withId },
    success: DeleteAnswer,
    error: writeFailures
  }).annotateMerge(says("Removes a key", "A key that does not exist is no error.")),
  HttpApiEndpoint.get("scan", "/v1/scan", {
    query: {
      ...prefixed,
      limit: Schema.optionalKey(Schema.Natural),
      cursor: Schema.optionalKey(Schema.String),
      cursorEncoding: Schema.optionalKey(Encoding),
      reverse: Schema.optionalKey(Schema.Boolean),
      keysOnly: Schema.optionalKey(Schema.Boolean),
      ...reading
    },
    success: ScanAnswer,
    error: readFailures
  }).annotateMerge(says("A page of the keys with a prefix", "In byte order. The empty prefix means all.")),
  HttpApiEndpoint.get("count", "/v1/count", {
    query: { ...prefixed, ...reading },
    success: CountAnswer,
    error: readFailures
  }).annotateMerge(says("How many keys have a prefix"))
)

const Transactions = HttpApiGroup.make("transactions").add(
  HttpApiEndpoint.post("transact", "/v1/txn", {
    query: reading,
    headers: withId,
    payload: TransactionRequest,
    success: TransactionAnswer,
    error: writeFailures
  }).annotateMerge(says(
    "Compares keys, then does one list of operations or the other",
    "All of it atomically and in one revision. One that only reads needs no entry in the log."
  ))
)

const leaseId = { lease: Schema.Natural }

const Leases = HttpApiGroup.make("leases").add(
  HttpApiEndpoint.post("grant", "/v1/leases", {
    query: timeLimit,
    headers: withId,
    payload: GrantRequest,
    success: LeaseAnswer,
    error: writeFailures
  }).annotateMerge(says("Grants a lease", "Keys that are put with it are deleted when it ends.")),
  HttpApiEndpoint.get("leases", "/v1/leases", { query: reading, success: LeaseList, error: readFailures })
    .annotateMerge(says("Every lease")),
  HttpApiEndpoint.get("lease", "/v1/leases/:lease", {
    params: leaseId,
    query: { ...inJson, ...reading },
    success: LeaseDetails,
    error: readFailures
  }).annotateMerge(says("What is left of a lease, and its keys")),
  HttpApiEndpoint.post("keepAlive", "/v1/leases/:lease/keep-alive", {
    params: leaseId,
    query: timeLimit,
    success: LeaseAnswer,
    error: writeFailures
  }).annotateMerge(says("Restarts the time of a lease")),
  HttpApiEndpoint.delete("revoke", "/v1/leases/:lease", {
    params: leaseId,
    query: timeLimit,
    success: RevokeAnswer,
    error: writeFailures
  }).annotateMerge(says("Ends a lease and deletes its keys"))
)

const Watching = HttpApiGroup.make("watch").add(
  HttpApiEndpoint.get("watch", "/v1/watch", {
    query: {
      key: Schema.optionalKey(Schema.String),
      ...prefixed,
      from: Schema.optionalKey(Schema.Natural),
      previous: Schema.optionalKey(Schema.Boolean),
      only: Schema.optionalKey(Schema.Literals(["puts", "deletes"])),
      heartbeatMs: Schema.optionalKey(between(100, maxWatchWaitMs))
    },
    headers: { "last-event-id": Schema.optionalKey(Schema.String) },
    success: HttpApiSchema.StreamSse({ data: ChangesData }),
    error: watchFailures
  }).annotateMerge(says(
    "Every change of a key or prefix, once and in order",
    "Server-sent events: began, changes, and failure, which is the last. Each has an id to go on behind, as browsers " +
      "do with Last-Event-ID. Comments come while nothing changes."
  ))
)

type Document = Parameters<typeof OpenApi.Transform.Service>[0]

interface Operation {
  readonly parameters?: ReadonlyArray<unknown>
  readonly responses?: object
}

/** What a reader gets who has the value already: it has no body, so no schema. */
const unchanged = { "304": { description: "The key is as If-None-Match says: no body" } }

/** Names the part of a path that a router matches with a star, and adds what no schema says. */
const nameKeys = (spec: Document): Document => {
  const { "/v1/keys/*": keys, ...paths } = spec["paths"]
  const parameter = {
    name: "key",
    in: "path",
    required: true,
    schema: { type: "string" },
    description: "percent-encoded UTF-8, in which slashes may stand as they are; base64 with keyEncoding=base64"
  }
  const named = Object.fromEntries(
    Object.entries(keys as Record<string, Operation>).map(([method, operation]) => [method, {
      ...operation,
      parameters: [parameter, ...operation.parameters ?? []],
      responses: { ...operation.responses, ...method === "get" ? unchanged : {} }
    }])
  )
  return { ...spec, paths: { "/v1/keys/{key}": named, ...paths } }
}

export const Api = HttpApi.make("flaredb")
  .add(Keys)
  .add(Transactions)
  .add(Leases)
  .add(Watching)
  .middleware(Malformed)
  // A parameter that is mistyped would otherwise mean something else: a prefix that is none means all keys.
  .annotate(HttpApi.QueryParseOptions, { onExcessProperty: "error" })
  .annotateMerge(OpenApi.annotations({
    title: "FlareDB",
    version,
    description: "A replicated key-value store. Any node answers. docs/http-api.md tells of limits and promises.",
    transform: nameKeys
  }))
