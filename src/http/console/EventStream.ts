/**
 * What the console sends while it happens: server-sent events, as the API has them. A failure is the last event,
 * because the headers are out by then; a page that takes nothing is closed.
 */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Effect, Stream } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import type { EventStreams, SentEvent } from "../api/EventStreams.ts"
import { RequestCaller } from "../RequestCaller.ts"

/** What ends a stream. */
const ending = (error: { readonly _tag: string; readonly message: string }): Stream.Stream<SentEvent> =>
  Stream.succeed({ event: "failed", data: { tag: error._tag, message: error.message } })

/** The answer to the request that is being answered. */
export const eventStream = <E extends { readonly _tag: string; readonly message: string }>(
  streams: EventStreams,
  events: Stream.Stream<SentEvent, E>
): Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpServerRequest.HttpServerRequest> =>
  Effect.gen(function*() {
    const request = yield* HttpServerRequest.HttpServerRequest
    const { from } = yield* RequestCaller
    const { socket } = NodeHttpServerRequest.toIncomingMessage(request)
    return HttpServerResponse.stream(streams.serve(Stream.catch(events, ending), from, socket), {
      contentType: "text/event-stream",
      // Proxies that hold answers back are asked not to.
      headers: { "x-accel-buffering": "no" }
    })
  })

/** Ends a stream with `refusal` as soon as there is one, which is asked before each event. */
export const whileAllowed = <A, E, Refusal>(
  events: Stream.Stream<A, E>,
  refusal: () => Refusal | undefined
): Stream.Stream<A, E | Refusal> =>
  Stream.tap(events, () =>
    Effect.suspend((): Effect.Effect<void, Refusal> => {
      const refused = refusal()
      return refused === undefined ? Effect.void : Effect.fail(refused)
    }))
