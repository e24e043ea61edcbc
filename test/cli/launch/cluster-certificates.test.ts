import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { X509Certificate } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { clientFolder, makeCertificates, nodeFolder } from "../../../src/cli/launch/ClusterCertificates.ts"

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "flaredb-certificates-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

const cluster = { clusterId: "local", nodes: [{ id: 1, host: "127.0.0.1" }, { id: 2, host: "db-2.test" }] }

const certificate = (path: string) => new X509Certificate(readFileSync(path))

it.live("makes an authority once, and certificates of nodes and a client at each start", () =>
  Effect.gen(function*() {
    const path = `${yield* folder}/certs`
    yield* makeCertificates(path, cluster)
    const authority = certificate(`${path}/ca.crt`)
    const first = certificate(`${nodeFolder(path, 2)}/node.crt`)
    assert.isTrue(first.checkIssued(authority) && first.verify(authority.publicKey))
    assert.include(first.subjectAltName, "URI:flaredb://local/node/2")
    assert.isDefined(first.checkHost("db-2.test"))
    assert.isDefined(first.checkIP("127.0.0.1"))
    assert.include(certificate(`${clientFolder(path)}/client.crt`).subjectAltName, "URI:flaredb://local/client/admin")
    for (const key of ["ca.key", "node-1/node.key", "node-2/node.key", "client-admin/client.key"]) {
      assert.strictEqual(statSync(join(path, key)).mode & 0o777, 0o600, key)
    }

    yield* makeCertificates(path, cluster)
    const second = certificate(`${nodeFolder(path, 2)}/node.crt`)
    assert.strictEqual(certificate(`${path}/ca.crt`).fingerprint256, authority.fingerprint256)
    assert.notStrictEqual(second.fingerprint256, first.fingerprint256)
    assert.isTrue(second.verify(authority.publicKey))
  }).pipe(Effect.scoped))

it.live("refuses a folder of another cluster's authority, and says so", () =>
  Effect.gen(function*() {
    const path = `${yield* folder}/certs`
    yield* makeCertificates(path, cluster)
    const { line } = yield* Effect.flip(makeCertificates(path, { ...cluster, clusterId: "other" }))
    assert.include(line, "the authority is for cluster local, not other")
  }).pipe(Effect.scoped))
