/** Which certificates, callers and audit logs a configuration may ask for, and which files it then uses. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import type { FlareDbOptions } from "../../src/config/FlareDbConfig.ts"
import { make } from "../../src/config/FlareDbConfig.ts"
import { clientCertificatePaths, peerCertificatePaths } from "../../src/config/Security.ts"
import { fromEnv } from "../../src/config/Variables.ts"

const from = (env: Record<string, string>) =>
  Effect.provideService(fromEnv, ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))

const options = (more: Partial<FlareDbOptions>): FlareDbOptions => ({ nodeId: 1, ...more })

describe("certificates", () => {
  it.effect("TLS is off without certificates and on with them, and callers use it", () =>
    Effect.gen(function*() {
      const plain = yield* make(options({}))
      assert.deepStrictEqual([plain.tls, plain.clientAuth, plain.insecure], ["off", "none", false])
      const folder = yield* make(options({ certsDir: "/etc/flaredb/certs" }))
      assert.deepStrictEqual([folder.tls, folder.clientAuth], ["on", "either"])
      const files = yield* make(options({ trustedCaFile: "a", certFile: "b", keyFile: "c" }))
      assert.deepStrictEqual([files.tls, files.clientAuth], ["on", "either"])
      const later = yield* make(options({ certsDir: "certs", tls: "accept", clientAuth: "none" }))
      assert.deepStrictEqual([later.tls, later.clientAuth], ["accept", "none"])
    }))

  it("come from one folder, and single files win", () => {
    assert.deepStrictEqual(clientCertificatePaths({ certsDir: "/c/" }), {
      authorities: "/c/ca.crt",
      certificate: "/c/node.crt",
      key: "/c/node.key"
    })
    assert.deepStrictEqual(clientCertificatePaths({ certsDir: "/c", certFile: "/d/x.pem", keyFile: "/d/x.key" }), {
      authorities: "/c/ca.crt",
      certificate: "/d/x.pem",
      key: "/d/x.key"
    })
    assert.isUndefined(clientCertificatePaths({ certFile: "/d/x.pem", keyFile: "/d/x.key" }))
  })

  it("of the peer port are those of the others unless they are given", () => {
    const paths = { trustedCaFile: "ca", certFile: "crt", keyFile: "key" }
    assert.deepStrictEqual(peerCertificatePaths(paths), clientCertificatePaths(paths))
    assert.deepStrictEqual(
      peerCertificatePaths({ ...paths, peerTrustedCaFile: "p-ca", peerCertFile: "p-crt", peerKeyFile: "p-key" }),
      { authorities: "p-ca", certificate: "p-crt", key: "p-key" }
    )
  })

  const refused: ReadonlyArray<readonly [string, Partial<FlareDbOptions>, string, RegExp]> = [
    ["a mode that there is not", { tls: "yes" as "on" }, "tls", /"yes" is none of off, accept, dial, on/],
    ["no second word on a mode that there is not", { tls: "yes" as "on" }, "tls", /^[^;]*is none of [^;]*$/],
    ["TLS without files", { tls: "on" }, "tls", /on needs certificates: give --certs-dir.*flaredb cert/],
    ["half of the files", { tls: "accept", trustedCaFile: "ca" }, "tls", /accept needs certificates/],
    ["a certificate without its key", { certsDir: "c", certFile: "x" }, "keyFile", /is missing/],
    ["a key without its certificate", { certsDir: "c", peerKeyFile: "x" }, "peerCertFile", /is missing/],
    ["an empty path", { certsDir: "" }, "certsDir", /must not be empty/],
    ["callers by what there is not", { clientAuth: "all" as "none" }, "clientAuth", /none of none, certificate/],
    ["callers by certificates without TLS", { clientAuth: "certificate" }, "clientAuth", /needs TLS/],
    ["a first token for no one", { bootstrapTokenFile: "t" }, "bootstrapTokenFile", /clientAuth is none/],
    ["strictness without a log", { auditStrict: true }, "auditStrict", /needs --audit-log/],
    ["events that there are not", { auditLog: "f", auditEvents: "some" as "all" }, "auditEvents", /none of/]
  ]
  for (const [what, more, field, problem] of refused) {
    it.effect(`refuses ${what}`, () =>
      Effect.gen(function*() {
        const { problems } = yield* Effect.flip(make(options(more)))
        assert.isTrue(
          problems.some((one) => one.field === field && problem.test(one.problem)),
          JSON.stringify(problems)
        )
      }))
  }

  it.effect("lists all problems at once", () =>
    Effect.gen(function*() {
      const { problems } = yield* Effect.flip(make(options({ tls: "on", keyFile: "k", auditStrict: true, nodeId: 9 })))
      assert.includeMembers(problems.map(({ field }) => field), ["nodeId", "certFile", "tls", "auditStrict"])
    }))

  it.effect("every setting has a variable", () =>
    Effect.gen(function*() {
      const config = yield* from({
        FLAREDB_NODE_ID: "1",
        FLAREDB_TLS: "dial",
        FLAREDB_CERTS_DIR: "dir",
        FLAREDB_TRUSTED_CA_FILE: "ca",
        FLAREDB_CERT_FILE: "crt",
        FLAREDB_KEY_FILE: "key",
        FLAREDB_PEER_TRUSTED_CA_FILE: "peer-ca",
        FLAREDB_PEER_CERT_FILE: "peer-crt",
        FLAREDB_PEER_KEY_FILE: "peer-key",
        FLAREDB_CLIENT_AUTH: "token",
        FLAREDB_BOOTSTRAP_TOKEN_FILE: "token",
        FLAREDB_INSECURE: "true",
        FLAREDB_AUDIT_LOG: "audit.jsonl",
        FLAREDB_AUDIT_EVENTS: "all",
        FLAREDB_AUDIT_STRICT: "true"
      })
      assert.deepInclude(config, {
        tls: "dial",
        certsDir: "dir",
        trustedCaFile: "ca",
        certFile: "crt",
        keyFile: "key",
        peerTrustedCaFile: "peer-ca",
        peerCertFile: "peer-crt",
        peerKeyFile: "peer-key",
        clientAuth: "token",
        bootstrapTokenFile: "token",
        insecure: true,
        auditLog: "audit.jsonl",
        auditEvents: "all",
        auditStrict: true
      })
    }))
})
