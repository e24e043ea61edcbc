/** Where metrics and spans go, and what the collector is shown: settings of OTLP and the file of headers. */
import { Effect, Redacted } from "effect"
import { readSecret } from "../SecretFile.ts"
import { InvalidConfig } from "../config/ConfigProblem.ts"
import type { OtlpConfig } from "../config/Otlp.ts"
import { unreadText } from "../ErrorText.ts"
import { isLoopbackHost } from "../net/Loopback.ts"

export interface Collector {
  /** Without a slash at its end. */
  readonly endpoint: string
  /** They have a token, mostly. */
  readonly headers: Redacted.Redacted<Readonly<Record<string, string>>>
  readonly intervalMs: number
}

const maxHeaderBytes = 16 * 1024

/** Names that the export sets by itself, or that would change how a request is read. */
const ownHeaders = /^(?:content-.*|transfer-encoding|connection|host|expect|upgrade|te)$/

/** The headers in a text: a line for each, empty lines and those that begin with # left out. */
export const headersIn = (text: string): Readonly<Record<string, string>> => {
  const headers: Record<string, string> = {}
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    if (/^\s*(?:#|$)/.test(line)) continue
    const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e]*?)[ \t]*$/.exec(line) ?? []
    // The line itself may be a secret.
    if (name === undefined || value === undefined) throw new Error(`line ${i + 1} is no header such as NAME: VALUE`)
    if (ownHeaders.test(name.toLowerCase())) throw new Error(`line ${i + 1}: ${name} is set by the export itself`)
    headers[name.toLowerCase()] = value
  }
  return headers
}

const readHeaders = async (file: string): Promise<Readonly<Record<string, string>>> =>
  headersIn(
    await readSecret(file, maxHeaderBytes, (bytes) => `it has ${bytes} bytes; headers have ${maxHeaderBytes} at most`)
  )

const refuse = (problem: string) => new InvalidConfig({ problems: [{ field: "otlpHeadersFile", problem }] })

/** The collector of a configuration; `undefined` when nothing is exported. */
export const openCollector = Effect.fnUntraced(function*(
  { otlpEndpoint, otlpHeadersFile, otlpIntervalMs }: OtlpConfig
): Effect.fn.Return<Collector | undefined, InvalidConfig> {
  if (otlpEndpoint === undefined) return undefined
  const endpoint = otlpEndpoint.replace(/\/+$/, "")
  if (otlpHeadersFile === undefined) return { endpoint, headers: Redacted.make({}), intervalMs: otlpIntervalMs }
  if (otlpHeadersFile === "") return yield* refuse("must not be empty")
  const { hostname, protocol } = new URL(endpoint)
  if (protocol !== "https:" && !isLoopbackHost(hostname.replace(/^\[(.*)\]$/, "$1"))) {
    return yield* refuse(`is not sent to ${hostname} over http, where others could read it; use https`)
  }
  const headers = yield* Effect.tryPromise({
    try: () => readHeaders(otlpHeadersFile),
    catch: (error) => refuse(`${otlpHeadersFile}: ${unreadText(error)}`)
  })
  return { endpoint, headers: Redacted.make(headers, { label: "headers" }), intervalMs: otlpIntervalMs }
})
