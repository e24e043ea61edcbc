import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import type { Server } from "node:net"
import { createServer as createPlainServer } from "node:net"
import type { TlsOptions } from "node:tls"
import { createServer } from "node:tls"
import { liveCertificate } from "../../../src/cli/certificates/LiveCertificate.ts"
import { factsOf } from "../../../src/certificates/Certificates.ts"
import { makeKit, node } from "../../certificates/Kit.ts"

const kit = makeKit(Date.UTC(2026, 5, 1, 12))

const listen = (server: Server) =>
  Effect.acquireRelease(
    Effect.callback<number>((resume) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
      })
    }),
    () => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
  )

const listenTls = (options: TlsOptions) => {
  const server = createServer(options, (socket) => socket.on("error", () => undefined).end())
  server.on("tlsClientError", () => undefined)
  return listen(server)
}

const shown = (port: number, timeoutMs = 10_000) => liveCertificate({ host: "127.0.0.1", port }, timeoutMs)

describe("the certificate of a port", () => {
  it.live("is shown, though it is expired and a certificate of the caller is demanded", () =>
    Effect.gen(function*() {
      const { certificate, key } = kit.expired(node(2))
      const port = yield* listenTls({
        cert: certificate,
        key: Redacted.value(key),
        ca: kit.authority.certificate,
        requestCert: true,
        rejectUnauthorized: true,
        minVersion: "TLSv1.3",
        ALPNProtocols: ["flaredb-client"]
      })
      assert.deepStrictEqual(factsOf(yield* shown(port)).name, node(2))
    }))

  it.live("is missed where no TLS is spoken, or nothing listens", () =>
    Effect.gen(function*() {
      const port = yield* listen(
        createPlainServer((socket) => socket.on("error", () => undefined).resume().end("hello\n"))
      )
      assert.match((yield* Effect.flip(shown(port))).line, /^127.0.0.1:\d+: it closed the TLS handshake/)
      assert.match((yield* Effect.flip(shown(1))).line, /^127.0.0.1:1: nothing listens there/)
    }))

  it.live("is waited for no longer than was said", () =>
    Effect.gen(function*() {
      const silent = createPlainServer((socket) => socket.on("error", () => undefined).resume())
      const port = yield* listen(silent)
      assert.match((yield* Effect.flip(shown(port, 50))).line, /no TLS handshake within 50ms/)
    }))
})
