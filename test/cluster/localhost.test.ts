/** Nodes at `localhost` are found by whoever looks there, in either family. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { networkInterfaces } from "node:os"
import { createConnection } from "node:net"
import { KeyValue } from "../../src/client/KeyValue.ts"
import * as Cluster from "./Cluster.ts"
import { run } from "./Flaredb.ts"

const name = "nodes at localhost are reached at 127.0.0.1, ::1 and localhost, and say where they listen"
const missing = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === "::1"))
  ? undefined
  : "this machine has no ::1"

const connects = (host: string, port: number): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const socket = createConnection({ host, port })
    socket.once("connect", () => resume(Effect.void))
    socket.once("error", (error) => resume(Effect.die(error)))
    return Effect.sync(() => socket.destroy())
  })

it.live.skipIf(missing !== undefined)(
  missing === undefined ? name : `${name} (${missing})`,
  () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make(3, undefined, {}, { hosts: ["localhost", "localhost", "localhost"] })
      yield* Cluster.start(cluster)
      yield* Effect.flatMap(KeyValue, (kv) => kv.put("key", "value")).pipe(Effect.provide(Cluster.client(cluster)))
      const { address, log } = cluster.node(1)
      for (const host of ["127.0.0.1", "[::1]", "localhost"]) {
        const got = yield* run(["get", "key", "--endpoints", `${host}:${address.clientPort}`])
        assert.strictEqual(got.out, "value\n", `${host}\n${got.err}`)
        const live = yield* Effect.promise(() => fetch(`http://${host}:${address.httpPort}/livez`))
        assert.strictEqual(live.status, 200, host)
        yield* connects(host.replace(/[[\]]/g, ""), address.peerPort)
      }
      const says = (what: string, port: number) =>
        assert.isTrue(
          log.some((line) => line.includes(`${what} at 127.0.0.1:${port} and [::1]:${port}`)),
          `${what} in\n${log.join("\n")}`
        )
      says("clients are served", address.clientPort)
      says("peers are served", address.peerPort)
      says("HTTP is served", address.httpPort)
      const ready = log.find((line) => line.startsWith("READY ")) ?? ""
      assert.deepInclude(JSON.parse(ready.slice("READY ".length)), {
        client: `localhost:${address.clientPort}`,
        listens: ["127.0.0.1", "::1"]
      })
    }).pipe(Effect.provide(NodeServices.layer))
)
