/** Nodes go on with those they can reach while no name server answers for the name of another. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { ChildProcess } from "effect/process"
import type { Endpoint } from "../../src/client/connection/Endpoint.ts"
import { formatEndpoint } from "../../src/client/connection/Endpoint.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import * as FlareDb from "../../src/FlareDb.ts"
import { eventually } from "../Eventually.ts"
import * as Cluster from "./Cluster.ts"
import { figure } from "./Figures.ts"
import { cleanEnv } from "./Flaredb.ts"
import * as SilentNameServer from "./SilentNameServer.ts"

/** What the system's resolver takes to give up on one name, in milliseconds: two attempts of five seconds. */
const resolverMs = 10_000

const name = "two of three nodes restart and serve while no name server answers for the name of the third"
const { missing } = SilentNameServer

it.live.skipIf(missing !== undefined)(
  missing === undefined ? name : `${name} (${missing})`,
  () =>
    Effect.gen(function*() {
      const names = yield* SilentNameServer.make
      const hosts = ["node-1", "node-2", "node-3"].map((host) => `${host}.flaredb.example`)
      const cluster = yield* Cluster.make(3, names.program("start"), { FLAREDB_LISTEN_HOST: "127.0.0.1" }, { hosts })
      const two = [cluster.node(1), cluster.node(2)]
      // A leader is named by a name that only the nodes know: the client asks its endpoints in turn.
      const endpointsOf = (nodes: ReadonlyArray<Cluster.ClusterNode>) =>
        nodes.map(({ address }) => ({ host: "127.0.0.1", port: address.clientPort }))
      const endpoints = endpointsOf(two)
      const put = (endpoints: ReadonlyArray<Endpoint>) =>
        Effect.flatMap(KeyValue, (kv) => kv.put("key", "value")).pipe(
          Effect.provide(FlareDb.layerClient({ endpoints, requestTimeoutMs: 60_000 })),
          Effect.scoped,
          Effect.timed,
          Effect.map(([took]) => took)
        )
      /** Until the nodes that run have asked so often that a look-up for each attempt to connect would fill the pool. */
      const asked = Effect.suspend(() => {
        const before = names.questions()
        return eventually("six look-ups more", () => names.questions() - before >= 6)
      })
      yield* names.setKnown(hosts)
      yield* Cluster.start(cluster)
      // The third may lead.
      yield* put(endpointsOf(cluster.nodes))
      yield* names.setKnown(hosts.slice(0, 2))
      yield* cluster.node(3).stop("SIGKILL")
      yield* asked
      const [stopped] = yield* Effect.timed(
        Effect.forEach(two, (node) => node.stop("SIGTERM"), { concurrency: "unbounded", discard: true })
      )
      yield* cluster.node(1).start
      yield* asked
      yield* cluster.node(2).start
      const written = yield* put(endpoints)
      figure(
        `without a name server: nodes stopped after ${Duration.toMillis(stopped).toFixed(0)} ms, first write ${
          Duration.toMillis(written).toFixed(0)
        } ms after the second node was up`
      )
      const [asking, exit] = yield* Effect.timed(Effect.scoped(Effect.flatMap(
        ChildProcess.make(
          process.execPath,
          names.program(
            "put",
            "key",
            "value",
            "--endpoints",
            `${hosts[2]}:1,${endpoints.map(formatEndpoint).join(",")}`
          ),
          { env: cleanEnv({}), extendEnv: true, stdin: "ignore", stdout: "ignore", stderr: "inherit" }
        ),
        ({ exitCode }) => exitCode
      )))
      figure(
        `without a name server: put with an endpoint of that name first, ${Duration.toMillis(asking).toFixed(0)} ms`
      )
      assert.strictEqual(Number(exit), 0)
      assert.isBelow(Duration.toMillis(asking), resolverMs, "a command waited for the resolver")
      assert.isBelow(Duration.toMillis(stopped), resolverMs, "a node waited for the resolver to stop")
      assert.isBelow(Duration.toMillis(written), resolverMs, "a write waited for the resolver")
    }).pipe(Effect.provide(NodeServices.layer))
)
