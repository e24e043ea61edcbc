/**
 * The handler for watches: server-sent events, each with the id to go on behind. A caller that was cut off sends the
 * last one as `Last-Event-ID`, as browsers do by themselves, to any node, and misses nothing.
 */
import type { Scope } from "effect"
import { Effect, Pull, Stream } from "effect"
import type { HttpServerResponse } from "effect/http"
import { HttpServerRequest } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { jsonField } from "../../client/Encoding.ts"
import { Position } from "../../client/Position.ts"
import type { WatchFailure, WatchOptions, WatchTarget } from "../../client/Watch.ts"
import { defaultProgressMs, rangesOf } from "../../client/Watch.ts"
import type { Changes, WatchEvent, WatchNotice } from "../../client/WatchNotice.ts"
import type { AccessError, Unavailable } from "../../FlareDbError.ts"
import { InvalidArgument } from "../../FlareDbError.ts"
import { KeyRanges } from "../../kv/model/KeyRanges.ts"
import { RequestCaller } from "../RequestCaller.ts"
import type { ChangesData } from "./Answers.ts"
import { Api } from "./Api.ts"
import type { Failure } from "./ApiServer.ts"
import { answered, ApiServer, enter, sameSite } from "./ApiServer.ts"
import type { Encoding } from "./Entries.ts"
import { bytesIn, entryJson } from "./Entries.ts"
import type { SentEvent } from "./EventStreams.ts"
import { valueBytes, whileAllowed } from "./EventStreams.ts"
import { failureOf } from "./Failures.ts"

interface WatchQuery {
  readonly key?: string
  readonly prefix?: string
  readonly encoding?: Encoding
  readonly keyEncoding?: Encoding
  readonly from?: number
  readonly previous?: boolean
  readonly only?: "puts" | "deletes"
  readonly heartbeatMs?: number
}

interface WatchAsked {
  readonly request: HttpServerRequest.HttpServerRequest
  readonly query: WatchQuery
  readonly headers: { readonly "last-event-id"?: string }
}

const eventJson = (event: WatchEvent, encoding: Encoding): (typeof ChangesData.Type)["events"][number] => ({
  type: event._tag === "Put" ? "put" : "delete",
  ...jsonField("key", event.key, encoding),
  ...(event._tag === "Put" ? { entry: entryJson(event.key, event.entry, encoding) } : {}),
  ...(event.previous === undefined ? {} : { previous: entryJson(event.key, event.previous, encoding) })
})

const changesJson = ({ events, logTimeMs, revision }: Changes, encoding: Encoding): typeof ChangesData.Type => ({
  revision,
  logTimeMs,
  events: events.map((event) => eventJson(event, encoding))
})

const sentEvent = (notice: WatchNotice, encoding: Encoding): SentEvent => {
  const id = notice.position.encode()
  switch (notice._tag) {
    case "Began":
      return { event: "began", id, data: { revision: notice.revision } }
    case "Changes":
      return {
        event: "changes",
        id,
        bytes: valueBytes(notice.events),
        get data() {
          return changesJson(notice, encoding)
        }
      }
    case "Progress":
      return { comment: `nothing more up to revision ${notice.revision}`, id }
  }
}

/** The target of a watch: one key, or a prefix. */
const targetOf = ({ encoding = "text", key, keyEncoding = encoding, prefix }: WatchQuery) => {
  if (key !== undefined && prefix !== undefined) {
    return new InvalidArgument({ field: "key", problem: "and prefix are both given; one of them says what to watch" })
  }
  const field = key === undefined ? "prefix" : "key"
  const bytes = bytesIn(field, key ?? prefix ?? "", keyEncoding)
  if (bytes instanceof InvalidArgument) return bytes
  const target: WatchTarget = key === undefined ? { prefix: bytes } : { key: bytes }
  return target
}

/** Where a watch begins. */
type Beginning = Pick<WatchOptions, "after" | "fromRevision">

/** Where a watch begins: behind the last event that its caller has, or at a revision. */
const beginningOf = ({ headers, query: { from } }: WatchAsked): Effect.Effect<Beginning, InvalidArgument> => {
  const refused = (field: string, problem: string) => Effect.fail(new InvalidArgument({ field, problem }))
  const last = headers["last-event-id"]
  if (last === undefined || last === "") {
    return from === 0 ? refused("from", "is 0; the first revision is 1") : Effect.succeed({ fromRevision: from })
  }
  const behind: Effect.Effect<number | Position, InvalidArgument> = /^\d{1,16}$/.test(last)
    ? Effect.succeed(Number(last))
    : Position.decode(last)
  return Effect.matchEffect(behind, {
    onSuccess: (found) =>
      (typeof found === "number" ? found : found.revision) >= Number.MAX_SAFE_INTEGER
        ? refused("Last-Event-ID", `${JSON.stringify(last)} is behind all revisions`)
        : Effect.succeed<Beginning>(typeof found === "number" ? { fromRevision: found + 1 } : { after: found }),
    onFailure: ({ problem }) => refused("Last-Event-ID", problem)
  })
}

/** How a stream ends when it does: its last event says why. */
const ended = (error: WatchFailure | AccessError | Unavailable): SentEvent => ({
  event: "failure",
  data: failureOf(error)
})

/**
 * A stream whose first notice has come: a watch that cannot begin is answered with a status, like any request. The next
 * one is asked for when the last was taken.
 */
const begun = <E>(notices: Stream.Stream<WatchNotice, E>): Effect.Effect<
  Stream.Stream<WatchNotice, E>,
  E,
  Scope.Scope
> =>
  Effect.gen(function*() {
    const pull = yield* Stream.toPull(notices)
    const first = yield* Pull.catchDone(pull, () => Effect.die(new Error("a watch ended without a reason")))
    return Stream.concat(Stream.fromIterable(first), Stream.fromPull(Effect.succeed(pull)))
  })

/** Answers with a stream of events. What it holds is given back with the scope of the request, when it has ended. */
const watching = Effect.fnUntraced(function*(
  server: ApiServer["Service"],
  asked: WatchAsked
): Effect.fn.Return<HttpServerResponse.HttpServerResponse, Failure, Scope.Scope> {
  const { query, request } = asked
  yield* sameSite(request)
  const refusal = server.permits.take("maxHttpWatches", 1)
  if (refusal !== undefined) return yield* refusal
  yield* Effect.addFinalizer(() => Effect.sync(() => server.permits.release("maxHttpWatches", 1)))
  const asking = yield* RequestCaller
  const { asked: { requests }, leave } = enter(server, asking)
  yield* Effect.addFinalizer(() => Effect.sync(leave))
  const target = targetOf(query)
  if (target instanceof InvalidArgument) return yield* target
  const ranges = rangesOf(target)
  if (!(ranges instanceof KeyRanges)) {
    return yield* new InvalidArgument({ field: ranges.field, problem: ranges.problem })
  }
  const beginning = yield* beginningOf(asked)
  yield* requests.beginWatch(ranges)
  const { encoding = "text", heartbeatMs = defaultProgressMs, only, previous } = query
  const options = { ...beginning, previous, only, progressMs: heartbeatMs, buffer: 1 }
  const { notices } = yield* server.watch.open(target, options)
  // A role that is taken away, or a token, ends the watch before anything more is sent.
  const checked = whileAllowed(notices, requests.mayWatch(ranges, "Changes"))
  const events = Stream.map(yield* begun(checked), (notice) => sentEvent(notice, encoding)).pipe(
    Stream.catch((error) => Stream.succeed(ended(error)))
  )
  return yield* server.streams.answer(events).pipe(
    Effect.provideService(HttpServerRequest.HttpServerRequest, request)
  )
})

export const watchHandlers = HttpApiBuilder.group(
  Api,
  "watch",
  (handlers) =>
    Effect.map(ApiServer, (server) => handlers.handle("watch", (asked) => answered(watching(server, asked))))
)
