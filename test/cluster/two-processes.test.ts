/** Two processes with one node id, as a copied configuration makes them: every other node says so. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { KeyValue } from "../../src/client/KeyValue.ts"
import * as Cluster from "./Cluster.ts"
import { launcher, run } from "./Flaredb.ts"
import { freePorts } from "./FreePorts.ts"

it.live("a second process that runs as node 2 is an error in the log, in status and in the metrics", () =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const cluster = yield* Cluster.make(3)
    yield* Cluster.start(cluster)
    const [clientPort = 0, peerPort = 0, httpPort = 0] = yield* freePorts(3)
    const address = { id: 2, host: "127.0.0.1", clientPort, peerPort, httpPort }
    const second = new Cluster.ClusterNode(
      address,
      cluster.nodes.map((node) => node.id === 2 ? address : node.address),
      `${yield* files.makeTempDirectoryScoped({ prefix: "flaredb-second-" })}/node-2`,
      yield* Effect.scope,
      [launcher, "start"],
      {},
      () => []
    )
    const others = [cluster.node(1), cluster.node(3)]
    const conflict = /two processes run as node 2: 127\.0\.0\.1:\d+ and 127\.0\.0\.1:\d+; stop one of them/
    const conflicts = (holds: (count: number) => boolean) =>
      cluster.until((reports) =>
        reports.length === 3 &&
        reports.every(({ nodeId, peers }) =>
          nodeId === 2 ||
          holds(peers.filter(({ conflict: line, peer }) => peer === 2 && conflict.test(line ?? "")).length)
        )
      )
    yield* Effect.gen(function*() {
      const kv = yield* KeyValue
      yield* kv.put("a", "1")
      // A restart is no conflict.
      yield* cluster.node(2).stop("SIGKILL")
      yield* cluster.node(2).start
      yield* cluster.until((reports) => reports.length === 3 && reports.every(({ waiting }) => waiting === null))

      yield* second.start
      yield* conflicts((count) => count === 1)
      for (const { address: { host, httpPort }, log } of others) {
        yield* cluster.until(() => log.some((line) => line.includes("\"ERROR\"") && conflict.test(line)))
        const metrics = yield* Effect.promise(async () => (await fetch(`http://${host}:${httpPort}/metrics`)).text())
        assert.match(metrics, /^flaredb_peer_instance_conflicts_total 1$/m)
        assert.lengthOf(log.filter((line) => conflict.test(line)), 1)
      }
      const status = yield* run(["status", "--endpoints", cluster.endpointList])
      for (const { id } of others) assert.match(status.out, new RegExp(`^node ${id}: ${conflict.source}$`, "m"))
      // Nothing is refused or stopped because of it.
      yield* kv.put("a", "2")

      yield* second.stop("SIGTERM")
      yield* conflicts((count) => count === 0)
    }).pipe(Effect.provide(Cluster.client(cluster)))
  }).pipe(Effect.provide(NodeServices.layer)))
