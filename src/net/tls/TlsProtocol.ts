/** What a node's ports speak over TLS, so that no certificate opens one port in place of another. */

export interface TlsProtocol {
  /** Its name in the handshake (ALPN). Both sides must name it, unless it may be left out. */
  readonly name: string
  /** Whether a caller that names none is taken to speak it. One that names others only is refused all the same. */
  readonly mayBeUnnamed?: boolean
  /** Whose certificates may connect. Who dials always demands a node's. */
  readonly callers: "nodes" | "nodes and clients"
}

/** The port of the other nodes. */
export const peerProtocol: TlsProtocol = { name: "flaredb-peer", callers: "nodes" }

/** The port of clients. A node may be one: an embedded node's client shows its certificate. */
export const clientProtocol: TlsProtocol = { name: "flaredb-client", callers: "nodes and clients" }

/** Health, metrics and the status page. Many programs that speak HTTP say so nowhere in the handshake. */
export const httpProtocol: TlsProtocol = { name: "http/1.1", mayBeUnnamed: true, callers: "nodes and clients" }
