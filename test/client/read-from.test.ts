/** Which node answers reads: the leader, or any, with the same promise. Over real nodes in memory. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Option } from "effect"
import { TestClock } from "effect/testing"
import type { ClientOptions } from "../../src/client/ClientOptions.ts"
import type { Connect } from "../../src/client/connection/Connection.ts"
import { ConnectionLost } from "../../src/client/connection/Connection.ts"
import type { Endpoint } from "../../src/client/connection/Endpoint.ts"
import { formatEndpoint } from "../../src/client/connection/Endpoint.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import * as RemoteClient from "../../src/client/RemoteClient.ts"
import * as FlareDbConfig from "../../src/config/index.ts"
import { TestCluster } from "../../src/testing/TestCluster.ts"

const endpointOf = (id: number): Endpoint => ({
  host: "127.0.0.1",
  port: FlareDbConfig.localNodes.find((node) => node.id === id)?.clientPort ?? assert.fail("no such node")
})

it.effect("a follower answers linearizable reads when any node may, and sends those for the leader there", () =>
  Effect.gen(function*() {
    const cluster = yield* TestCluster.make({ voters: 3, passTime: TestClock.adjust(10) })
    const leader = yield* cluster.leader()
    const [follower, other] = cluster.nodes.filter((node) => node !== leader)
    if (follower === undefined || other === undefined) return assert.fail("two nodes follow")
    /** Which nodes gave values, for each read. */
    const served: Array<number> = []
    const connect: Connect = (endpoint) =>
      Effect.suspend(() => {
        const node = cluster.nodes.find(({ id }) => formatEndpoint(endpointOf(id)) === formatEndpoint(endpoint))
        if (node === undefined) return assert.fail("no such node")
        const lost = new ConnectionLost({ endpoint: "", reason: "not here", sent: false })
        return Effect.succeed({
          cluster: Effect.map(node.node.identity, (identity) => ({ name: "test", identity })),
          write: (commands, done) =>
            node.node.proposeUnsafe(commands, "client", (results) => done(Exit.succeed(results))),
          read: (queries, consistency, from, done) =>
            void Effect.runFork(
              Effect.tap(node.node.query(queries, consistency, from), (answers) =>
                Effect.sync(() => {
                  if (answers.every((answer) => answer instanceof Uint8Array)) served.push(node.id)
                }))
            ).addObserver(done),
          watch: () => Effect.fail(lost),
          status: Effect.fail(lost),
          vitals: Effect.fail(lost),
          transferLeader: () => Effect.void
        })
      })
    const endpoints = [follower, other, leader].map(({ id }) => endpointOf(id))
    const reading = (options: Partial<ClientOptions>, read: Parameters<KeyValue["Service"]["get"]>[1]) =>
      Effect.gen(function*() {
        served.length = 0
        const kv = yield* KeyValue
        const { revision } = yield* kv.put("key", "value")
        const found = Option.getOrThrow(yield* kv.get("key", read))
        if (read?.consistency !== "stale") {
          assert.strictEqual(found.modRevision, revision, "it sees the write before it")
        }
        return [...served]
      }).pipe(Effect.provide(RemoteClient.layerConnect({ endpoints, ...options }, connect)), Effect.orDie)
    const ask = (options: Partial<ClientOptions>, read?: Parameters<KeyValue["Service"]["get"]>[1]) =>
      cluster.whileTimePasses(reading(options, read))

    assert.deepStrictEqual(yield* ask({}), [follower.id], "any node, unless told otherwise")
    assert.deepStrictEqual(yield* ask({ readFrom: "leader" }), [leader.id], "as the client's default")
    assert.deepStrictEqual(yield* ask({}, { readFrom: "leader" }), [leader.id], "for one call")
    assert.deepStrictEqual(yield* ask({ readFrom: "leader" }, { readFrom: "any" }), [follower.id])
    yield* cluster.converged
    assert.deepStrictEqual(yield* ask({ readFrom: "leader", consistency: "stale" }), [leader.id])
    assert.deepStrictEqual(yield* ask({}, { consistency: "stale" }), [follower.id])
  }))
