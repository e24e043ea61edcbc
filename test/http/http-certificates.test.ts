/** Who gets in with which certificate at the HTTP port: the table of `CertificateMatrix.ts`, and what is read otherwise. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Logger, References } from "effect"
import type { SecureContextOptions } from "node:tls"
import { connect } from "node:tls"
import * as FlareDb from "../../src/FlareDb.ts"
import * as HttpServer from "../../src/http/HttpServer.ts"
import { MemoryCredentials } from "../../src/net/tls/Credentials.ts"
import { contextOptions } from "../../src/net/tls/TlsContext.ts"
import { dialFailure } from "../../src/net/tls/TlsDialling.ts"
import { httpProtocol } from "../../src/net/tls/TlsProtocol.ts"
import type { MatrixRow } from "../net/tls/CertificateMatrix.ts"
import { matrix, nodeMaterial } from "../net/tls/CertificateMatrix.ts"

const host = "127.0.0.1"

const served = Effect.gen(function*() {
  const context = yield* Layer.build(Layer.fresh(
    HttpServer.layer({
      clusterId: "orders",
      listen: { host, port: 0 },
      callers: { clientAuth: "either" },
      tls: { mode: "on", credentials: new MemoryCredentials(nodeMaterial), cluster: "orders", demand: "optional" }
    }).pipe(Layer.provideMerge(FlareDb.layerMemory))
  ))
  return Context.get(context, HttpServer.HttpAddress).port
})

/** All that is read, or why nothing was. */
const get = (port: number, path: string, { material, raw }: MatrixRow): Effect.Effect<string> =>
  Effect.callback((resume) => {
    const { ciphers: _, minVersion: __, ...context }: SecureContextOptions = contextOptions(material)
    const protocols = raw === undefined || raw.maxVersion !== undefined ? { ALPNProtocols: [httpProtocol.name] } : {}
    const options = { host, port, ...context, rejectUnauthorized: false, ...protocols, ...raw }
    let text = ""
    const socket = connect(options, () => {
      socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`)
    })
    socket.on("error", (error) => resume(Effect.succeed(dialFailure(error, httpProtocol)?.message ?? error.message)))
    socket.on("data", (bytes) => {
      text += bytes.toString("latin1")
    })
    socket.on("close", () => resume(Effect.succeed(text)))
    return Effect.sync(() => socket.destroy())
  })

/** What the status page answers to a caller of that name. */
const answers = {
  "node 1": "200 OK",
  "node 3": "200 OK",
  "client alice": "alice may not see the status page",
  anonymous: "and none was shown"
}

describe("at the HTTP port", () => {
  for (const row of matrix) {
    const verdict = row.http ?? row.client
    it.live(`a certificate ${row.name}: ${"reason" in verdict ? verdict.reason : verdict.in}`, () => {
      const lines: Array<string> = []
      return Effect.gen(function*() {
        const port = yield* served
        const status = yield* get(port, "/status", row)
        if (!("reason" in verdict)) {
          assert.include(status, answers[verdict.in])
          assert.include(yield* get(port, "/livez", row), "200 OK")
          return
        }
        // Not even a probe: what is wrong with a certificate is wrong on each path.
        for (const text of [status, yield* get(port, "/livez", row), lines.join("\n")]) {
          assert.notInclude(text, "200 OK")
          for (const part of verdict.says) assert.include(text, part)
        }
      }).pipe(
        Effect.scoped,
        Effect.provide(Layer.merge(
          Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))]),
          Layer.succeed(References.MinimumLogLevel, "Warn")
        ))
      )
    })
  }
})
