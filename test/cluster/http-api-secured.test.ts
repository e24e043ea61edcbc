/** The HTTP API of nodes that ask who calls: what a caller may do hangs on its roles, also where the node follows. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, FileSystem, Redacted } from "effect"
import { request } from "node:https"
import { Access } from "../../src/client/Access.ts"
import { Leases } from "../../src/client/Lease.ts"
import * as FlareDb from "../../src/FlareDb.ts"
import { certificatesOf, clientTls } from "./Certified.ts"
import * as Cluster from "./Cluster.ts"

interface Asked {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

const asker =
  (ca: string) => (node: Cluster.ClusterNode, token: Redacted.Redacted) => (path: string, asked: Asked = {}) =>
    Effect.callback<{ readonly status: number; readonly json: ReturnType<typeof JSON.parse> }>((resume) => {
      const { host, httpPort: port } = node.address
      const headers = { ...asked.headers, authorization: `Bearer ${Redacted.value(token)}` }
      const sent = request(
        { host, port, path, method: asked.method ?? "GET", headers, ca, agent: false },
        (response) => {
          let text = ""
          response.setEncoding("utf8").on("data", (part: string) => {
            text += part
          })
          response.on("end", () =>
            resume(Effect.succeed({
              status: response.statusCode ?? 0,
              json: text.startsWith("{") ? JSON.parse(text) : text
            })))
        }
      )
      sent.on("error", (error) => resume(Effect.die(error)))
      sent.end(asked.body)
    })

it.live(
  "a follower carries out what its caller may do, under the caller's name, and a role that is gone is gone",
  () =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      const cluster = yield* Cluster.make(3)
      const certificates = yield* certificatesOf(cluster)
      for (const node of cluster.nodes) {
        node.settings = certificates.settings(node, { FLAREDB_CLIENT_AUTH: "either" })
      }
      yield* Cluster.start(cluster)
      const tls = yield* clientTls(certificates)
      yield* Effect.gen(function*() {
        const access = yield* Access
        const tokens = yield* Effect.forEach(["alice", "bob"], (name) =>
          Effect.gen(function*() {
            yield* access.putRole(name, { read: [`${name}/`], write: [`${name}/`] })
            yield* access.putUser(name, { roles: [name] })
            return (yield* access.createToken(name)).token
          }))
        const ask = asker(yield* files.readFileString(`${certificates.client}/ca.crt`))
        const leader = yield* cluster.leader
        const [follower, other] = cluster.nodes.filter((one) => one !== leader)
        const [alice, bob] = tokens.map((token) => ask(follower as Cluster.ClusterNode, token))
        if (alice === undefined || bob === undefined) return
        const put = { method: "PUT", body: "1", headers: { "idempotency-key": "once" } }
        assert.strictEqual((yield* alice("/v1/keys/alice/a", put)).json.version, 1)
        assert.strictEqual((yield* bob("/v1/keys/alice/a", put)).json.tag, "Unauthorized")
        assert.strictEqual((yield* bob("/v1/keys/alice/a")).json.tag, "Unauthorized")
        // The id is known to every node.
        for (const node of [leader, other as Cluster.ClusterNode]) {
          const again = yield* ask(node, tokens[0] as Redacted.Redacted)("/v1/keys/alice/a", put)
          assert.isTrue(again.json.replayed, JSON.stringify(again.json))
        }
        const { json: lease } = yield* alice("/v1/leases", { method: "POST", body: `{"ttlMs":60000}` })
        const leases = yield* (yield* Leases).list()
        assert.strictEqual(leases.find(({ id }) => id === lease.id)?.caller, "alice")
        const stolen = yield* bob(`/v1/keys/bob/a?lease=${lease.id}`, { method: "PUT", body: "1" })
        assert.strictEqual(stolen.json.tag, "Unauthorized", JSON.stringify(stolen.json))
        // As soon as it is acknowledged, at every node: the follower may not have applied it yet.
        for (let round = 0; round < 10; round++) {
          yield* access.putRole("bob", { read: ["bob/"], write: [] })
          const { json: refused } = yield* bob("/v1/keys/bob/a", { method: "PUT", body: String(round) })
          assert.strictEqual(refused.tag, "Unauthorized", `round ${round}`)
          yield* access.putRole("bob", { read: ["bob/"], write: ["bob/"] })
          assert.strictEqual((yield* bob("/v1/keys/bob/a", { method: "PUT", body: String(round) })).status, 200)
        }
      }).pipe(Effect.provide(FlareDb.layerClient({ endpoints: cluster.endpoints, requestTimeoutMs: 20_000, tls })))
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
  300_000
)
