/** Who may ask the HTTP port for what, over TLS and without it. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Redacted, References } from "effect"
import { request as plainRequest } from "node:http"
import { Agent, request } from "node:https"
import { defaultLimits } from "../../src/config/Limits.ts"
import * as FlareDb from "../../src/FlareDb.ts"
import { Unavailable } from "../../src/FlareDbError.ts"
import { expiryText } from "../../src/http/Health.ts"
import * as HttpServer from "../../src/http/HttpServer.ts"
import { makeToken } from "../../src/kv/TokenSecret.ts"
import type { TlsMode } from "../../src/config/Security.ts"
import { MemoryCredentials } from "../../src/net/tls/Credentials.ts"
import { RaftNode } from "../../src/node/RaftNode.ts"
import { TestAuthority } from "../net/tls/TestCertificates.ts"
import { hearing, putRole, putUser, tokenOf } from "../server/PortClients.ts"

const quietly = Effect.provideService(References.MinimumLogLevel, "None")
const host = "127.0.0.1"
const authority = new TestAuthority()
const server = { uris: ["flaredb://orders/node/1"], ips: [host] }

interface Shown {
  readonly token?: Redacted.Redacted | undefined
  /** The name in its certificate. */
  readonly uri?: string
  readonly issuer?: TestAuthority
  readonly plain?: boolean
  /** Keeps its connection open. */
  readonly agent?: Agent
}

interface Answer {
  readonly status: number
  readonly text: string
  readonly headers: Readonly<Record<string, unknown>>
}

const get = (
  port: number,
  path: string,
  { agent, issuer = authority, plain = false, token, uri }: Shown = {}
) =>
  Effect.callback<Answer>((resume) => {
    const own = uri === undefined ? undefined : issuer.issue({ uris: [uri] })
    const options = {
      host,
      port,
      path,
      agent: agent ?? false,
      headers: token === undefined ? {} : { authorization: `Bearer ${Redacted.value(token)}` },
      ca: authority.certificate,
      ALPNProtocols: ["http/1.1"],
      ...own === undefined ? {} : { cert: own.certificate, key: own.key }
    } as const
    const sent = (plain ? plainRequest : request)(options, (response) => {
      let text = ""
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part
      }).on("end", () => resume(Effect.succeed({ status: response.statusCode ?? 0, text, headers: response.headers })))
    })
    sent.on("error", (error) => resume(Effect.die(error)))
    sent.end()
  })

const served = (
  mode: TlsMode,
  clientAuth: HttpServer.HttpCallers["clientAuth"],
  bootstrapToken?: Redacted.Redacted,
  node: typeof FlareDb.layerMemory = FlareDb.layerMemory,
  limits = defaultLimits
) =>
  Effect.gen(function*() {
    const context = yield* Layer.build(Layer.fresh(
      HttpServer.layer({
        clusterId: "orders",
        limits,
        listen: { host, port: 0 },
        callers: { clientAuth, bootstrapToken },
        ...mode === "off" ? {} : {
          tls: {
            mode,
            credentials: new MemoryCredentials(authority.material(server)),
            cluster: "orders",
            demand: "optional" as const
          }
        }
      }).pipe(Layer.provideMerge(node))
    ))
    return { port: Context.get(context, HttpServer.HttpAddress).port, node: Context.get(context, RaftNode) }
  })

const adminPaths = ["/plain", "/status", "/debug/raft"]

describe("the HTTP port", () => {
  it.live("answers probes to all, figures to callers and the rest to administrators", () =>
    Effect.gen(function*() {
      const { node, port } = yield* served("on", "either")
      yield* putRole(node, "a", ["a/"], [])
      yield* putUser(node, "orders", ["a"])
      const user = { token: (yield* tokenOf(node, "orders")).token }
      const admin = { token: (yield* tokenOf(node, "admin")).token }
      const certified = { uri: "flaredb://orders/client/admin" }
      for (const path of ["/livez", "/readyz"]) assert.strictEqual((yield* get(port, path)).status, 200, path)
      for (const path of ["/metrics", ...adminPaths]) {
        const refused = yield* get(port, path)
        assert.strictEqual(refused.status, 401, path)
        assert.strictEqual(refused.headers["www-authenticate"], "Bearer realm=\"flaredb\"")
        assert.strictEqual(refused.headers["x-content-type-options"], "nosniff")
        assert.match(refused.text, /a client's certificate or a token, and none was shown/)
        for (const caller of [admin, certified]) assert.strictEqual((yield* get(port, path, caller)).status, 200, path)
      }
      assert.strictEqual((yield* get(port, "/metrics", user)).status, 200)
      for (const path of adminPaths) {
        const refused = yield* get(port, path, user)
        assert.strictEqual(refused.status, 403, path)
        assert.match(refused.text, /^orders may not see /)
      }
      // What is not there is nobody else's to learn.
      assert.strictEqual((yield* get(port, "/other", user)).status, 403)
      const unknown = yield* get(port, "/metrics", { token: makeToken("orders").token })
      assert.strictEqual(unknown.status, 401)
      assert.match(unknown.text, /the token of orders is unknown/)
    }).pipe(Effect.scoped, quietly))

  it.live("tells in words why a certificate is refused, and that it takes TLS only", () =>
    Effect.gen(function*() {
      const { port } = yield* served("on", "either")
      const other = yield* get(port, "/livez", { uri: "flaredb://billing/client/a" })
      assert.strictEqual(other.status, 403)
      assert.match(other.text, /is of the cluster billing, and this is orders/)
      const stranger = yield* get(port, "/livez", {
        uri: "flaredb://orders/client/a",
        issuer: new TestAuthority("another authority")
      })
      assert.strictEqual(stranger.status, 403)
      assert.match(stranger.text, /no authority that is trusted/)
      const plain = yield* get(port, "/livez", { plain: true })
      assert.strictEqual(plain.status, 400)
      assert.match(plain.text, /takes TLS only/)
    }).pipe(Effect.scoped, quietly))

  it.live("answers with TLS and without while TLS is being turned on", () =>
    Effect.gen(function*() {
      const { port } = yield* served("accept", "either")
      assert.strictEqual((yield* get(port, "/status", { plain: true })).status, 200)
      assert.strictEqual((yield* get(port, "/status")).status, 401)
      assert.strictEqual((yield* get(port, "/status", { uri: "flaredb://orders/node/2" })).status, 200)
    }).pipe(Effect.scoped, quietly))

  it.live("asks for tokens without TLS where only this machine can ask", () =>
    Effect.gen(function*() {
      const { node, port } = yield* served("off", "token")
      const { token } = yield* tokenOf(node, "admin")
      assert.strictEqual((yield* get(port, "/status", { plain: true })).status, 401)
      assert.strictEqual((yield* get(port, "/status", { plain: true, token })).status, 200)
    }).pipe(Effect.scoped, quietly))

  it.live("takes the bootstrap token while the cluster has no users, as the client port does", () =>
    Effect.gen(function*() {
      const token = Redacted.make("a text of the operator's own")
      const { node, port } = yield* served("off", "token", Redacted.make("a-text-of-the-operators-own-32-digits"))
      const bootstrap = { token: Redacted.make("a-text-of-the-operators-own-32-digits"), plain: true }
      assert.strictEqual((yield* get(port, "/status", { token, plain: true })).status, 401)
      assert.strictEqual((yield* get(port, "/status", bootstrap)).status, 200)
      yield* putUser(node, "shop", [])
      const late = yield* get(port, "/status", bootstrap)
      assert.strictEqual(late.status, 401)
      assert.match(late.text, /the bootstrap token is of no effect any more/)
    }).pipe(Effect.scoped, quietly))

  it.live("neither takes nor refuses what only the newest tokens tell, where the node cannot know them", () =>
    Effect.gen(function*() {
      // A node with an empty disk, before it has heard of the users that there are.
      const apart = hearing(() => Effect.fail(new Unavailable({ reason: "there is no leader" })))
      const bootstrap = Redacted.make("a-text-of-the-operators-own-32-digits")
      const { port } = yield* served("off", "token", bootstrap, apart)
      for (const token of [bootstrap, makeToken("orders").token]) {
        for (const path of [...adminPaths, "/metrics", "/v1/keys/a"]) {
          const answer = yield* get(port, path, { plain: true, token })
          assert.strictEqual(answer.status, 503, path)
          assert.include(answer.text, "this node cannot know whether the token is valid: ")
        }
      }
      assert.strictEqual((yield* get(port, "/status", { plain: true })).status, 401)
    }).pipe(Effect.scoped, quietly))

  it.live("refuses nobody for the roles that it knows, where there may be newer ones", () =>
    Effect.gen(function*() {
      let barrier: Effect.Effect<void, Unavailable> = Effect.fail(new Unavailable({ reason: "there is no leader" }))
      const { node, port } = yield* served("off", "token", undefined, hearing(() => barrier))
      yield* putUser(node, "operator", [])
      const plain = true
      const operator = { plain, token: (yield* tokenOf(node, "operator")).token }
      const admin = { plain, token: (yield* tokenOf(node, "admin")).token }
      for (const path of [...adminPaths, "/console/events", "/other"]) {
        const answer = yield* get(port, path, operator)
        assert.strictEqual(answer.status, 503, path)
        assert.include(answer.text, "this node cannot know what its caller may do: ")
      }
      for (const path of adminPaths) assert.strictEqual((yield* get(port, path, admin)).status, 200, path)
      assert.strictEqual((yield* get(port, "/metrics", operator)).status, 200)
      barrier = Effect.void
      for (const path of adminPaths) assert.strictEqual((yield* get(port, path, operator)).status, 403, path)
      barrier = Effect.asVoid(Effect.suspend(() => putUser(node, "operator", ["admin"])))
      for (const path of adminPaths) assert.strictEqual((yield* get(port, path, operator)).status, 200, path)
    }).pipe(Effect.scoped, quietly))

  it.live("closes a connection over TLS that is kept open, when a probe has no room", () =>
    Effect.gen(function*() {
      const limits = { ...defaultLimits, maxHttpConnections: 1 }
      const { port } = yield* served("on", "none", undefined, FlareDb.layerMemory, limits)
      const agent = yield* Effect.acquireRelease(
        Effect.sync(() => new Agent({ keepAlive: true })),
        (kept) => Effect.sync(() => kept.destroy())
      )
      assert.strictEqual((yield* get(port, "/status", { agent })).status, 200)
      assert.strictEqual((yield* get(port, "/readyz")).status, 200)
      assert.strictEqual((yield* get(port, "/readyz")).status, 200)
    }).pipe(Effect.scoped, quietly))

  it.live("asks nobody with none", () =>
    Effect.gen(function*() {
      const { port } = yield* served("on", "none")
      assert.strictEqual((yield* get(port, "/status")).status, 200)
    }).pipe(Effect.scoped, quietly))
})

describe("readiness", () => {
  const day = 86_400_000
  it("warns of a certificate that ends within a week", () => {
    assert.strictEqual(expiryText("node 2", 8 * day, 0), "")
    assert.match(
      expiryText("node 2", 3.5 * day, 0),
      /ends on 1970-01-04, in 3 days; renew it with flaredb cert node 2 --overwrite/
    )
    assert.match(expiryText("node 2", 0.5 * day, 0), /ends on 1970-01-01, in less than a day; renew it/)
    assert.match(expiryText("node 2", 0, day), /expired on 1970-01-01/)
  })
})
