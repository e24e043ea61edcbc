/**
 * What the node serves for its console, beside the files of the page:
 *
 * | path                        | answers                                                                   |
 * | --------------------------- | ------------------------------------------------------------------------- |
 * | `/console/events`           | the cluster once a second, as server-sent events                           |
 * | `/console/watch?prefix=…`   | the changes of a prefix (Base64), as server-sent events                    |
 * | `/console/calls/NAME`       | one call of `ConsoleCalls.ts`, JSON for JSON                               |
 * | `/console/calls/PART/NAME`  | one call of a part that was added (`ConsoleParts.ts`)                      |
 *
 * A call needs the header `x-flaredb-console`, which no form and no page of another site can send: a browser that shows
 * a certificate by itself writes nothing for them.
 */
import { Context, Effect, Layer, Result, Schema, Stream } from "effect"
import type { HttpServerResponse } from "effect/http"
import { HttpRouter, HttpServerRequest } from "effect/http"
import { stillHolds } from "../../callers/Authentication.ts"
import { onlyAdministrators } from "../../callers/OnlyAdministrators.ts"
import { ClusterAdmin } from "../../client/ClusterAdmin.ts"
import type { ClientServices } from "../../client/RemoteClient.ts"
import { formatEndpoint } from "../../client/connection/Endpoint.ts"
import { Watch } from "../../client/Watch.ts"
import { InvalidArgument, Unauthenticated } from "../../FlareDbError.ts"
import type { AccessError, Unavailable } from "../../FlareDbError.ts"
import { RaftNode } from "../../node/RaftNode.ts"
import type { SentEvent } from "../api/EventStreams.ts"
import { isCrossSite } from "../api/CrossSite.ts"
import { EventStreams, whileAllowed } from "../api/EventStreams.ts"
import { unlessRefused } from "../../server/UnlessRefused.ts"
import { RequestCaller } from "../RequestCaller.ts"
import { answered, failureAnswer } from "./Answers.ts"
import type { CallerClientsOptions } from "./CallerClients.ts"
import { CallerClients } from "./CallerClients.ts"
import type { Failure } from "./ConsoleCalls.ts"
import { consoleCalls } from "./ConsoleCalls.ts"
import { answerFile, consolePaths } from "./ConsoleFiles.ts"
import { ConsoleParts } from "./ConsoleParts.ts"
import { withFailure } from "./StreamEnd.ts"
import { Bytes } from "./KeyBytes.ts"
import { Sampler } from "./Sampler.ts"
import { Places } from "./Places.ts"
import { maxWatching, watchEvents } from "./WatchEvents.ts"

/** The header of a call. */
const callHeader = "x-flaredb-console"

/** Most characters of a call: a value of the largest size as Base64, and its key. */
const maxCallCharacters = 2 * 1024 * 1024

const refuse = (tag: string, message: string): Failure => ({ _tag: tag, message })

/** What every console needs to know. */
export interface OverviewOptions extends Pick<CallerClientsOptions, "endpoints"> {
  /** Milliseconds after which a page that takes nothing is closed. */
  readonly maxFrameMs: number
}

type Node = RaftNode["Service"]

type Told = Pick<RequestCaller, "known" | "refused">

/** Whether what a caller proved when a stream began still holds. A refusal is counted and written down. */
const stillKnown = (node: Node, { known, refused }: Told): Effect.Effect<void, Unauthenticated> =>
  Effect.suspend(() => {
    const { access = onlyAdministrators } = node
    if (stillHolds(access, known)) return Effect.void
    const error = new Unauthenticated({
      reason: `the token of ${known.caller?.name} was removed or has ended; log in with another one`
    })
    refused(error)
    return Effect.fail(error)
  })

/** The same for the overview, which is for administrators. */
const mayOverview = (node: Node, request: Told): Effect.Effect<void, AccessError | Unavailable> => {
  const { access = onlyAdministrators } = node
  const { known: { caller }, refused } = request
  const known = stillKnown(node, request)
  return caller === undefined
    ? known
    : Effect.andThen(known, unlessRefused(node, () => access.admin(caller, "status-page"), refused))
}

const events = (node: Node, sampler: Sampler, streams: EventStreams) =>
  Effect.flatMap(RequestCaller, (caller) =>
    streams.answer(
      withFailure(whileAllowed(
        Stream.unwrap(
          Effect.map(
            sampler.view,
            (viewed) =>
              Stream.map(Stream.fromQueue(viewed), (samples): SentEvent => ({ event: "samples", data: samples }))
          )
        ),
        mayOverview(node, caller)
      ))
    ))

const crossSite = failureAnswer(refuse("CrossSite", "only pages of this node may watch what happens"))

/** A page of another site cannot read a stream, and could open all that a node has room for. */
const forOwnPages = <R>(answer: Effect.Effect<HttpServerResponse.HttpServerResponse, never, R>) =>
  Effect.flatMap(
    HttpServerRequest.HttpServerRequest,
    ({ headers }) => isCrossSite(headers) ? Effect.succeed(crossSite) : answer
  )

/** Whether another page may have made the request: a browser says where it comes from. */
const isForeign = (headers: Readonly<Record<string, string | undefined>>): boolean => {
  const site = headers["sec-fetch-site"]
  return headers[callHeader] === undefined || (site !== undefined && site !== "same-origin" && site !== "none")
}

/** The payload of a call. */
const payloadOf = (request: HttpServerRequest.HttpServerRequest): Effect.Effect<unknown, Failure> =>
  Effect.gen(function*() {
    if (isForeign(request.headers)) {
      return yield* Effect.fail(refuse("Unauthorized", `a call comes from the console itself, with ${callHeader}`))
    }
    const length = Number(request.headers["content-length"] ?? Number.NaN)
    if (!(length <= maxCallCharacters)) {
      return yield* Effect.fail(
        refuse("InvalidArgument", `a call says its length, which is at most ${maxCallCharacters} bytes`)
      )
    }
    const text = yield* Effect.mapError(request.text, () => refuse("InvalidArgument", "the call was cut short"))
    return yield* Effect.try({
      try: (): unknown => JSON.parse(text),
      catch: () => refuse("InvalidArgument", "the call is no JSON")
    })
  })

/** Calls of all pages under way at a node. */
const maxConsoleCalls = 64

const unknownCall = refuse(
  "NotFound",
  "this node does not know the call; reload the page, it may be of another version"
)

/** Who asks, and what there is to see. */
const whoami = (node: Node, parts: ReadonlyArray<string>, hasKeys: boolean) =>
  Effect.flatMap(RequestCaller, ({ known }) =>
    Effect.map(
      Effect.isSuccess(mayOverview(node, { known, refused: () => undefined })),
      (overview) => ({ name: known.caller?.name ?? null, overview, keys: hasKeys, parts })
    ))

const filesLayer = Layer.mergeAll(
  Layer.empty,
  ...consolePaths.map((path) => HttpRouter.add("GET", path as "/", answerFile(path)))
)

/** What any node shows: the cluster. */
const overviewLayer = (
  { endpoints, maxFrameMs }: OverviewOptions,
  parts: () => ReadonlyArray<string>,
  hasKeys: boolean
) =>
  Layer.unwrap(Effect.gen(function*() {
    const node = yield* RaftNode
    const sampler = new Sampler(yield* ClusterAdmin, new Map(endpoints.map((one) => [formatEndpoint(one), one.id])))
    const streams = yield* EventStreams.make(maxFrameMs)
    return Layer.mergeAll(
      filesLayer,
      HttpRouter.add("GET", "/console/events", forOwnPages(events(node, sampler, streams))),
      HttpRouter.add("POST", "/console/calls/whoami", (request) =>
        answered(Effect.andThen(payloadOf(request), whoami(node, parts(), hasKeys))))
    )
  }))

/** For a node with a state machine of one's own, whose console shows the cluster alone. */
export const layerOverview = (options: OverviewOptions) => overviewLayer(options, () => [], false)

type Parts = ConsoleParts["Service"]

const callOf = (parts: Parts, name: string, part: string | undefined, payload: unknown) => {
  if (part !== undefined) return parts.find(part)?.call(name, payload)
  // No name of `Object`'s own.
  return Object.hasOwn(consoleCalls, name) ? consoleCalls[name]?.answer(payload) : undefined
}

const answerCall = (
  clients: CallerClients,
  parts: Parts,
  calls: Places,
  request: HttpServerRequest.HttpServerRequest
) =>
  Effect.scoped(Effect.gen(function*() {
    yield* calls.take
    const payload = yield* payloadOf(request)
    const { name = "", part } = yield* HttpRouter.params
    const answer = callOf(parts, name, part, payload)
    if (answer === undefined) return yield* Effect.fail(unknownCall)
    const services = yield* clients.of(request.headers["authorization"])
    return yield* Effect.provideContext(answer, services) as Effect.Effect<unknown, Failure>
  }))

const prefixOf = (url: string): Uint8Array | InvalidArgument => {
  const given = new URLSearchParams(url.split("?", 2)[1] ?? "").get("prefix") ?? ""
  return Result.getOrElse(
    Schema.decodeUnknownResult(Bytes)(given),
    () => new InvalidArgument({ field: "prefix", problem: "is no Base64" })
  )
}

const watch = (clients: CallerClients, node: Node, watching: Places, streams: EventStreams) =>
  Effect.gen(function*() {
    const { headers, url } = yield* HttpServerRequest.HttpServerRequest
    const prefix = prefixOf(url)
    if (prefix instanceof InvalidArgument) return failureAnswer(prefix)
    const caller = yield* RequestCaller
    const opened = Effect.gen(function*() {
      yield* watching.take
      const services: Context.Context<ClientServices> = yield* clients.of(headers["authorization"])
      return watchEvents(Context.get(services, Watch), prefix)
    }).pipe(Effect.provideService(RequestCaller, caller))
    return yield* streams.answer(withFailure(whileAllowed(Stream.unwrap(opened), stillKnown(node, caller))))
  })

/** For a node with the key-value store. */
export const layer = (options: CallerClientsOptions & OverviewOptions) =>
  Layer.unwrap(Effect.gen(function*() {
    const node = yield* RaftNode
    const parts = yield* ConsoleParts
    const clients = yield* CallerClients.make(options)
    const watching = new Places("maxWatching", maxWatching)
    const streams = yield* EventStreams.make(options.maxFrameMs)
    const calls = new Places("maxConsoleCalls", maxConsoleCalls)
    const call = (request: HttpServerRequest.HttpServerRequest) => answered(answerCall(clients, parts, calls, request))
    return Layer.mergeAll(
      overviewLayer(options, parts.names, true),
      HttpRouter.add("POST", "/console/calls/:name", call),
      HttpRouter.add("POST", "/console/calls/:part/:name", call),
      HttpRouter.add("GET", "/console/watch", forOwnPages(watch(clients, node, watching, streams)))
    )
  }))
