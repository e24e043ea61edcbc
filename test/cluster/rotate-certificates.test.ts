/** Certificates, and then the authority itself, are replaced while a cluster is in use. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { X509Certificate } from "node:crypto"
import { readFileSync } from "node:fs"
import { nodeFolder } from "../../src/cli/launch/ClusterCertificates.ts"
import * as FlareDb from "../../src/FlareDb.ts"
import { eventually } from "../Eventually.ts"
import { certificatesOf, clientTls } from "./Certified.ts"
import * as Cluster from "./Cluster.ts"
import { figure } from "./Figures.ts"
import { run } from "./Flaredb.ts"
import { restartEach } from "./RollingRestart.ts"
import { during, SteadyLoad } from "./SteadyLoad.ts"

/** Lines of a node's log that say which certificates it uses for new connections. */
const taken = (node: Cluster.ClusterNode): number => node.log.filter((line) => line.includes("in use for new")).length

it.live("certificates and the authority are replaced under load, and no operation fails", () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(3)
    const certificates = yield* certificatesOf(cluster)
    const { folder } = certificates
    for (const node of cluster.nodes) node.settings = certificates.settings(node)
    yield* Cluster.start(cluster)
    const tls = yield* clientTls(certificates)
    const client = FlareDb.layerClient({ endpoints: cluster.endpoints, requestTimeoutMs: 60_000, tls })
    const load = new SteadyLoad("rotation/")
    const writers = yield* during(load.writers("writer", 2), client)
    const watcher = yield* during(load.watcher, client)
    const visitors = yield* during(load.visitors("visitor", client), client)
    const going = Effect.suspend(() => {
      const [goal, visits] = [load.acknowledged.length + 30, load.visits + 3]
      return eventually("writes and new clients go on", () => load.acknowledged.length >= goal && load.visits >= visits)
    })
    yield* going

    /** Carries out a step of the command line, and waits until these nodes and the client have what it wrote. */
    const replace = Effect.fnUntraced(
      function*(nodes: ReadonlyArray<Cluster.ClusterNode>, ...args: ReadonlyArray<string>) {
        const before = nodes.map(taken)
        const { code, err } = yield* run(["cert", ...args, "--certs-dir", folder])
        assert.deepStrictEqual([code, err], [0, ""], args.join(" "))
        yield* tls.credentials.reload
        for (const node of nodes) process.kill(node.pid, "SIGHUP")
        // Both ports of each node tell of it.
        yield* eventually(
          `nodes use what ${args.join(" ")} wrote`,
          () => nodes.every((node, i) => taken(node) >= (before[i] ?? 0) + 2)
        )
        yield* going
      }
    )
    /** All connections between nodes and of long-lived clients are made again. */
    const reconnected = Effect.andThen(
      Effect.provide(restartEach(cluster, (node) => node.settings), client, { local: true }),
      going
    )

    const leaf = () => new X509Certificate(readFileSync(`${nodeFolder(folder, 1)}/node.crt`))
    const authority = () => new X509Certificate(readFileSync(`${folder}/ca.crt`))
    const [firstLeaf, firstAuthority] = [leaf(), authority()]

    for (const node of cluster.nodes) yield* replace([node], "node", String(node.id), "--overwrite")
    yield* replace([], "client", "admin", "--overwrite")
    assert.notStrictEqual(leaf().fingerprint256, firstLeaf.fingerprint256)
    yield* reconnected

    yield* replace(cluster.nodes, "rotate-ca", "begin")
    yield* replace(cluster.nodes, "rotate-ca", "reissue")
    yield* reconnected
    yield* replace(cluster.nodes, "rotate-ca", "finish")
    yield* reconnected
    assert.notStrictEqual(authority().fingerprint256, firstAuthority.fingerprint256)
    assert.isFalse(leaf().checkIssued(firstAuthority) && leaf().verify(firstAuthority.publicKey))

    yield* visitors
    yield* writers
    yield* eventually("the watcher has seen every write", () => load.seen.length >= load.acknowledged.length)
    yield* watcher
    assert.deepStrictEqual(load.failures, [])
    assert.deepStrictEqual(load.seen.toSorted(), load.acknowledged.toSorted())
    figure(
      `writes while certificates were replaced: ${load.acknowledged.length}, new clients: ${load.visits}; failed: 0`
    )
  }).pipe(Effect.provide(NodeServices.layer)))
