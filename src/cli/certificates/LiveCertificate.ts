/** The certificate that a port shows, of any authority: nothing is believed of it and nothing is sent. */
import { Effect } from "effect"
import type { X509Certificate } from "node:crypto"
import { isIP } from "node:net"
import { errorCode } from "../../ErrorCode.ts"
import type { Endpoint } from "../../client/connection/Endpoint.ts"
import { formatEndpoint } from "../../client/connection/Endpoint.ts"
import { errorText } from "../../ErrorText.ts"
import { hostNames } from "../../net/HostNames.ts"
import { nodeTls } from "../../net/tls/NodeTls.ts"
import type { Failure } from "../output/Failure.ts"
import { failed } from "../output/Failure.ts"
import { formatDuration } from "../../DurationText.ts"

const problemOf = (error: Error): string => {
  const code = errorCode(error) ?? ""
  if (code === "ECONNREFUSED") return "nothing listens there"
  if (/WRONG_VERSION_NUMBER|PACKET_LENGTH|RECORD_LAYER|UNEXPECTED_MESSAGE|^ECONNRESET$|^EPIPE$/.test(code)) {
    return "it closed the TLS handshake; a port without TLS does so"
  }
  return errorText(error)
}

/** Connects within `timeoutMs` milliseconds and gives the certificate that the other side shows. */
export const liveCertificate = (endpoint: Endpoint, timeoutMs: number): Effect.Effect<X509Certificate, Failure> =>
  Effect.callback<X509Certificate, Failure>((resume) => {
    const { host, port } = endpoint
    const refuse = (problem: string) => resume(Effect.fail(failed(`${formatEndpoint(endpoint)}: ${problem}`)))
    const socket = nodeTls().connect({
      host,
      port,
      lookup: hostNames.lookup,
      minVersion: "TLSv1.2",
      ...(isIP(host) === 0 ? { servername: host } : {}),
      // It is shown, not trusted.
      rejectUnauthorized: false
    })
    socket.once("secureConnect", () => {
      const certificate = socket.getPeerX509Certificate()
      if (certificate === undefined) refuse("it shows no certificate")
      else resume(Effect.succeed(certificate))
      socket.destroy()
    })
    socket.on("error", (error) => refuse(problemOf(error)))
    socket.once("close", () => refuse("it closed the TLS handshake; a port without TLS does so"))
    return Effect.sync(() => socket.destroy())
  }).pipe(
    Effect.timeoutOrElse({
      duration: timeoutMs,
      orElse: () =>
        Effect.fail(
          failed(`${formatEndpoint(endpoint)}: no TLS handshake within ${formatDuration(timeoutMs)}`)
        )
    })
  )
