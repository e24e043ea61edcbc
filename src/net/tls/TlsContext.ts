/**
 * What every TLS connection of FlareDB has in common: version 1.3, no tickets, and the certificates of its credentials.
 * Whether a certificate is accepted is decided by `CertificateCheck.ts` behind the handshake, so that both sides learn
 * why not: OpenSSL would end the connection with a number.
 */
import { Redacted } from "effect"
import { constants } from "node:crypto"
import type { SecureContext, SecureContextOptions, TlsOptions, TLSSocket } from "node:tls"
import type { KeyMaterial, PortTls } from "./Credentials.ts"
import type { Shown } from "./CertificateCheck.ts"
import { nodeTls } from "./NodeTls.ts"
import type { TlsProtocol } from "./TlsProtocol.ts"

/** The fastest first: where processors have instructions for it, AES with 128 bits. All three are good. */
const ciphers = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

/** Everything that a change of certificates must give again. */
export const contextOptions = ({ authorities, own }: KeyMaterial): SecureContextOptions => ({
  ca: authorities,
  ...(own === undefined ? {} : { cert: own.certificate, key: Redacted.value(own.key) }),
  minVersion: "TLSv1.3",
  ciphers,
  // A ticket would resume a connection without showing a certificate again. Long connections gain nothing by it.
  secureOptions: constants.SSL_OP_NO_TICKET
})

/** For a server over a port. Certificates are asked for and not refused: see the head of this file. */
export const portOptions = ({ credentials, demand }: PortTls, protocol: TlsProtocol): TlsOptions => ({
  ...contextOptions(credentials.current()),
  requestCert: demand !== "none",
  rejectUnauthorized: false,
  ALPNProtocols: [protocol.name]
})

const contexts = new WeakMap<KeyMaterial, SecureContext>()

/** The context of who dials. Parsing certificates takes longer than a handshake, so it is kept with them. */
export const dialContext = (material: KeyMaterial): SecureContext => {
  const known = contexts.get(material)
  if (known !== undefined) return known
  const made = nodeTls().createSecureContext(contextOptions(material))
  contexts.set(material, made)
  return made
}

/** What the other side of a connection showed in its handshake. */
export const shownBy = (socket: TLSSocket): Shown => {
  const certificate = socket.getPeerX509Certificate()
  // By its type an error; what is there is OpenSSL's code for it.
  const problem: unknown = socket.authorizationError
  const code = typeof problem === "object" && problem !== null && "code" in problem ? problem.code : problem
  return {
    certificate,
    chainProblem: certificate === undefined || socket.authorized ? undefined : String(code ?? "unverified")
  }
}
