/** Where a node listens for clients, as people write it: `HOST:PORT`. */
import { Data, Effect } from "effect"
import { withoutUserInfo } from "../../WithoutUserInfo.ts"

/** The client port of a node. `parseEndpoint` reads one from text. */
export interface Endpoint {
  readonly host: string
  readonly port: number
}

/** A text that names no endpoint. */
export class InvalidEndpoint extends Data.TaggedError("InvalidEndpoint")<{
  readonly text: string
  readonly problem: string
}> {
  override get message() {
    return `${
      JSON.stringify(withoutUserInfo(this.text))
    } is not an endpoint: ${this.problem}; write HOST:PORT, for example 127.0.0.1:7001`
  }
}

/** The client endpoints of the local cluster. */
export const localEndpoints: ReadonlyArray<Endpoint> = [7001, 7002, 7003].map((port) => ({ host: "127.0.0.1", port }))

/** `host:port`, with an IPv6 host in brackets. */
export const formatEndpoint = ({ host, port }: Endpoint): string =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`

/** The endpoints in their order from `first` on, then those before it; as they are when it is none of them. */
export const rotatedTo = (
  endpoints: ReadonlyArray<Endpoint>,
  first: Endpoint | undefined
): ReadonlyArray<Endpoint> => {
  const start = first === undefined
    ? 0
    : Math.max(0, endpoints.findIndex((endpoint) => formatEndpoint(endpoint) === formatEndpoint(first)))
  return [...endpoints.slice(start), ...endpoints.slice(0, start)]
}

/** Parses `HOST:PORT` or `[IPV6]:PORT`. */
export const parseEndpoint = (text: string): Effect.Effect<Endpoint, InvalidEndpoint> => {
  const fail = (problem: string) => Effect.fail(new InvalidEndpoint({ text, problem }))
  const trimmed = text.trim()
  if (trimmed === "") return fail("it is empty")
  if (trimmed.includes("://")) return fail("it has a scheme, and endpoints have none")
  const colon = trimmed.lastIndexOf(":")
  if (colon < 0) return fail("the port is missing")
  const host = trimmed.slice(0, colon)
  const port = trimmed.slice(colon + 1)
  if (host === "") return fail("the host is missing")
  if (/[\s/]/.test(host)) return fail(`the host ${JSON.stringify(host)} has characters that belong in no host name`)
  const bracketed = /^\[([0-9A-Fa-f:.]+)\]$/.exec(host)?.[1]
  if (bracketed === undefined && /[:[\]]/.test(host)) return fail("an IPv6 host stands in brackets")
  if (!/^\d{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65_535) {
    return fail(`${JSON.stringify(port)} is not a port from 1 to 65535`)
  }
  return Effect.succeed({ host: bracketed ?? host, port: Number(port) })
}

/** The places of endpoints that an earlier one of the list names too. */
export const repeatedEndpoints = (endpoints: ReadonlyArray<Endpoint>): ReadonlyArray<number> => {
  const names = endpoints.map((endpoint) => formatEndpoint(endpoint).toLowerCase())
  return names.flatMap((name, index) => names.indexOf(name) < index ? [index] : [])
}

/** Parses endpoints separated by commas; each may be named once. */
export const parseEndpoints = (text: string): Effect.Effect<ReadonlyArray<Endpoint>, InvalidEndpoint> =>
  Effect.flatMap(Effect.forEach(text.split(","), parseEndpoint), (endpoints) => {
    const repeated = endpoints[repeatedEndpoints(endpoints)[0] ?? -1]
    return repeated === undefined
      ? Effect.succeed(endpoints)
      : Effect.fail(new InvalidEndpoint({ text: formatEndpoint(repeated), problem: "it is named twice" }))
  })
