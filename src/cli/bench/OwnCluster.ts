/**
 * Three nodes on this machine for the length of a scope, with data in a temporary folder: real processes, every commit
 * synced.
 */
import { Effect, FileSystem, Queue } from "effect"
import { tmpdir } from "node:os"
import type { NodeAddress } from "../../config/NodeAddress.ts"
import { failed, failureOf } from "../output/Failure.ts"
import { freePorts } from "../launch/FreePorts.ts"
import { startNode } from "../launch/LocalCluster.ts"
import type { Target } from "./Target.ts"
import { newPrefix } from "./RunKeys.ts"

export const ownCluster = Effect.gen(function*() {
  const files = yield* FileSystem.FileSystem
  const dataDir = yield* Effect.mapError(
    files.makeTempDirectoryScoped({ prefix: "flaredb-bench-" }),
    ({ message }) => failed(`no folder for the nodes' data can be created in ${tmpdir()} (TMPDIR): ${message}`)
  )
  const ports = yield* freePorts(9)
  const nodes = [1, 2, 3].map((id): NodeAddress => {
    const [clientPort = 0, peerPort = 0, httpPort = 0] = ports.slice(3 * id - 3)
    return { id, host: "127.0.0.1", clientPort, peerPort, httpPort }
  })
  const ended = yield* Queue.unbounded<string>()
  const pids = yield* Effect.forEach(
    nodes,
    ({ id }) => startNode({ clusterId: "bench", nodes, dataDir }, id, ended),
    { concurrency: "unbounded" }
  )
  return {
    endpoints: nodes.map(({ clientPort, host }) => `${host}:${clientPort}`).join(","),
    keyPrefix: "bench/",
    nodes: nodes.map(({ clientPort, host, httpPort, peerPort }, i) => ({
      http: `${host}:${httpPort}`,
      pid: pids[i],
      ports: [clientPort, peerPort]
    }))
  } satisfies Target
}).pipe(Effect.mapError(failureOf))

/** A cluster that runs already, of which only the network is known. */
export const runningCluster = (nodes: ReadonlyArray<NodeAddress>): Target => ({
  endpoints: nodes.map(({ clientPort, host }) => `${host}:${clientPort}`).join(","),
  keyPrefix: newPrefix(),
  nodes: nodes.map(({ clientPort, host, httpPort, peerPort }) => ({
    http: `${host}:${httpPort}`,
    ports: [clientPort, peerPort]
  }))
})
