/** Connects over TLS to a node, and finds out whether it is the one that was wanted before anything is sent. */
import type { LookupFunction } from "node:net"
import { isIP } from "node:net"
import type { TLSSocket } from "node:tls"
import { errorCode } from "../../ErrorCode.ts"
import { checkRemote } from "./CertificateCheck.ts"
import type { DialTls } from "./Credentials.ts"
import { nodeTls } from "./NodeTls.ts"
import { dialContext, shownBy } from "./TlsContext.ts"
import type { TlsProtocol } from "./TlsProtocol.ts"
import type { TlsRefusal } from "./TlsRefusal.ts"
import { refusal } from "./TlsRefusal.ts"

export interface TlsDialOptions {
  readonly host: string
  readonly port: number
  readonly lookup: LookupFunction
  readonly tls: DialTls
  readonly protocol: TlsProtocol
  /** Milliseconds since the epoch. */
  readonly nowMs: () => number
}

/** Why the node at the other end is not the one that was wanted; `undefined` when it is. */
const refusalOf = (socket: TLSSocket, { host, nowMs, protocol, tls }: TlsDialOptions): TlsRefusal | undefined => {
  if (socket.alpnProtocol !== protocol.name) {
    return refusal("wrong-protocol", `what answers there does not speak ${protocol.name}; is it another port?`)
  }
  const expected = {
    certificate: "required",
    callers: "nodes",
    cluster: tls.cluster,
    node: tls.node,
    host
  } as const
  const remote = checkRemote(shownBy(socket), expected, nowMs())
  return remote._tag === "TlsRefusal" ? remote : undefined
}

/** Begins to connect. `done` is called when the handshake is over; the socket must not be written to before. */
export const dial = (options: TlsDialOptions, done: (refused: TlsRefusal | undefined) => void): TLSSocket => {
  const { host, lookup, port, protocol, tls } = options
  const socket = nodeTls().connect({
    host,
    port,
    lookup,
    secureContext: dialContext(tls.credentials.current()),
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ALPNProtocols: [protocol.name],
    // It is checked behind the handshake, in words.
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined
  })
  socket.setNoDelay(true)
  socket.once("secureConnect", () => done(refusalOf(socket, options)))
  return socket
}

/** What an error before the end of the handshake means; `undefined` when it has nothing to do with TLS. */
export const dialFailure = (error: Error, protocol: TlsProtocol): TlsRefusal | undefined => {
  const code = errorCode(error) ?? ""
  if (code.includes("ALERT_PROTOCOL_VERSION") || code.includes("UNSUPPORTED_PROTOCOL")) {
    return refusal("tls-version", "what answers there does not speak TLS 1.3")
  }
  if (code.includes("NO_APPLICATION_PROTOCOL")) {
    return refusal("wrong-protocol", `what answers there does not speak ${protocol.name}; is it another port?`)
  }
  if (/WRONG_VERSION_NUMBER|PACKET_LENGTH|RECORD_LAYER|UNEXPECTED_MESSAGE/.test(code)) {
    return refusal(
      "plain",
      "what answers there does not speak TLS; start the node with certificates, or dial it plainly"
    )
  }
  if (code === "ECONNRESET" || code === "EPIPE") return closedInHandshake
  return code.startsWith("ERR_SSL")
    ? refusal("handshake", `the TLS handshake failed (${code}: ${error.message.replace(/\s+/g, " ").slice(0, 100)})`)
    : undefined
}

/** A port without TLS closes a connection that begins one. */
export const closedInHandshake: TlsRefusal = refusal(
  "plain",
  "the connection was closed in the TLS handshake; is the port served without TLS?"
)
