/** One request to a node's HTTP port, for commands that read what it says of itself. */
import { Effect, Redacted } from "effect"
import { X509Certificate } from "node:crypto"
import type { IncomingMessage } from "node:http"
import { formatDuration } from "../DurationText.ts"
import { errorText } from "../ErrorText.ts"
import { meaningOf, systemCode } from "../net/CallFailure.ts"
import { isLoopbackHost } from "../net/Loopback.ts"
import { hostName } from "./HostName.ts"
import { get as getPlain } from "./NodeHttp.ts"
import { checkRemote } from "../net/tls/CertificateCheck.ts"
import type { Credentials } from "../net/tls/Credentials.ts"
import { nodeHttps } from "../net/tls/NodeTls.ts"

export interface GetOptions {
  /** `HOST:PORT`. */
  readonly address: string
  readonly path: string
  /** What is trusted and shown over TLS; plain without it. */
  readonly tls?: { readonly credentials: Credentials } | undefined
  readonly token?: Redacted.Redacted | undefined
  /** Milliseconds until it is given up. Default 10,000. */
  readonly timeoutMs?: number | undefined
}

/** A larger answer is none that a command reads. */
const maxBytes = 16 * 1024 * 1024

const textOf = async (response: IncomingMessage): Promise<string> => {
  const chunks: Array<Uint8Array> = []
  let size = 0
  for await (const chunk of response as AsyncIterable<Uint8Array>) {
    size += chunk.byteLength
    if (size > maxBytes) throw new Error(`the answer has more than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  const text = Buffer.concat(chunks).toString("utf8")
  if (response.statusCode === 200) return text
  throw new Error(`it answered ${response.statusCode}: ${text.slice(0, 300).trim()}`)
}

/** Who answers must be a node: no certificate of a client may stand in for one and be sent a token. */
const connectionOf = (tls: GetOptions["tls"]) => {
  if (tls === undefined) return {}
  const { authorities, own } = tls.credentials.current()
  return {
    ca: authorities,
    minVersion: "TLSv1.3" as const,
    checkServerIdentity: (host: string, { raw }: { readonly raw: Uint8Array }) => {
      const shown = { certificate: new X509Certificate(raw), chainProblem: undefined }
      const remote = checkRemote(shown, { certificate: "required", callers: "nodes", host }, Date.now())
      return remote._tag === "TlsRefusal" ? new Error(remote.problem) : undefined
    },
    ...own === undefined ? {} : { cert: own.certificate, key: Redacted.value(own.key) }
  }
}

/** The text of a 200; any other answer is an error with what the node said. */
export const getText = (
  { address, path, timeoutMs = 10_000, tls, token }: GetOptions
): Effect.Effect<string, Error> =>
  Effect.callback((resume) => {
    const fail = (error: unknown) =>
      resume(Effect.fail(new Error(meaningOf(systemCode(error)) ?? errorText(error), { cause: error })))
    if (tls === undefined && token !== undefined && !isLoopbackHost(hostName(address))) {
      return fail(new Error(`no token is sent to ${address} without TLS, where others could read it; use TLS`))
    }
    const get = tls === undefined ? getPlain : nodeHttps().get
    const headers = token === undefined ? {} : { authorization: `Bearer ${Redacted.value(token)}` }
    const request = get(
      `${tls === undefined ? "http" : "https"}://${address}${path}`,
      { ...connectionOf(tls), agent: false, headers, timeout: timeoutMs },
      (response) => void textOf(response).then((text) => resume(Effect.succeed(text)), fail)
    )
    request.once("timeout", () => request.destroy(new Error(`no answer within ${formatDuration(timeoutMs)}`)))
    request.once("error", fail)
    return Effect.sync(() => request.destroy())
  })
