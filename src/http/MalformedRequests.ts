/**
 * Requests that cannot be read: no HTTP, headers beyond the limit, a body that does not come. The answer says what was
 * wrong, but is never sent in the place of the answer to an earlier request of the connection, which may have written:
 * a body that is longer than its `Content-Length` begins a next request that is none.
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http"
import type { Duplex } from "node:stream"
import { formatAddress } from "../net/Listening.ts"
import type { ProtocolViolations } from "../net/ProtocolViolations.ts"
import { maxHeaderSize } from "./NodeHttp.ts"

export interface RequestTimes {
  /** Most milliseconds until the headers of a request have come, and until all of it has. */
  readonly headersMs: number
  readonly requestMs: number
}

interface Refusal {
  readonly status: string
  readonly problem: string
}

/** The parser's word for a connection that ends in the middle of a request. */
const cutOff = "HPE_INVALID_EOF_STATE"

const refusalOf = ({ code, message }: NodeJS.ErrnoException, { headersMs, requestMs }: RequestTimes): Refusal => {
  switch (code) {
    case "HPE_HEADER_OVERFLOW":
      return {
        status: "431 Request Header Fields Too Large",
        problem: `its line and headers have more than ${maxHeaderSize} bytes`
      }
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return {
        status: "408 Request Timeout",
        problem: `its headers did not come within ${headersMs} ms, or all of it not within ${requestMs} ms (maxFrameMs)`
      }
    case cutOff:
      return { status: "400 Bad Request", problem: "it was cut off: its connection ended before all of it had come" }
    default:
      return { status: "400 Bad Request", problem: `it is no HTTP/1.1: ${message.replace(/^Parse Error: /, "")}` }
  }
}

/** Nothing of a request is carried out before all of it has come. */
const answerOf = ({ problem, status }: Refusal): string => {
  const body = JSON.stringify({
    tag: "InvalidArgument",
    message: `the request cannot be read: ${problem}`,
    wasWritten: "no",
    retry: "never",
    field: "request",
    problem
  })
  return `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
}

interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

/** Ends such connections of a server that does not listen yet. */
export const closeMalformed = (
  server: Server,
  times: RequestTimes,
  violations: Pick<ProtocolViolations, "report">
): void => {
  const exchanges = new WeakMap<Duplex, Set<Exchange>>()
  server.on("request", (request, response) => {
    const { socket } = request
    const underWay = exchanges.get(socket) ?? new Set()
    exchanges.set(socket, underWay)
    const exchange = { request, response }
    underWay.add(exchange)
    response.once("close", () => underWay.delete(exchange))
  })
  const ending = new WeakSet<Duplex>()
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    // A caller that goes away in the middle of something does no harm.
    if (error.code === "ECONNRESET" || error.code === "EPIPE") return void socket.destroy()
    if (ending.has(socket)) return
    ending.add(socket)
    const { remoteAddress = "unknown", remotePort = 0 } = socket as { remoteAddress?: string; remotePort?: number }
    if (error.code !== cutOff) {
      violations.report(
        "malformed-request",
        formatAddress(remoteAddress, remotePort),
        `closed a connection: ${error.code ?? error.name}: ${error.message}`
      )
    }
    const underWay = [...exchanges.get(socket) ?? []]
    const earlier = underWay.findLast(({ request }) => request.complete)?.response
    if (earlier !== undefined) {
      // The answer goes out first. One that goes on, as of a watch, ends here.
      if (earlier.headersSent && !earlier.writableEnded) socket.destroy()
      else earlier.once("close", () => socket.destroy())
      return
    }
    const isBegun = underWay.some(({ response }) => response.headersSent)
    if (isBegun || !socket.writable) socket.destroy()
    else socket.end(answerOf(refusalOf(error, times)), () => socket.destroy())
  })
}
