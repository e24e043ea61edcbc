/** What a node's ports speak over TLS, so that no certificate opens one port in place of another. */

export interface TlsProtocol {
  /** Its name in the handshake (ALPN). Both sides must name it. */
  readonly name: string
  /** Whose certificates may connect. Who dials always demands a node's. */
  readonly callers: "nodes" | "nodes and clients"
}

/** The port of the other nodes. */
export const peerProtocol: TlsProtocol = { name: "flaredb-peer", callers: "nodes" }

/** The port of clients. A node may be one: an embedded node's client shows its certificate. */
export const clientProtocol: TlsProtocol = { name: "flaredb-client", callers: "nodes and clients" }

/** Health, metrics and the status page. */
export const httpProtocol: TlsProtocol = { name: "http/1.1", callers: "nodes and clients" }
