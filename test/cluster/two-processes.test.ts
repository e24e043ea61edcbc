/** Two processes with one node id, as a copied configuration makes them: the node that hears both says so. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import type { NodeReport } from "../../src/protocol/NodeReport.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import * as Cluster from "./Cluster.ts"
import { launcher, run } from "./Flaredb.ts"
import { freePorts } from "../FreePorts.ts"

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
    const conflict = /two processes run as node 2: 127\.0\.0\.1:\d+ and 127\.0\.0\.1:\d+; stop one of them/
    const tellers = (reports: ReadonlyArray<NodeReport>) =>
      reports.flatMap(({ nodeId, peers }) =>
        peers.filter(({ conflict: line, peer }) => peer === 2 && conflict.test(line ?? "")).map(() =>
          cluster.node(nodeId)
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
      // Followers say nothing to each other: it is the leader that hears both.
      const [teller] = tellers(yield* cluster.until((reports) => tellers(reports).length > 0))
      if (teller === undefined) return assert.fail("no node tells of it")
      const { address: { host, httpPort: port }, id, log } = teller
      yield* cluster.until(() => log.some((line) => line.includes("\"ERROR\"") && conflict.test(line)))
      const metrics = yield* Effect.promise(async () => (await fetch(`http://${host}:${port}/metrics`)).text())
      assert.match(metrics, /^flaredb_peer_instance_conflicts_total 1$/m)
      assert.lengthOf(log.filter((line) => conflict.test(line)), 1)
      const status = yield* run(["status", "--endpoints", cluster.endpointList])
      assert.match(status.out, new RegExp(`^node ${id}: ${conflict.source}$`, "m"))
      // Nothing is refused or stopped because of it.
      yield* kv.put("a", "2")

      yield* second.stop("SIGTERM")
      yield* cluster.until((reports) => reports.length === 3 && tellers(reports).length === 0)
    }).pipe(Effect.provide(Cluster.client(cluster)))
  }).pipe(Effect.provide(NodeServices.layer)))
