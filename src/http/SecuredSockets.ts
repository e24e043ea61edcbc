/**
 * TLS in front of Node's HTTP server. Connections come as they are, and are handed to it behind their handshakes, so
 * that HTTP is held to the same checks, modes and reasons as the other ports.
 */
import type { Server } from "node:http"
import type { ProtocolViolations } from "../net/ProtocolViolations.ts"
import { formatAddress } from "../net/Listening.ts"
import type { Remote } from "../net/tls/Remote.ts"
import { plain } from "../net/tls/Remote.ts"
import type { TlsPort } from "../net/tls/TlsPort.ts"
import type { TlsRefusal } from "../net/tls/TlsRefusal.ts"

type Socket = Parameters<TlsPort["take"]>[0]

export interface SecuredSocketsOptions {
  readonly port: TlsPort
  readonly violations: ProtocolViolations
  readonly onRefused: (refusal: TlsRefusal) => void
  /** Milliseconds that a connection has for its handshake. */
  readonly maxHandshakeMs: number
}

export class SecuredSockets {
  private readonly options: SecuredSocketsOptions | undefined
  private readonly remotes = new WeakMap<object, Remote>()
  private readonly accepted = new WeakMap<object, Socket>()

  /** Without options every connection is served as it is. */
  constructor(options: SecuredSocketsOptions | undefined) {
    this.options = options
  }

  /** Who is at the other end of a connection that is served. */
  remoteOf(socket: object): Remote {
    return this.remotes.get(socket) ?? plain
  }

  /** The connection below one that is served, as it was accepted. */
  acceptedOf(socket: Socket): Socket {
    return this.accepted.get(socket) ?? socket
  }

  /** Stands in front of a server that does not listen yet. */
  guard(server: Server): void {
    const { options } = this
    if (options === undefined) return
    const serve = server.listeners("connection")
    server.removeAllListeners("connection")
    server.on("connection", (raw: Socket) =>
      this.take(options, raw, (socket) => {
        for (const listener of serve) listener.call(server, socket)
        socket.resume()
      }))
  }

  private take(options: SecuredSocketsOptions, raw: Socket, serve: (socket: Socket) => void): void {
    // Beyond the limit on connections.
    if (raw.destroyed) return
    const { maxHandshakeMs, violations, onRefused, port } = options
    const from = formatAddress(raw.remoteAddress ?? "unknown", raw.remotePort ?? 0)
    const silent = setTimeout(() => {
      violations.report(
        "no-handshake",
        from,
        `closed a connection: no request within maxHandshakeMs (${maxHandshakeMs})`
      )
      raw.destroy()
    }, maxHandshakeMs)
    raw.on("error", () => undefined)
    raw.once("close", () => clearTimeout(silent))
    port.take(raw, (handshake) => {
      clearTimeout(silent)
      if (handshake._tag === "Accepted") {
        this.remotes.set(handshake.socket, handshake.remote)
        this.accepted.set(handshake.socket, raw)
        return serve(handshake.socket)
      }
      onRefused(handshake.refusal)
      violations.report("refused-tls", from, `refused a connection: ${handshake.refusal.problem}`)
      if (handshake._tag === "Failed") return raw.destroy()
      handshake.socket.end(refusalOf(handshake.refusal))
      handshake.socket.resume()
      handshake.socket.setTimeout(maxHandshakeMs, () => raw.destroy())
    })
  }
}

/** Why, for readers of HTTP answers. */
const refusalOf = ({ problem, reason }: TlsRefusal): string => {
  const text = `${problem}\n`
  const status = reason === "plain" ? "400 Bad Request" : "403 Forbidden"
  return `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: text/plain\r\n` +
    `X-Content-Type-Options: nosniff\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`
}
