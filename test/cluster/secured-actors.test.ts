/**
 * The actors' programs over TLS, as a user that has a token and the rights of one prefix: all of entities, workflows,
 * queues, schedules, rate limits and stores works with those, and nothing outside of the prefix does.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Redacted, References, Scope, Stream } from "effect"
import { KeyValueStore } from "effect/persistence"
import { ChildProcess } from "effect/process"
import { afterAll, beforeAll } from "vitest"
import * as FlareDbBackEnd from "../../examples/actors/FlareDb.ts"
import { layerKeyValueStore, Overview } from "../../src/actors/index.ts"
import type { ClientOptions } from "../../src/client/index.ts"
import { Access, certificatesFromFiles, KeyValue } from "../../src/client/index.ts"
import * as FlareDb from "../../src/FlareDb.ts"
import { suite } from "../examples/actors/Suite.ts"
import { eventually } from "../Eventually.ts"
import { certificatesOf, clientTls } from "./Certified.ts"
import * as Cluster from "./Cluster.ts"
import { cleanEnv, run } from "./Flaredb.ts"
import { freePorts } from "../FreePorts.ts"

const prefix = "fx/"

let cluster: Cluster.Cluster
/** What programs of the actors show: the token of a user, and no certificate. */
let client: Required<Pick<ClientOptions, "tls">> & { readonly token: Redacted.Redacted }
/** The file with the authority that they trust. */
let trusted: string
/** The token of a user that may read the prefix, and has no lease of it. */
let viewer: Redacted.Redacted

const scope = Scope.makeUnsafe()
beforeAll(() =>
  Effect.gen(function*() {
    cluster = yield* Cluster.make(3)
    const certificates = yield* certificatesOf(cluster)
    for (const node of cluster.nodes) node.settings = certificates.settings(node)
    yield* Cluster.start(cluster)
    trusted = `${certificates.client}/ca.crt`
    const administrator = FlareDb.layerClient({
      endpoints: cluster.endpoints,
      requestTimeoutMs: 60_000,
      tls: yield* clientTls(certificates)
    })
    const made = yield* Effect.gen(function*() {
      const access = yield* Access
      // All that docs/actors.md says.
      yield* access.putRole("actors", { read: [prefix], write: [prefix] })
      yield* access.putUser("shop", { roles: ["actors"] })
      yield* access.putRole("looking", { read: [prefix] })
      yield* access.putUser("viewer", { roles: ["looking"] })
      return { shop: yield* access.createToken("shop"), viewer: yield* access.createToken("viewer") }
    }).pipe(Effect.provide(administrator))
    client = { tls: yield* certificatesFromFiles({ authorities: trusted }), token: made.shop.token }
    viewer = made.viewer.token
  }).pipe(Scope.provide(scope), Effect.provide(NodeServices.layer), Effect.runPromise)
)
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

let programs = 0
/** Each test has a prefix of its own, within that of the user. */
const backEnd = Layer.unwrap(
  Effect.gen(function*() {
    const [port = 0] = yield* freePorts(1)
    return FlareDbBackEnd.layer({
      client,
      endpoints: cluster.endpoints,
      prefix: `${prefix}${++programs}/`,
      runner: { host: "127.0.0.1", port },
      sharding: { shardsPerGroup: 16 }
    })
  })
)
suite("three nodes of FlareDB with certificates, as a user of one prefix", backEnd, 60_000)

it.live("what lies outside of the user's prefix is refused, and says what is missing", () =>
  Effect.gen(function*() {
    const store = yield* KeyValueStore.KeyValueStore
    const error = yield* Effect.flip(store.set("a", "1"))
    assert.include(String(error.cause), "shop may not write \"fy/kv/default/a\"")
    const kv = yield* KeyValue
    assert.strictEqual((yield* Effect.flip(kv.get("fy/clock")))._tag, "Unauthorized")
  }).pipe(
    Effect.provide(layerKeyValueStore({ prefix: "fy/" })),
    Effect.provide(Layer.suspend(() => FlareDb.layerClient({ endpoints: cluster.endpoints, ...client })))
  ))

it.live("flaredb actors shows runners to a user that may read their rows and has not their leases", () =>
  Effect.gen(function*() {
    const env = {
      FLAREDB_ENDPOINTS: cluster.endpointList,
      FLAREDB_TRUSTED_CA_FILE: trusted,
      FLAREDB_TOKEN: Redacted.value(viewer)
    }
    const own = `${prefix}${programs}/`
    // In the eyes of the user whose runner it is.
    const { runners } = Context.get(yield* Layer.build(Overview.layer({ prefix: own })), Overview)
    yield* eventually("the runner is registered", Effect.map(runners, (found) => found.length > 0))
    const { code, err, out } = yield* run(["actors", "runners", "--json", "--prefix", own], { env })
    assert.deepStrictEqual([code, err], [0, ""])
    const runner = JSON.parse(out.split("\n", 1)[0] ?? "")
    assert.deepInclude(runner, { registered: true })
    assert.notProperty(runner, "endsInMs")
  }).pipe(Effect.provide(backEnd), Effect.provide(NodeServices.layer)))

it.live("a runner of the examples takes the authority and the token of its environment", () =>
  Effect.gen(function*() {
    const [port] = yield* freePorts(1)
    // The second run finds what the first one left.
    for (let run = 1; run <= 2; run++) {
      const bank = yield* ChildProcess.make(
        process.execPath,
        ["examples/actors/main.ts", "bank", "--flaredb", cluster.endpointList, "--port", String(port)],
        {
          env: cleanEnv({
            FLAREDB_TRUSTED_CA_FILE: trusted,
            FLAREDB_TOKEN: Redacted.value(client.token),
            // Each has a lock, and the default is 300.
            SHARDS_PER_GROUP: "16"
          }),
          extendEnv: true,
          stdin: "ignore"
        }
      )
      const said = yield* Stream.mkString(Stream.decodeText(bank.all))
      assert.include(said, "100 transfers made, 0 declined", `run ${run}`)
      assert.include(said, "ada has 100.25")
      assert.strictEqual(Number(yield* bank.exitCode), 0)
    }
  }).pipe(Effect.scoped, Effect.provideService(References.MinimumLogLevel, "None"), Effect.provide(NodeServices.layer)))
