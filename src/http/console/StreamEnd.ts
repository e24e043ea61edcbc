/** How a stream of the console ends: a failure is its last event, because the headers are out by then. */
import { Stream } from "effect"
import type { SentEvent } from "../api/EventStreams.ts"

/** The events, and then what ended them. */
export const withFailure = <E extends { readonly _tag: string; readonly message: string }, R>(
  events: Stream.Stream<SentEvent, E, R>
): Stream.Stream<SentEvent, never, R> =>
  Stream.catch(
    events,
    ({ _tag, message }) => Stream.succeed<SentEvent>({ event: "failure", data: { tag: _tag, message } })
  )
