/**
 * Three nodes on this machine for the length of a scope, with data in a temporary folder: real processes, every commit
 * synced.
 */
import { Clock, Effect, FileSystem, Queue } from "effect"
import { tmpdir } from "node:os"
import { filesInFolder } from "../../client/CertificateFiles.ts"
import type { NodeAddress } from "../../config/NodeAddress.ts"
import { removeLeftovers } from "../../storage/backup/Leftovers.ts"
import { errorText } from "../../ErrorText.ts"
import { formatDuration } from "../../DurationText.ts"
import type { IdentityFiles } from "../input/IdentityFlags.ts"
import type { Failure } from "../output/Failure.ts"
import { failed, failureOf } from "../output/Failure.ts"
import { clientFolder, makeCertificates } from "../launch/ClusterCertificates.ts"
import { findPorts } from "../launch/FreePorts.ts"
import { NodeEnded, startNode, startNodes } from "../launch/LocalCluster.ts"
import type { Target } from "./Target.ts"
import { newPrefix } from "./RunKeys.ts"

/** What the end of a node means for a measurement. Its log goes with its data, so all that it said is in here. */
const failureAt = (end: unknown): Failure =>
  end instanceof NodeEnded
    ? failed(
      `node ${end.id} of the cluster that was started to be measured ended with ${end.how}${
        end.why === "" ? "" : `; it said: ${end.why}`
      }`
    )
    : failureOf(end)

const folderPrefix = "flaredb-bench-"

/** A node with a new directory is ready within this time, also where each sync takes a second. */
const readyMs = 60_000

/** Starts a cluster, with certificates that are made for it when it has `tls`. `ended` fails once a node has ended. */
const startCluster = Effect.fnUntraced(function*(tls: boolean) {
  const files = yield* FileSystem.FileSystem
  // What was killed could not remove its own.
  removeLeftovers(tmpdir(), folderPrefix, yield* Clock.currentTimeMillis, { uid: process.getuid?.() })
  const dataDir = yield* Effect.mapError(
    files.makeTempDirectoryScoped({ prefix: `${folderPrefix}${process.pid}-` }),
    ({ message }) => failed(`no folder for the nodes' data can be created in ${tmpdir()} (TMPDIR): ${message}`)
  )
  const ports = yield* Effect.tryPromise({
    try: () => findPorts(9),
    catch: (error) => failed(`no ports for the nodes can be found: ${errorText(error)}`)
  })
  const nodes = [1, 2, 3].map((id): NodeAddress => {
    const [clientPort = 0, peerPort = 0, httpPort = 0] = ports.slice(3 * id - 3)
    return { id, host: "127.0.0.1", clientPort, peerPort, httpPort }
  })
  const cluster = { clusterId: "bench", nodes, dataDir, tls }
  const certificates = `${dataDir}/certs`
  if (tls) yield* makeCertificates(certificates, cluster)
  const ended = yield* Queue.unbounded<NodeEnded>()
  const pids = yield* startNodes(cluster, (id) =>
    Effect.timeoutOrElse(startNode(cluster, id, ended), {
      duration: readyMs,
      orElse: () =>
        Effect.fail(failed(
          `node ${id} of the cluster that was started to be measured was not ready within ${formatDuration(readyMs)}`
        ))
    }))
  const target: Target = {
    endpoints: nodes.map(({ clientPort, host }) => `${host}:${clientPort}`).join(","),
    keyPrefix: "bench/",
    identity: tls ? filesInFolder(clientFolder(certificates)) : {},
    nodes: nodes.map(({ clientPort, host, httpPort, peerPort }, i) => ({
      http: `${host}:${httpPort}`,
      pid: pids[i],
      ports: [clientPort, peerPort]
    }))
  }
  return { target, ended: Effect.flatMap(Queue.take(ended), (end) => Effect.fail(failureAt(end))) }
}, Effect.mapError(failureAt))

/** A node that stops closes its ports before its process ends: that this fails shows some time before why it does. */
const endMs = 3_000

/**
 * Measures a cluster of one's own, which is there as long as the scope. Fails as soon as one of its nodes ends: nothing
 * that is measured then is worth anything, and its clients would wait for it.
 */
export const onOwnCluster = <A, E, R>(tls: boolean, use: (target: Target) => Effect.Effect<A, E, R>) =>
  Effect.flatMap(startCluster(tls), ({ ended, target }) =>
    use(target).pipe(
      Effect.catch((error) => Effect.raceFirst(ended, Effect.andThen(Effect.sleep(endMs), Effect.fail(error)))),
      Effect.raceFirst(ended)
    ))

/** A cluster that runs already, of which only the network is known. */
export const runningCluster = (nodes: ReadonlyArray<NodeAddress>, identity: IdentityFiles): Target => ({
  identity,
  endpoints: nodes.map(({ clientPort, host }) => `${host}:${clientPort}`).join(","),
  keyPrefix: newPrefix(),
  nodes: nodes.map(({ clientPort, host, httpPort, peerPort }) => ({
    http: `${host}:${httpPort}`,
    ports: [clientPort, peerPort]
  }))
})
