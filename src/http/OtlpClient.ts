/**
 * How one signal, metrics or spans, reaches its collector. Whatever the collector does, what waits for it is bounded:
 *
 * - A few requests are under way at a time. One more is refused, and Effect's exporter then drops what it has and is
 *   silent for a minute.
 * - A request ends within seconds, with its answer, which is not kept. One that failed is made once more.
 * - Names are looked up as those of nodes are, and not in the threads that the disk needs.
 */
import { Data, Effect, Metric } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import type { HttpClientRequest } from "effect/http"
import type { IncomingMessage } from "node:http"
import { Agent as EncryptedAgent, request as requestEncrypted } from "node:https"
import { errorText } from "../ErrorText.ts"
import { seriesOf } from "../MetricSeries.ts"
import { hostNames } from "../net/HostNames.ts"
import { Agent as PlainAgent, request as requestPlain } from "./NodeHttp.ts"

/** Requests that may be under way, each with at most a batch of spans. */
export const maxRequests = 2

/** Milliseconds until a request is given up. */
const requestMs = 10_000

/** Milliseconds before a request that failed is made once more. */
const againMs = 1_000

/** Bytes of an answer that are read: those of collectors are short. */
const maxAnswerBytes = 64 * 1024

/** Not 0 means that the collector does not take what it is sent, or takes too long. */
const failures = seriesOf((signal) =>
  Metric.counter("flaredb_otlp_failures_total", {
    description: "exports that the collector did not take, by signal; what was in them is lost",
    incremental: true,
    attributes: { signal }
  })
)

/** The collector did not take an export. */
class NotTaken extends Data.TaggedError("NotTaken")<{ readonly reason: string }> {}

export interface OtlpClientOptions {
  /** "metrics" or "traces". */
  readonly signal: string
  readonly requestMs?: number
  readonly againMs?: number
}

const agents = () => {
  const settings = { keepAlive: true, maxSockets: maxRequests, lookup: hostNames.lookup }
  return { plain: new PlainAgent(settings), encrypted: new EncryptedAgent(settings) }
}

const send = (
  url: URL,
  { body, headers, method }: HttpClientRequest.HttpClientRequest,
  { encrypted, plain }: ReturnType<typeof agents>
): Effect.Effect<number, NotTaken> =>
  Effect.callback((resume) => {
    const fail = (error: unknown) => resume(Effect.fail(new NotTaken({ reason: errorText(error) })))
    const bytes = body._tag === "Uint8Array" ? body.body : new Uint8Array(0)
    // With their type, which the request had from its body.
    const options = { method, headers: { ...headers, "content-length": bytes.byteLength } }
    const answered = (response: IncomingMessage) => {
      let size = 0
      response.on("data", (chunk: Buffer) => {
        size += chunk.byteLength
        if (size > maxAnswerBytes) response.destroy(new Error(`the answer has more than ${maxAnswerBytes} bytes`))
      })
      response.once("error", fail)
      response.once("end", () => {
        const { statusCode = 0 } = response
        return statusCode >= 200 && statusCode < 300
          ? resume(Effect.succeed(statusCode))
          : fail(new Error(`it answered ${statusCode}`))
      })
    }
    const request = url.protocol === "https:"
      ? requestEncrypted(url, { ...options, agent: encrypted }, answered)
      : requestPlain(url, { ...options, agent: plain }, answered)
    request.once("error", fail)
    request.end(bytes)
    return Effect.sync(() => request.destroy())
  })

/** A client for the exporter of one signal, which says in the log when its collector goes and comes. */
export const make = Effect.fnUntraced(function*(options: OtlpClientOptions) {
  const context = yield* Effect.context<never>()
  const failed = failures(options.signal)
  failed.updateUnsafe(0, context)
  const connections = yield* Effect.acquireRelease(Effect.sync(agents), ({ encrypted, plain }) =>
    Effect.sync(() => {
      plain.destroy()
      encrypted.destroy()
    }))
  let underWay = 0
  let isDown = false
  const down = ({ reason }: NotTaken): Effect.Effect<void> => {
    failed.updateUnsafe(1, context)
    if (isDown) return Effect.void
    isDown = true
    return Effect.logWarning(
      `the collector does not take ${options.signal}: ${reason}; they are lost until it does, and nothing else is`
    )
  }
  const up = Effect.suspend(() => {
    if (!isDown) return Effect.void
    isDown = false
    return Effect.logInfo(`the collector takes ${options.signal} again`)
  })
  return HttpClient.make((request, url) =>
    Effect.suspend((): Effect.Effect<number, NotTaken> => {
      if (underWay >= maxRequests) {
        return Effect.fail(new NotTaken({ reason: `${underWay} exports wait for it already` }))
      }
      underWay += 1
      const once = Effect.timeoutOrElse(send(url, request, connections), {
        duration: options.requestMs ?? requestMs,
        orElse: () => Effect.fail(new NotTaken({ reason: "it gave no answer in time" }))
      })
      const twice = Effect.catch(once, () => Effect.andThen(Effect.sleep(options.againMs ?? againMs), once))
      return Effect.ensuring(twice, Effect.sync(() => underWay -= 1))
    }).pipe(
      Effect.tap(up),
      Effect.tapError(down),
      // The exporter would repeat an error of HTTP three times, and hold its batch meanwhile.
      Effect.orDie,
      Effect.map((status) => HttpClientResponse.fromWeb(request, new Response(null, { status })))
    )
  )
})
