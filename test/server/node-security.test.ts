/** What a node makes of the files that its configuration names, and how it says what is wrong with them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { FlareDbOptions } from "../../src/config/FlareDbConfig.ts"
import { make } from "../../src/config/FlareDbConfig.ts"
import { open } from "../../src/server/NodeSecurity.ts"
import { makeKit } from "../certificates/Kit.ts"

const kit = makeKit(Date.now(), "local")

/** A folder of certificates, for node 1 unless it is said otherwise. */
const folder = (issued = kit.node(1), mode = 0o600) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const path = mkdtempSync(join(tmpdir(), "flaredb-security-"))
      writeFileSync(`${path}/ca.crt`, kit.authority.certificate)
      writeFileSync(`${path}/node.crt`, issued.certificate)
      writeFileSync(`${path}/node.key`, Redacted.value(issued.key), { mode })
      chmodSync(`${path}/node.key`, mode)
      return path
    }),
    (path) => Effect.sync(() => rmSync(path, { recursive: true }))
  )

const opened = (options: Partial<FlareDbOptions>) => Effect.flatMap(make({ nodeId: 1, ...options }), open)

const problemOf = (options: Partial<FlareDbOptions>) =>
  Effect.map(Effect.flip(opened(options)), ({ message }) => message)

describe("a node's certificates and callers", () => {
  it.live("are none without settings", () =>
    Effect.gen(function*() {
      const { callers, dial, peers, port } = yield* opened({})
      assert.deepStrictEqual(peers, {})
      assert.isUndefined(port)
      assert.isUndefined(dial)
      assert.strictEqual(callers.clientAuth, "none")
    }).pipe(Effect.scoped))

  it.live("serve and dial as the mode says", () =>
    Effect.gen(function*() {
      const certsDir = yield* folder()
      const modes = [["accept", false], ["dial", true], ["on", true]] as const
      for (const [tls, dials] of modes) {
        const { dial, peers, port } = yield* opened({ certsDir, tls })
        assert.strictEqual(port?.mode, tls)
        assert.strictEqual(peers.port?.mode, tls)
        assert.strictEqual(peers.port?.demand, "required")
        assert.strictEqual(peers.dial !== undefined, dials, tls)
        assert.strictEqual(dial !== undefined, dials, tls)
        assert.strictEqual(port?.credentials.current().authorities, kit.authority.certificate)
      }
      const off = yield* opened({ certsDir, tls: "off" })
      assert.deepStrictEqual([off.port, off.peers, off.dial], [undefined, {}, undefined])
    }).pipe(Effect.scoped))

  it.live("ask callers for certificates as far as they are of use", () =>
    Effect.gen(function*() {
      const certsDir = yield* folder()
      const demands = [["none", "none"], ["token", "optional"], ["either", "optional"], [
        "certificate",
        "required"
      ]] as const
      for (const [clientAuth, demand] of demands) {
        const { callers, port } = yield* opened({ certsDir, clientAuth })
        assert.strictEqual(port?.demand, demand, clientAuth)
        assert.strictEqual(callers.clientAuth, clientAuth)
      }
    }).pipe(Effect.scoped))

  it.live("are refused when they are another node's, of another cluster, or readable by others", () =>
    Effect.gen(function*() {
      const otherNode = yield* problemOf({ certsDir: yield* folder(kit.node(2)) })
      assert.match(otherNode, /^invalid configuration: certFile: .*node\.crt: it is the certificate of node 2/)
      const otherCluster = yield* problemOf({ certsDir: yield* folder(), clusterId: "other" })
      assert.include(otherCluster, "it is of the cluster local, and this is other")
      const certsDir = yield* folder(undefined, 0o644)
      const readable = yield* problemOf({ certsDir })
      assert.include(readable, `run chmod 600 ${certsDir}/node.key`)
      assert.strictEqual(readable.split("chmod").length, 2, "said once, though two ports use it")
    }).pipe(Effect.scoped))

  it.live("say what is wrong with the files of either port at once", () =>
    Effect.gen(function*() {
      const [certsDir, peers] = [yield* folder(kit.node(2)), yield* folder(kit.node(3))]
      const message = yield* problemOf({
        certsDir,
        peerCertFile: `${peers}/node.crt`,
        peerKeyFile: `${peers}/node.key`
      })
      assert.include(message, "certFile: ")
      assert.include(message, "peerCertFile: ")
    }).pipe(Effect.scoped))

  it.live("take a first token that is long enough and the service's alone", () =>
    Effect.gen(function*() {
      const path = yield* folder()
      const file = `${path}/token`
      const write = (text: string, mode = 0o600) => {
        rmSync(file, { force: true })
        writeFileSync(file, text, { mode })
        chmodSync(file, mode)
      }
      const settings = { clientAuth: "token", bootstrapTokenFile: file } as const
      assert.match(yield* problemOf(settings), /bootstrapTokenFile: .*token: .*ENOENT/)
      write("0123456789abcdef0123456789abcdef\n", 0o640)
      assert.include(yield* problemOf(settings), `run chmod 600 ${file}`)
      write("short\n")
      assert.include(yield* problemOf(settings), "at least 32 characters, as openssl rand -hex 32 prints it")
      write("0123456789abcdef0123456789abcdef\n")
      const { callers } = yield* opened(settings)
      assert.strictEqual(String(callers.bootstrapToken), "<redacted:bootstrap token>")
    }).pipe(Effect.scoped))

  it.live("name an audit log that can be written", () =>
    Effect.gen(function*() {
      const path = yield* folder()
      const { callers } = yield* opened({ auditLog: `${path}/audit.jsonl`, auditEvents: "all" })
      assert.strictEqual(callers.audit?.events, "all")
      assert.match(yield* problemOf({ auditLog: `${path}/missing/audit.jsonl` }), /auditLog: .* cannot be written/)
    }).pipe(Effect.scoped))
})
