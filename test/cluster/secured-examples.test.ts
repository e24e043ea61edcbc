/** The example services with certificates, which they take from their environment, as they stand there. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { certificatesOf } from "./Certified.ts"
import * as Cluster from "./Cluster.ts"
import { cleanEnv } from "./Flaredb.ts"

const output = Effect.fnUntraced(function*(program: string, env: Readonly<Record<string, string>>) {
  const handle = yield* ChildProcess.make(process.execPath, [program], {
    env: cleanEnv(env),
    extendEnv: true,
    stdin: "ignore"
  })
  const [out, err, code] = yield* Effect.all([
    Stream.mkString(Stream.decodeText(handle.stdout)),
    Stream.mkString(Stream.decodeText(handle.stderr)),
    handle.exitCode
  ], { concurrency: "unbounded" })
  return { out, err, code: Number(code) }
}, Effect.scoped)

it.live("feature flags: a service at nodes that take TLS alone", () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(1)
    const certificates = yield* certificatesOf(cluster)
    for (const node of cluster.nodes) node.settings = certificates.settings(node)
    yield* Cluster.start(cluster)
    const at = { FLAREDB_ENDPOINTS: cluster.endpointList }
    const certified = yield* output("examples/feature-flags.ts", { ...at, FLAREDB_CERTS_DIR: certificates.client })
    assert.deepStrictEqual(certified, { out: "dark-mode is on\n", err: "", code: 0 })
    const plain = yield* output("examples/feature-flags.ts", at)
    assert.deepStrictEqual([plain.out, plain.code], ["", 1])
    assert.include(plain.err, "takes TLS only")
  }).pipe(Effect.provide(NodeServices.layer)))

it.live("job queue: three nodes of another state machine, and a service beside them", () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(3, ["examples/job-queue/node.ts"])
    const certificates = yield* certificatesOf(cluster)
    for (const node of cluster.nodes) node.settings = certificates.settings(node)
    yield* Cluster.start(cluster)
    const at = { FLAREDB_ENDPOINTS: cluster.endpointList }
    const certified = yield* output("examples/job-queue/main.ts", { ...at, FLAREDB_CERTS_DIR: certificates.client })
    assert.strictEqual(certified.code, 0, certified.err)
    assert.match(certified.out, /done 2, dead 1, duplicates 1\n$/)
    // Nodes trust each other by the same authority, and a caller that shows nothing is none of them.
    const authority = { FLAREDB_TRUSTED_CA_FILE: `${certificates.client}/ca.crt` }
    const nobody = yield* output("examples/job-queue/main.ts", { ...at, ...authority })
    assert.strictEqual(nobody.code, 1)
    assert.notInclude(nobody.out, "enqueued")
    assert.include(nobody.out + nobody.err, "certificate")
  }).pipe(Effect.provide(NodeServices.layer)))
