/**
 * The connections of the HTTP port, over all its addresses, and which of them gives way when the port is full: one on
 * which no request is under way. Callers and proxies keep such connections open for a next request, and would shut
 * probes out with them, which open one for each request. While a request is under way on all of them, a few more are
 * taken for probes: each has one answer, and nothing else is answered there.
 */
import type { IncomingMessage, Server } from "node:http"
import type { BoundedTable } from "../BoundedTables.ts"
import { httpProbeConnections } from "../config/Limits.ts"
import { Overloaded } from "../FlareDbError.ts"
import { formatAddress } from "../net/Listening.ts"
import type { ProtocolViolations } from "../net/ProtocolViolations.ts"
import { countedAddress, SilentConnections } from "../net/SilentConnections.ts"

type Socket = IncomingMessage["socket"]

interface Open {
  readonly address: string
  readonly from: string
  readonly socket: Socket
  readonly places: Places
  requests: number
}

/** Places for connections. */
class Places {
  readonly maximum: number
  readonly taken = new Set<Open>()
  /** Those on which no request is under way. */
  readonly silent = new SilentConnections<Open>()

  constructor(maximum: number) {
    this.maximum = maximum
  }

  get isFull(): boolean {
    return this.taken.size >= this.maximum
  }

  /** Whether there is a place, or one that its connection can give up. */
  get hasRoom(): boolean {
    return !this.isFull || this.silent.victim !== undefined
  }
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
  private readonly forAll: Places
  private readonly forProbes = new Places(httpProbeConnections)

  constructor(options: HttpConnectionsOptions) {
    this.options = options
    this.forAll = new Places(options.maximum)
  }

  /** Counts the connections of a server that does not listen yet. Whatever else takes them on was added before. */
  watch(server: Server): void {
    server.prependListener("connection", (socket: Socket) => this.accept(socket))
    server.on("request", ({ socket }, response) => {
      const open = this.openOf(socket)
      if (open === undefined) return
      const { silent } = open.places
      if (open.places === this.forProbes) response.setHeader("connection", "close")
      open.requests += 1
      silent.admit(open)
      response.once("close", () => {
        open.requests -= 1
        if (open.requests === 0 && this.open.has(open.socket)) silent.add(open)
      })
    })
  }

  /** Why a request gets no answer, unless it is a probe; `undefined` on a connection within the limit. */
  refusal(socket: Socket): Overloaded | undefined {
    const { maximum, taken } = this.forAll
    return this.openOf(socket)?.places === this.forProbes
      ? new Overloaded({ limit: "maxHttpConnections", current: taken.size, maximum })
      : undefined
  }

  get table(): BoundedTable {
    return {
      table: "http_connections",
      entries: () => this.forAll.taken.size,
      limit: this.options.maximum,
      setting: "maxHttpConnections"
    }
  }

  private openOf(socket: Socket): Open | undefined {
    return this.open.get(this.options.acceptedOf(socket))
  }

  private accept(socket: Socket): void {
    const { maximum, violations } = this.options
    const from = formatAddress(socket.remoteAddress ?? "unknown", socket.remotePort ?? 0)
    const told = (where: string, what: string) =>
      violations.report("too-many-connections", where, `${what}: all ${maximum} are in use`)
    const places = [this.forAll, this.forProbes].find(({ hasRoom }) => hasRoom)
    if (places === undefined) {
      told(from, "refused a connection")
      socket.destroy()
      return
    }
    const victim = places.isFull ? places.silent.victim : undefined
    if (victim !== undefined) {
      told(victim.from, "closed a connection without a request for a new one")
      this.forget(victim)
      victim.socket.destroy()
    } else if (places === this.forProbes) told(from, "took a connection for probes only")
    const open: Open = { address: countedAddress(socket.remoteAddress), from, socket, places, requests: 0 }
    this.open.set(socket, open)
    places.taken.add(open)
    places.silent.add(open)
    socket.once("close", () => this.forget(open))
  }

  private forget(open: Open): void {
    this.open.delete(open.socket)
    open.places.taken.delete(open)
    open.places.silent.delete(open)
  }
}
