/**
 * Server-sent events: a stream of JSON that a page reads while it arrives. A comment goes out when nothing else does,
 * so that both sides notice when the other one is gone.
 */
import { Effect, Stream } from "effect"
import { HttpServerResponse } from "effect/http"

/** Something to send: an event, or a sign of life. */
export type Sent = { readonly event: string; readonly data: unknown } | "alive"

const encoder = new TextEncoder()

const encoded = (sent: Sent): Uint8Array =>
  encoder.encode(sent === "alive" ? ": alive\n\n" : `event: ${sent.event}\ndata: ${JSON.stringify(sent.data)}\n\n`)

/** What ends a stream is its last event: the headers are out by then. */
const ending = (error: { readonly _tag: string; readonly message: string }): Stream.Stream<Sent> =>
  Stream.succeed({ event: "failed", data: { tag: error._tag, message: error.message } })

export const eventStream = <E extends { readonly _tag: string; readonly message: string }>(
  events: Stream.Stream<Sent, E>
): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.stream(
    events.pipe(
      Stream.catch(ending),
      Stream.map(encoded)
    ),
    { contentType: "text/event-stream", headers: { "x-accel-buffering": "no" } }
  )

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
