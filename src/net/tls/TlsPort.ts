/**
 * TLS behind the connections that a port has accepted: a raw socket goes in, and what came of its handshake comes out.
 * The port counts raw sockets, so its limits on connections and on the time for a `Hello` hold for handshakes, too.
 */
import type { Socket } from "node:net"
import type { TLSSocket } from "node:tls"
import { createServer } from "node:tls"
import { errorCode } from "../../ErrorCode.ts"
import { errorText } from "../../ErrorText.ts"
import { checkRemote } from "./CertificateCheck.ts"
import type { PortTls } from "./Credentials.ts"
import { whetherTls } from "./FirstBytes.ts"
import type { Remote } from "./Remote.ts"
import { plain } from "./Remote.ts"
import { contextOptions, portOptions, shownBy } from "./TlsContext.ts"
import type { TlsProtocol } from "./TlsProtocol.ts"
import type { TlsRefusal } from "./TlsRefusal.ts"
import { refusal } from "./TlsRefusal.ts"

/** What came of a connection's beginning. */
export type Handshake =
  /** Frames may come and go over `socket`. */
  | { readonly _tag: "Accepted"; readonly socket: Socket; readonly remote: Remote }
  /** The other side can be told why over `socket`, and nothing else. */
  | { readonly _tag: "Refused"; readonly socket: Socket; readonly refusal: TlsRefusal }
  /** There is no way to tell it. The raw socket is to be destroyed. */
  | { readonly _tag: "Failed"; readonly refusal: TlsRefusal }

export interface TlsPortOptions {
  readonly tls: PortTls
  readonly protocol: TlsProtocol
  /** Milliseconds since the epoch. */
  readonly nowMs: () => number
  /** Told of certificates that cannot be used; the port goes on with those before. */
  readonly onProblem: (problem: string) => void
}

/** What is read by who does not speak TLS, on a port that demands it. */
const plainRefusal = refusal("plain", "this port takes TLS only; connect with certificates, see --certs-dir")

const speaksOther = (protocol: TlsProtocol) =>
  refusal(
    "wrong-protocol",
    `the other side does not speak ${protocol.name}; it is no FlareDB, or this is another port than it wants`
  )

/** What OpenSSL says when it ends a handshake. */
const failure = (error: Error, protocol: TlsProtocol): TlsRefusal => {
  const code = errorCode(error) ?? ""
  if (/UNSUPPORTED_PROTOCOL|VERSION_TOO_LOW|NO_PROTOCOLS_AVAILABLE/.test(code)) {
    return refusal("tls-version", "the other side does not speak TLS 1.3; upgrade it")
  }
  if (code.includes("APPLICATION_PROTOCOL")) return speaksOther(protocol)
  if (/ALERT/.test(code)) {
    return refusal("handshake", `the other side ended the TLS handshake (${code}); it may not trust this certificate`)
  }
  if (code === "ECONNRESET") return refusal("handshake", "the other side closed the connection in the TLS handshake")
  return refusal("handshake", `its bytes are no TLS handshake (${code === "" ? errorText(error) : code})`)
}

/** A connection by its two ends, which the socket with TLS shares with the raw one. */
const endsOf = ({ localAddress, localPort, remoteAddress, remotePort }: Socket): string =>
  `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`

type Done = (handshake: Handshake) => void

export class TlsPort {
  private readonly options: TlsPortOptions
  private readonly server: ReturnType<typeof createServer>
  /** The handshakes under way. */
  private readonly pending = new Map<string, Done>()
  private readonly unfollow: () => void

  constructor(options: TlsPortOptions) {
    const { onProblem, protocol, tls } = options
    if (tls.credentials.current().own === undefined) throw new Error("a port needs a certificate of its own")
    this.options = options
    this.server = createServer(portOptions(tls, protocol))
    this.server.on("secureConnection", (socket) => this.secured(socket))
    this.server.on("tlsClientError", (error, socket) => this.end(socket, failed(failure(error, protocol))))
    this.unfollow = tls.credentials.onChange((material) => {
      try {
        this.server.setSecureContext(contextOptions(material))
      } catch (error) {
        onProblem(`new certificates cannot be used, those before go on: ${errorText(error)}`)
      }
    })
  }

  /** Follows its credentials no more. */
  close(): void {
    this.unfollow()
  }

  /** Finds out what a new connection is, once its first bytes have come. Says nothing of one that ends before. */
  take(raw: Socket, done: Done): void {
    whetherTls(raw, (isTls) => {
      if (isTls) this.begin(raw, done)
      else if (this.options.tls.mode === "on") done({ _tag: "Refused", socket: raw, refusal: plainRefusal })
      else done({ _tag: "Accepted", socket: raw, remote: plain })
    })
  }

  private begin(raw: Socket, done: Done): void {
    const ends = endsOf(raw)
    this.pending.set(ends, done)
    raw.once("close", () => {
      // Another connection may have the same ends by now.
      if (this.pending.get(ends) !== done) return
      this.pending.delete(ends)
      done(failed(refusal("handshake", "the connection ended in the TLS handshake")))
    })
    this.server.emit("connection", raw)
  }

  private secured(socket: TLSSocket): void {
    socket.on("error", () => undefined)
    const { protocol, tls } = this.options
    const refuse = (why: TlsRefusal) => this.end(socket, { _tag: "Refused", socket, refusal: why })
    const isNamed = socket.alpnProtocol === protocol.name
    const isUnnamed = socket.alpnProtocol === false || socket.alpnProtocol === null
    if (!isNamed && !(isUnnamed && protocol.mayBeUnnamed === true)) return refuse(speaksOther(protocol))
    if (socket.isSessionReused()) {
      return refuse(refusal("no-certificate", "a session was resumed without a certificate"))
    }
    const remote = checkPeer(socket, tls, protocol, this.options.nowMs())
    if (remote._tag === "TlsRefusal") refuse(remote)
    else this.end(socket, { _tag: "Accepted", socket, remote })
  }

  private end(socket: TLSSocket, handshake: Handshake): void {
    const ends = endsOf(socket)
    const done = this.pending.get(ends)
    this.pending.delete(ends)
    if (done === undefined) socket.destroy()
    else done(handshake)
  }
}

const failed = (why: TlsRefusal): Handshake => ({ _tag: "Failed", refusal: why })

/** Who is at the other end of a connection to a port, behind its handshake. */
const checkPeer = (
  socket: TLSSocket,
  { cluster, demand }: PortTls,
  { callers }: TlsProtocol,
  nowMs: number
): Remote | TlsRefusal =>
  checkRemote(
    shownBy(socket),
    { certificate: demand === "required" ? "required" : "optional", callers, cluster },
    nowMs
  )
