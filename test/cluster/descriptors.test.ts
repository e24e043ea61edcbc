/** Nodes that may have few files and connections open go on while strangers take all the connections there are. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { readdirSync } from "node:fs"
import type { Socket } from "node:net"
import { connect } from "node:net"
import { KeyValue } from "../../src/client/KeyValue.ts"
import * as Cluster from "./Cluster.ts"
import { launcher } from "./Flaredb.ts"

const limit = 256

/** Idle connections to each port of each node: more than all its descriptors. */
const idleConnections = 300

/** What Node runs to start a node with `descriptors`. */
const limited = (descriptors: number) => {
  const args = ["sh", "-c", `ulimit -n ${descriptors} && exec "$0" ${launcher} start`, process.execPath]
  return ["--eval", `process.execve("/bin/sh", ${JSON.stringify(args)}, process.env)`]
}

const descriptors = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length

/** Connections that say nothing, until the scope ends; the nodes may close any of them. */
const idle = (ports: ReadonlyArray<number>) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      ports.flatMap((port) =>
        Array.from({ length: idleConnections }, (): Socket => {
          const socket = connect(port, "127.0.0.1")
          socket.on("error", () => undefined)
          return socket.resume()
        })
      )
    ),
    (sockets) => Effect.sync(() => sockets.forEach((socket) => socket.destroy()))
  )

it.live.skipIf(process.platform !== "linux")(
  "idle connections beyond all descriptors cost no node, and writes go on into new log files",
  () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make(3, limited(limit), { FLAREDB_MAX_HANDSHAKE_MS: "120000" })
      yield* Cluster.start(cluster)
      const pids = cluster.nodes.map(({ pid }) => pid)
      const logs = (node: Cluster.ClusterNode) => readdirSync(node.dataDir).filter((name) => name.endsWith(".log"))
      const before = cluster.nodes.map(logs)
      yield* Effect.gen(function*() {
        const kv = yield* KeyValue
        yield* kv.put("first", "value")
        yield* idle(cluster.nodes.flatMap(({ address: { clientPort, httpPort, peerPort } }) => [
          clientPort,
          peerPort,
          httpPort
        ]))
        // As many as a node takes: its ports are full, and what it has open no longer grows.
        const full = Effect.sync(() => pids.every((pid) => descriptors(pid) > limit / 2))
        yield* Effect.repeat(full, { schedule: Schedule.spaced(20), until: (is) => is })
        const value = new Uint8Array(512 * 1024)
        const rotated = Effect.sync(() =>
          cluster.nodes.every((node, i) => logs(node).some((name) => before[i]?.includes(name) === false))
        )
        yield* Effect.repeat(Effect.andThen(kv.put("large", value), rotated), { until: (is) => is })
        yield* kv.put("last", "value")
      }).pipe(Effect.scoped, Effect.provide(Cluster.client(cluster)))
      assert.deepStrictEqual(cluster.nodes.map(({ pid }) => pid), pids)
      for (const node of cluster.nodes) {
        const log = node.log.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line) as { level: string })
        assert.isEmpty(log.filter(({ level }) => level === "ERROR" || level === "FATAL"))
        assert.match(
          node.log.join("\n"),
          /may have 256 files and connections open: maxClientConnections is \d+ instead of 4096/
        )
      }
    }).pipe(Effect.provide(NodeServices.layer))
)

it.live.skipIf(process.platform !== "linux")(
  "a node refuses to start with fewer descriptors than its store needs",
  () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make(1, limited(100))
      const error = yield* Effect.flip(cluster.node(1).start)
      assert.match(error.message, /this process may have 100 files and connections open, and a node needs \d+; raise/)
    }).pipe(Effect.provide(NodeServices.layer))
)
