import { assert, it } from "@effect/vitest"
import { Effect, Redacted, Result } from "effect"
import { X509Certificate } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { makeAuthority } from "../../../src/certificates/Authority.ts"
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

it.live("goes on while the authority is replaced: nodes trust both, and the one that has the key issues", () =>
  Effect.gen(function*() {
    const path = `${yield* folder}/certs`
    yield* makeCertificates(path, cluster)
    const next = Result.getOrThrow(makeAuthority({ cluster: "local", nowMs: Date.now() }))
    const both = readFileSync(`${path}/ca.crt`, "utf8") + next.certificate
    writeFileSync(`${path}/ca.crt`, both)
    writeFileSync(`${path}/ca.key`, Redacted.value(next.key))
    yield* makeCertificates(path, cluster)
    assert.strictEqual(readFileSync(`${nodeFolder(path, 1)}/ca.crt`, "utf8"), both)
    assert.isTrue(
      certificate(`${nodeFolder(path, 1)}/node.crt`).verify(new X509Certificate(next.certificate).publicKey)
    )
  }).pipe(Effect.scoped))
