/**
 * Streams of server-sent events to callers. A stream sends when its caller takes what was sent before, so that a slow
 * one costs what lies in its connection and no queue. Large events wait while all of them together cost too much. One
 * that takes nothing for `maxFrameMs` is closed: there is no way to tell it why, so the log does.
 */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Effect, Stream } from "effect"
import type { Scope } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import { lookEvery } from "../../CoalescedSleep.ts"
import { ProtocolViolations } from "../../net/ProtocolViolations.ts"
import type { WatchEvent } from "../../client/WatchNotice.ts"
import { RequestCaller } from "../RequestCaller.ts"

/** An event, or a comment, which tells nothing but that the stream is alive. */
export type SentEvent =
  | {
    readonly event: string
    readonly id?: string | undefined
    readonly data: unknown
    /** The bytes of the values in `data`, where there may be many: then `data` is asked for when there is room. */
    readonly bytes?: number
  }
  /** An id without data moves on where the caller goes on, and is no event for it. */
  | { readonly comment: string; readonly id?: string | undefined }

/** A stream that ends as `mayGoOn` fails, which is asked before each of its parts. */
export const whileAllowed = <A, E, R, Refusal>(
  parts: Stream.Stream<A, E, R>,
  mayGoOn: Effect.Effect<void, Refusal>
): Stream.Stream<A, E | Refusal, R> => Stream.tap(parts, () => mayGoOn)

/** How often streams are looked at, in milliseconds. */
const lookMs = 1_000

/** Events up to this many bytes never wait for room. */
const smallBytes = 64 * 1024

/** How often a large event looks whether there is room, in milliseconds. */
const roomMs = 100

/** The bytes of the values in changes. */
export const valueBytes = (events: ReadonlyArray<WatchEvent>): number => {
  let bytes = 0
  for (const event of events) {
    bytes += (event._tag === "Put" ? event.entry.value.byteLength : 0) + (event.previous?.value.byteLength ?? 0)
  }
  return bytes
}

const encoder = new TextEncoder()

/** The bytes of an event. JSON has no line ends, so its data is one line. */
const render = (sent: SentEvent): Uint8Array => {
  const id = sent.id === undefined ? "" : `id: ${sent.id}\n`
  return encoder.encode(
    "comment" in sent
      ? `: ${sent.comment}\n${id}\n`
      : `event: ${sent.event}\n${id}data: ${JSON.stringify(sent.data)}\n\n`
  )
}

/** A large event waits while the callers of this node have too much that they do not take. */
const rendered = (sent: SentEvent, room: RequestCaller["room"]): Effect.Effect<Uint8Array> =>
  Effect.suspend(() =>
    "bytes" in sent && sent.bytes > smallBytes && room() !== undefined
      ? Effect.delay(rendered(sent, room), roomMs)
      : Effect.succeed(render(sent))
  )

/** The connection of a caller, as Node has it. */
interface Sink {
  /** Bytes that wait to be taken. */
  readonly writableLength: number
  readonly destroy: () => unknown
}

interface Open {
  readonly from: string
  readonly sink: Sink
  /** Bytes that waited at the last look, and since when they have been as many. */
  waiting: number
  sinceMs: number
}

export class EventStreams {
  private readonly open = new Set<Open>()
  private readonly maxFrameMs: number
  private readonly violations: ProtocolViolations

  private constructor(maxFrameMs: number, violations: ProtocolViolations) {
    this.maxFrameMs = maxFrameMs
    this.violations = violations
  }

  /** Streams that are looked after until the scope closes. */
  static readonly make = Effect.fnUntraced(
    function*(maxFrameMs: number): Effect.fn.Return<EventStreams, never, Scope.Scope> {
      const streams = new EventStreams(maxFrameMs, yield* ProtocolViolations.make("http"))
      yield* lookEvery(lookMs, () => streams.closeSlow())
      return streams
    }
  )

  /** The answer to the request that is being answered: the events, until its caller has gone. */
  answer(
    events: Stream.Stream<SentEvent>
  ): Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpServerRequest.HttpServerRequest> {
    return Effect.zipWith(HttpServerRequest.HttpServerRequest, RequestCaller, (request, { from, room }) => {
      const { socket } = NodeHttpServerRequest.toIncomingMessage(request)
      return HttpServerResponse.stream(this.serve(events, from, socket, room), {
        contentType: "text/event-stream",
        // Proxies that hold answers back are asked not to.
        headers: { "x-accel-buffering": "no" }
      })
    })
  }

  /** The bytes of the events, for a caller at `from` whose connection is `sink`. */
  private serve<E, R>(
    events: Stream.Stream<SentEvent, E, R>,
    from: string,
    sink: Sink,
    room: RequestCaller["room"]
  ): Stream.Stream<Uint8Array, E, R> {
    return Stream.suspend(() => {
      const open: Open = { from, sink, waiting: 0, sinceMs: this.violations.nowMs() }
      this.open.add(open)
      return Stream.ensuring(
        Stream.mapEffect(events, (sent) => rendered(sent, room)),
        Effect.sync(() => this.open.delete(open))
      )
    })
  }

  private closeSlow(): void {
    const nowMs = this.violations.nowMs()
    for (const open of this.open) {
      const waiting = open.sink.writableLength
      if (waiting === 0 || waiting !== open.waiting) {
        open.waiting = waiting
        open.sinceMs = nowMs
      } else if (nowMs - open.sinceMs >= this.maxFrameMs) {
        this.violations.report(
          "unread-answers",
          open.from,
          `closed a watch: nothing of ${waiting} bytes was taken for maxFrameMs (${this.maxFrameMs})`
        )
        this.open.delete(open)
        open.sink.destroy()
      }
    }
  }
}
