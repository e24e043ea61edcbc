/** Who is asked over HTTP, and what is shown to it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { createServer } from "node:https"
import type { AddressInfo } from "node:net"
import { getText } from "../../src/http/GetText.ts"
import { makeToken } from "../../src/kv/TokenSecret.ts"
import type { Wanted } from "../net/tls/TestCertificates.ts"
import { clientOf, nodeOf, TestAuthority } from "../net/tls/TestCertificates.ts"

const authority = new TestAuthority()
const { token } = makeToken("orders")

/** Something that answers with a certificate, and what it was shown. */
const answering = (wanted: Wanted) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly port: number; readonly shown: Array<string>; readonly close: () => void }>((resume) => {
      const shown: Array<string> = []
      const { certificate, key } = authority.issue(wanted)
      const server = createServer({ cert: certificate, key }, (request, response) => {
        shown.push(request.headers.authorization ?? "nothing")
        response.end("figures")
      })
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo
        resume(Effect.succeed({ port, shown, close: () => void server.close() }))
      })
    }),
    ({ close }) => Effect.sync(close)
  )

const ask = (port: number) =>
  getText({
    address: `127.0.0.1:${port}`,
    path: "/metrics",
    tls: { credentials: authority.credentials(undefined) },
    token
  })

describe("a request", () => {
  it.live("goes to a node, with the token", () =>
    Effect.gen(function*() {
      const { port, shown } = yield* answering(nodeOf(1))
      assert.strictEqual(yield* ask(port), "figures")
      assert.deepStrictEqual(shown, [`Bearer ${Redacted.value(token)}`])
    }).pipe(Effect.scoped))

  it.live("goes to no client that poses as a node", () =>
    Effect.gen(function*() {
      const { port, shown } = yield* answering({ ...clientOf("eve"), dns: ["localhost"], ips: ["127.0.0.1"] })
      assert.match((yield* Effect.flip(ask(port))).message, /client eve is not a node's/)
      assert.deepStrictEqual(shown, [])
    }).pipe(Effect.scoped))

  it.live("goes to no node of another host", () =>
    Effect.gen(function*() {
      const { port, shown } = yield* answering({ ...nodeOf(1), dns: ["elsewhere.example"], ips: [] })
      assert.match((yield* Effect.flip(ask(port))).message, /not valid for 127\.0\.0\.1/)
      assert.deepStrictEqual(shown, [])
    }).pipe(Effect.scoped))

  it.live("says in words that nothing listens, as calls do", () =>
    Effect.gen(function*() {
      const { port } = yield* Effect.scoped(answering(nodeOf(1)))
      assert.strictEqual((yield* Effect.flip(ask(port))).message, "no process listens there (ECONNREFUSED)")
    }))

  it.live("shows no token where others could read it", () =>
    Effect.gen(function*() {
      const refused = yield* Effect.flip(getText({ address: "db.example:7201", path: "/metrics", token }))
      assert.match(refused.message, /no token is sent to db\.example:7201 without TLS/)
    }))
})
