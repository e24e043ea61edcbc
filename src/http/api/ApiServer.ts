/** What the handlers of the API have in common: who asks, within which limits, and how a failure is answered. */
import { ByteSize, Context, Effect, Semaphore } from "effect"
import type { HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpIncomingMessage } from "effect/http"
import { watchTables } from "../../BoundedTables.ts"
import type { OperationOptions, Requests } from "../../client/session/Requests.ts"
import { ClientRequests } from "../../client/session/Requests.ts"
import * as KeyValue from "../../client/KeyValue.ts"
import * as Leases from "../../client/Lease.ts"
import { Watch } from "../../client/Watch.ts"
import type { Limits } from "../../config/Limits.ts"
import type { Overloaded } from "../../FlareDbError.ts"
import { RaftNode } from "../../node/RaftNode.ts"
import type { RequestCaller as Asking } from "../RequestCaller.ts"
import { RequestCaller } from "../RequestCaller.ts"
import { CallerRequests } from "./CallerRequests.ts"
import { isCrossSite } from "./CrossSite.ts"
import { EventStreams } from "./EventStreams.ts"
import type { ApiFailure } from "./Failures.ts"
import { failed } from "./FailureResponse.ts"
import { apiFailure, failureOf } from "./Failures.ts"
import { RecordLeases } from "./RecordLeases.ts"
import { RequestIds } from "./RequestIds.ts"
import type { PermitLimits } from "./RequestPermits.ts"
import { RequestPermits } from "./RequestPermits.ts"
import type { RecordLimits } from "./RecordLeases.ts"

export type ApiLimits = PermitLimits & RecordLimits & Pick<Limits, "maxFrameMs">

/** The services of one caller. */
export interface Asked {
  /** The caller's name; `undefined` where callers are not asked. */
  readonly caller: string | undefined
  readonly requests: CallerRequests
  readonly keyValue: KeyValue.KeyValue["Service"]
  readonly leases: Leases.Leases["Service"]
  /** Why nothing large is answered now. */
  readonly room: () => Overloaded | undefined
}

/** How a handler fails: as the store does, or as only HTTP does. */
export type Failure = { readonly _tag: string; readonly message: string } | ApiFailure

type Request = HttpServerRequest.HttpServerRequest
type Response = HttpServerResponse.HttpServerResponse

/** Milliseconds that a request has unless it says otherwise. */
export const defaultTimeoutMs = 5_000

export const timeLimit = ({ timeoutMs }: OperationOptions): { readonly timeoutMs: number } => ({
  timeoutMs: timeoutMs ?? defaultTimeoutMs
})

/** Pages that are read at a time, of 5 MiB at most; other requests for pages wait. */
const maxPagesAtOnce = 8

const crossSite = apiFailure(
  "CrossSite",
  "a page of another site asked for this, and only pages of this node may write or watch",
  {}
)

export class ApiServer extends Context.Service<ApiServer, {
  readonly node: RaftNode["Service"]
  /** Those of the node, for what the API itself writes down. */
  readonly requests: Requests
  readonly ids: RequestIds
  readonly permits: RequestPermits
  readonly streams: EventStreams
  readonly watch: Watch["Service"]
  /** One permit for each page that is read: as many are in memory before their answers are counted. */
  readonly pages: Semaphore.Semaphore
}>()("flaredb/http/ApiServer") {}

/** The parts of the API of a node. */
export const make = Effect.fnUntraced(function*(limits: ApiLimits) {
  const requests = yield* ClientRequests
  const records = yield* RecordLeases.make(requests, limits)
  const permits = new RequestPermits(limits)
  const streams = yield* EventStreams.make(limits.maxFrameMs)
  yield* watchTables([
    ...permits.tables,
    {
      table: "request_ids",
      entries: () => records.records,
      limit: limits.maxRequestIds,
      setting: "maxRequestIds"
    }
  ])
  return ApiServer.of({
    node: yield* RaftNode,
    requests,
    ids: new RequestIds(requests, records),
    permits,
    streams,
    watch: yield* Watch,
    pages: Semaphore.makeUnsafe(maxPagesAtOnce)
  })
})

/** The services of the caller of a request, under a number that is given back. */
export const enter = ({ node, requests: own }: ApiServer["Service"], { callers, from, known, room }: Asking) => {
  const request = callers?.enter(known, from) ?? 0
  const requests = new CallerRequests({ requests: own, node, callers, request })
  const asked: Asked = {
    caller: known.caller?.name,
    requests,
    keyValue: KeyValue.make(requests),
    leases: Leases.make(requests),
    room
  }
  return { asked, leave: () => callers?.leave(request) }
}

/** Answers failures as the API tells them. What the API does not know is a bug, and stays one. */
export const answered = <A, R = never>(work: Effect.Effect<A, Failure, R>): Effect.Effect<A | Response, never, R> =>
  Effect.catch(work, (error): Effect.Effect<A | Response> => Effect.sync(() => failed(failureOf(error))))

/** Answers one request as its caller, within the limits of the node. */
export const answer = <A>(
  server: ApiServer["Service"],
  request: Request,
  handler: (asked: Asked) => Effect.Effect<A, Failure>
): Effect.Effect<A | Response> =>
  answered(Effect.suspend((): Effect.Effect<A, Failure> => {
    const isRead = request.method === "GET" || request.method === "HEAD"
    if (!isRead && isCrossSite(request.headers)) return Effect.fail(crossSite)
    return server.permits.within(
      "maxHttpRequests",
      1,
      Effect.acquireUseRelease(
        Effect.map(RequestCaller, (asking) => enter(server, asking)),
        ({ asked }) => handler(asked),
        ({ leave }) => Effect.sync(leave)
      )
    )
  }))

/** Refuses what a page of another site asks for. */
export const sameSite = (request: Request): Effect.Effect<void, ApiFailure> =>
  isCrossSite(request.headers) ? Effect.fail(crossSite) : Effect.void

const tooLarge = (maximum: number): ApiFailure =>
  apiFailure("BodyTooLarge", `the body has more than ${maximum} bytes`, { maximum })

/** Reads the body of a request, and has `use` work with it while its bytes count against the limit of the node. */
export const withBody = <A, E extends Failure>(
  { permits }: ApiServer["Service"],
  request: Request,
  maximum: number,
  use: (body: Uint8Array) => Effect.Effect<A, E>
): Effect.Effect<A, Failure> =>
  Effect.suspend((): Effect.Effect<A, Failure> => {
    const stated = request.headers["content-length"]
    // A body in chunks may become as large as it may be.
    const bytes = stated === undefined && request.headers["transfer-encoding"] === undefined
      ? 0
      : Number(stated ?? maximum)
    if (bytes > maximum) return Effect.fail(tooLarge(maximum))
    const body = Effect.mapError(
      Effect.provideService(request.arrayBuffer, HttpIncomingMessage.MaxBodySize, ByteSize.bytes(maximum)),
      (error) =>
        "reason" in error.reason && error.reason.reason === "BodyTooLarge"
          ? tooLarge(maximum)
          : apiFailure("InvalidArgument", "invalid body: it did not come whole", {
            field: "body",
            problem: "did not come whole"
          })
    )
    return permits.within("maxHttpBodyBytes", bytes, Effect.flatMap(body, (buffer) => use(new Uint8Array(buffer))))
  })
