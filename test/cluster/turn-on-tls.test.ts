/** A cluster goes from plain connections to TLS while it is in use, as `deploy/runbooks/turn-on-tls.md` says. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { eventually } from "../Eventually.ts"
import { certificatesOf, clientTls } from "./Certified.ts"
import * as Cluster from "./Cluster.ts"
import { figure } from "./Figures.ts"
import { run } from "./Flaredb.ts"
import { restartEach } from "./RollingRestart.ts"
import { during, SteadyLoad } from "./SteadyLoad.ts"
import * as FlareDb from "../../src/FlareDb.ts"

const writers = 2
const prefix = "tls/"

it.live("turns TLS on with three rolling restarts, and no operation fails", () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(3)
    const certificates = yield* certificatesOf(cluster)
    yield* Cluster.start(cluster)
    const load = new SteadyLoad(prefix)
    const options = { endpoints: cluster.endpoints, requestTimeoutMs: 60_000 }
    const plain = FlareDb.layerClient(options)
    const encrypted = FlareDb.layerClient({ ...options, tls: yield* clientTls(certificates) })
    const written = (count: number) => eventually(`${count} writes`, () => load.acknowledged.length >= count)

    /** One step of the runbook, with a status client that reaches the nodes before and after it. */
    const step = (mode: string, status: typeof plain) =>
      Effect.provide(
        restartEach(cluster, (node) => certificates.settings(node, { FLAREDB_TLS: mode })),
        status,
        { local: true }
      )

    const plainWriters = yield* during(load.writers("plain", writers), plain)
    const plainWatcher = yield* during(load.watcher, plain)
    yield* written(50)
    yield* step("accept", plain)
    yield* step("dial", plain)
    // Clients move, the new ones before the old ones go.
    const tlsWriters = yield* during(load.writers("encrypted", writers), encrypted)
    yield* written(load.acknowledged.length + 50)
    yield* plainWriters
    yield* plainWatcher
    const tlsWatcher = yield* during(load.watcher, encrypted)
    const visitors = yield* during(load.visitors("visitor", encrypted), encrypted)
    yield* step("on", encrypted)
    yield* written(load.acknowledged.length + 50)
    yield* visitors
    yield* tlsWriters
    yield* eventually("the watcher has seen every write", () => load.seen.length >= load.acknowledged.length)
    yield* tlsWatcher

    assert.deepStrictEqual(load.failures, [])
    assert.strictEqual(new Set(load.seen).size, load.seen.length, "told once")
    assert.deepStrictEqual(load.seen.toSorted(), load.acknowledged.toSorted())
    figure(
      `writes while TLS was turned on: ${load.acknowledged.length}, of them by new clients ${load.visits}; failed: 0`
    )

    const get = ["get", "tls/plain-0/1", "--endpoints", cluster.endpointList]
    const refused = yield* run([...get, "--timeout", "5s"])
    assert.strictEqual(refused.code, 1)
    assert.include(refused.err, "takes TLS only")
    const taken = yield* run([...get, "--certs-dir", certificates.client])
    assert.deepStrictEqual([taken.code, taken.out, taken.err], [0, "\n", ""])
  }).pipe(Effect.provide(NodeServices.layer)))
