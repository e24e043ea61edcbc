/** A caller that reads server-sent events, as a browser would. */
import { Effect, Queue } from "effect"
import type { Scope } from "effect"
import type { ClientRequest } from "node:http"
import { request } from "node:http"
import type { Parsed } from "./ApiPort.ts"
import { host } from "./ApiPort.ts"

export interface Received {
  readonly event: string
  readonly id: string | undefined
  readonly data: Parsed
}

export interface Source {
  readonly status: number
  readonly type: string | undefined
  /** The next event. */
  readonly next: Effect.Effect<Received>
  /** Comments that came so far. */
  readonly comments: () => number
  /** What a browser would send to go on: the last id, of events and of what comes without one. */
  readonly lastId: () => string | undefined
  /** Whether the connection has ended. */
  readonly isClosed: () => boolean
  /** The text of an answer that is no stream. */
  readonly text: () => string
  /** Takes nothing more. */
  readonly stall: () => void
  /** Takes what comes again. */
  readonly goOn: () => void
}

/** One block of a stream: fields, up to an empty line. */
const blockOf = (block: string) => {
  const fields = new Map<string, string>()
  let comments = 0
  for (const line of block.split("\n")) {
    if (line.startsWith(":")) comments += 1
    else {
      const colon = line.indexOf(":")
      fields.set(line.slice(0, colon), line.slice(colon + 1).replace(/^ /, ""))
    }
  }
  return { fields, comments }
}

/** Opens a stream, which closes with the scope. */
export const open = (
  port: number,
  path: string,
  headers: Readonly<Record<string, string>> = {}
): Effect.Effect<Source, never, Scope.Scope> =>
  Effect.gen(function*() {
    const events = yield* Queue.unbounded<Received>()
    let [buffered, comments, closed, text] = ["", 0, false, ""]
    let lastId: string | undefined
    const take = (part: string) => {
      text += part
      buffered += part
      const blocks = buffered.split("\n\n")
      buffered = blocks.pop() as string
      for (const block of blocks) {
        const found = blockOf(block)
        comments += found.comments
        lastId = found.fields.get("id") ?? lastId
        const data = found.fields.get("data")
        if (data === undefined) continue
        const event = found.fields.get("event") ?? "message"
        Queue.offerUnsafe(events, { event, id: found.fields.get("id"), data: JSON.parse(data) })
      }
    }
    let sent: ClientRequest | undefined
    yield* Effect.addFinalizer(() => Effect.sync(() => sent?.destroy()))
    return yield* Effect.callback<Source>((resume) => {
      sent = request({ host, port, path, agent: false, headers }, (response) => {
        response.setEncoding("utf8").on("data", take)
        response.on("close", () => {
          closed = true
        })
        resume(Effect.succeed({
          status: response.statusCode ?? 0,
          type: response.headers["content-type"],
          next: Queue.take(events),
          comments: () => comments,
          lastId: () => lastId,
          isClosed: () => closed,
          text: () => text,
          stall: () => void response.pause(),
          goOn: () => void response.resume()
        }))
      })
      sent.on("error", () => {
        closed = true
      })
      sent.end()
    })
  })
