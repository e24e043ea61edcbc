/**
 * The connections of the HTTP port, over all its addresses, and which of them gives way when the port is full: one on
 * which no request is under way. Callers and proxies keep such connections open for a next request, and would shut
 * probes out with them, which open one for each request.
 */
import type { IncomingMessage, Server } from "node:http"
import type { BoundedTable } from "../BoundedTables.ts"
import { formatAddress } from "../net/Listening.ts"
import type { ProtocolViolations } from "../net/ProtocolViolations.ts"
import { countedAddress, SilentConnections } from "../net/SilentConnections.ts"

type Socket = IncomingMessage["socket"]

interface Open {
  readonly address: string
  readonly from: string
  readonly socket: Socket
  requests: number
}

export interface HttpConnectionsOptions {
  readonly maximum: number
  readonly violations: Pick<ProtocolViolations, "report">
  /** The connection that a request came over, as it was accepted: below TLS. */
  readonly acceptedOf: (socket: Socket) => Socket
}

export class HttpConnections {
  private readonly options: HttpConnectionsOptions
  private readonly open = new Map<Socket, Open>()
  private readonly silent = new SilentConnections<Open>()

  constructor(options: HttpConnectionsOptions) {
    this.options = options
  }

  /** Counts the connections of a server that does not listen yet. Whatever else takes them on was added before. */
  watch(server: Server): void {
    server.prependListener("connection", (socket: Socket) => this.accept(socket))
    server.on("request", ({ socket }, response) => {
      const open = this.open.get(this.options.acceptedOf(socket))
      if (open === undefined) return
      open.requests += 1
      this.silent.admit(open)
      response.once("close", () => {
        open.requests -= 1
        if (open.requests === 0 && this.open.has(open.socket)) this.silent.add(open)
      })
    })
  }

  get table(): BoundedTable {
    return {
      table: "http_connections",
      entries: () => this.open.size,
      limit: this.options.maximum,
      setting: "maxHttpConnections"
    }
  }

  private accept(socket: Socket): void {
    const { maximum, violations } = this.options
    const from = formatAddress(socket.remoteAddress ?? "unknown", socket.remotePort ?? 0)
    if (this.open.size >= maximum) {
      const { victim } = this.silent
      if (victim === undefined) {
        violations.report("too-many-connections", from, `refused a connection: all ${maximum} are in use`)
        socket.destroy()
        return
      }
      violations.report(
        "too-many-connections",
        victim.from,
        `closed a connection without a request for a new one: all ${maximum} are in use`
      )
      this.forget(victim)
      victim.socket.destroy()
    }
    const open: Open = { address: countedAddress(socket.remoteAddress), from, socket, requests: 0 }
    this.open.set(socket, open)
    this.silent.add(open)
    socket.once("close", () => this.forget(open))
  }

  private forget(open: Open): void {
    this.open.delete(open.socket)
    this.silent.delete(open)
  }
}
