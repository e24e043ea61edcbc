/** One request of HTTP and its answer, with bounds on both bytes and time. */
import { Data, Effect } from "effect"
import type { Agent, RequestOptions } from "node:http"
import type { Agent as SecureAgent } from "node:https"
import { request as secureRequest } from "node:https"
import { EtcdAnswerTooLarge } from "./ImportFailures.ts"
import { request as plainRequest } from "../../http/NodeHttp.ts"
import { meaningOf } from "../../net/CallFailure.ts"

/** The connection failed, or the answer did not come in time. Whether the request arrived is not known. */
export class ExchangeFailed extends Data.TaggedError("ExchangeFailed")<{
  readonly reason: string
  /** What will be so again: certificates that one side does not take, a port or a name that does not exist. */
  readonly lasts: "certificates" | "address" | undefined
}> {
  override get message() {
    return this.reason
  }
}

export interface Exchange {
  readonly url: URL
  /** For a request without one it is a GET. */
  readonly body?: string
  readonly token: string | undefined
  readonly agent: Agent | SecureAgent
  /** Milliseconds without any byte of an answer until it is given up. */
  readonly timeoutMs: number
  readonly maxBytes: number
}

export interface Answer {
  readonly status: number
  readonly text: string
}

/** How Node names what is wrong with certificates: some by OpenSSL's names, some by its own. */
const certificateCodes = /^(?:ERR_SSL_|ERR_TLS_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_)|^EPROTO$/

const failureOf = (error: Error & { readonly code?: string; readonly reason?: string }): ExchangeFailed => {
  const { code = "", message } = error
  if (certificateCodes.test(code)) {
    const reason = `TLS failed (${error.reason ?? message}); see --etcd-cacert, --etcd-cert and --etcd-key`
    return new ExchangeFailed({ reason, lasts: "certificates" })
  }
  const meaning = meaningOf(code)
  if (code === "ECONNREFUSED") return new ExchangeFailed({ reason: meaning ?? code, lasts: "address" })
  return new ExchangeFailed({
    reason: meaning ?? (message === "" ? code : message),
    lasts: code === "ENOTFOUND" ? "address" : undefined
  })
}

/** Sends a request and waits for the whole answer. */
export const exchange = (
  { agent, body, maxBytes, timeoutMs, token, url }: Exchange
): Effect.Effect<Answer, ExchangeFailed | EtcdAnswerTooLarge> =>
  Effect.callback((resume) => {
    const options: RequestOptions = {
      agent,
      method: body === undefined ? "GET" : "POST",
      headers: {
        ...body === undefined ? {} : { "content-type": "application/json" },
        ...token === undefined ? {} : { authorization: token }
      }
    }
    const send = url.protocol === "https:" ? secureRequest : plainRequest
    const sent = send(url, options, (response) => {
      const pieces: Array<Buffer> = []
      let bytes = 0
      response.on("data", (piece: Buffer) => {
        bytes += piece.byteLength
        if (bytes > maxBytes) {
          resume(Effect.fail(new EtcdAnswerTooLarge({ path: url.pathname, maxBytes })))
          response.destroy()
          return
        }
        pieces.push(piece)
      })
      response.on("error", (error) => resume(Effect.fail(failureOf(error))))
      response.on("end", () =>
        resume(Effect.succeed({ status: response.statusCode ?? 0, text: Buffer.concat(pieces).toString("utf8") })))
    })
    sent.setTimeout(timeoutMs, () =>
      sent.destroy(new Error(`no answer in ${timeoutMs} ms`)))
    sent.on("error", (error) => resume(Effect.fail(failureOf(error))))
    sent.end(body)
    return Effect.sync(() => sent.destroy())
  })
