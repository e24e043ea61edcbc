/** The commands on certificates, as their users run them; and the recipe for openssl of the guide. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { execFileSync } from "node:child_process"
import type { X509Certificate } from "node:crypto"
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import type { Server } from "node:tls"
import { createServer } from "node:tls"
import { factsOf, isIssuedBy, missingUses, parsePem } from "../../../src/certificates/Certificates.ts"
import { openssl, opensslMissing } from "../../certificates/Openssl.ts"
import { run } from "./CommandLine.ts"
import type { InProcessOptions } from "./InProcess.ts"
import { runInProcess } from "./InProcess.ts"

const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "flaredb-cert-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

type Carry = (args: ReadonlyArray<string>, options?: InProcessOptions) => ReturnType<typeof runInProcess>

const asProcess: Carry = (args) => Effect.orDie(run(args))

const inProcess: Carry = (args, options) => runInProcess(args, { ...options, oneAtATime: true })

/** Carries `flaredb cert …` out in a folder of certificates. No output of any command may have a key in it. */
const certIn = (folder: string, carry: Carry = inProcess) => (...args: ReadonlyArray<string>) =>
  Effect.map(carry(["cert", ...args, "--certs-dir", folder]), (ran) => {
    assert.notInclude(ran.out + ran.err, "PRIVATE", args.join(" "))
    return ran
  })

const succeeds = (folder: string, carry: Carry = inProcess) => {
  const cert = certIn(folder, carry)
  return (...args: ReadonlyArray<string>) =>
    Effect.map(cert(...args), ({ code, err, out }) => {
      assert.strictEqual(code, 0, `${args.join(" ")}\n${out}${err}`)
      return out
    })
}

const certificateIn = (...path: ReadonlyArray<string>): X509Certificate => {
  const [first] = Result.getOrThrow(parsePem(readFileSync(join(...path), "utf8")))
  if (first === undefined) throw new Error(`${path.join("/")} is empty`)
  return first
}

const nodes = "1=db1.example.com:7001:7101:7201,2=db2.example.com:7001:7101:7201,3=10.0.0.3:7001:7101:7201"

/** Everything that three machines need. */
const makeAll = Effect.fnUntraced(function*(folder: string, carry: Carry = inProcess) {
  const cert = succeeds(folder, carry)
  yield* cert("ca", "--cluster", "prod")
  yield* cert("node", "1", "--host", "db1.example.com,10.0.0.1")
  yield* cert("node", "2", "--host", "db2.example.com")
  yield* cert("node", "3", "--host", "10.0.0.3")
  yield* cert("client", "admin")
})

/** A port that shows the certificate in a folder as it is now. */
const serve = (folder: string) =>
  Effect.acquireRelease(
    Effect.callback<Server>((resume) => {
      const read = (name: string) => readFileSync(join(folder, name), "utf8")
      const server = createServer({ cert: read("node.crt"), key: read("node.key") }, (socket) => {
        socket.on("error", () => undefined).resume().end()
      })
      server.on("tlsClientError", () => undefined)
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
  ).pipe(Effect.map((server) => {
    const address = server.address()
    return typeof address === "object" && address !== null ? address.port : 0
  }))

describe("flaredb cert", () => {
  it.live("makes what three machines need, for their owner alone", () =>
    Effect.gen(function*() {
      const folder = join(yield* temporaryFolder, "certs")
      // A process lets nobody else read what it makes.
      yield* makeAll(folder, asProcess)
      const found = readdirSync(folder, { recursive: true, encoding: "utf8" }).sort()
      assert.deepStrictEqual(found.filter((name) => !name.startsWith("node-2") && !name.startsWith("node-3")), [
        "ca.crt",
        "ca.key",
        "client-admin",
        "client-admin/ca.crt",
        "client-admin/client.crt",
        "client-admin/client.key",
        "node-1",
        "node-1/ca.crt",
        "node-1/node.crt",
        "node-1/node.key"
      ])
      for (const name of [".", ...found]) assert.strictEqual(statSync(join(folder, name)).mode & 0o077, 0, name)
      const check = yield* succeeds(folder, asProcess)(
        "check",
        "--nodes",
        nodes,
        "--cluster-id",
        "prod",
        "--expires-within",
        "364d"
      )
      assert.match(check, /^authority O=prod, CN=FlareDB authority [0-9a-f]{8}, valid to .*, 3650 days left$/m)
      assert.match(
        check,
        /node-1\/node.crt: node 1 of cluster prod at db1.example.com, 10.0.0.1, valid to .* 365 days left$/m
      )
      assert.match(check, /client-admin\/client.crt: client admin of cluster prod, valid to/)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("replaces nothing unless it is said, and renews in time", () =>
    Effect.gen(function*() {
      const folder = join(yield* temporaryFolder, "certs")
      const cert = certIn(folder)
      yield* makeAll(folder)
      const before = readFileSync(join(folder, "node-1/node.crt"), "utf8")
      const again = yield* cert("ca", "--cluster", "prod")
      assert.strictEqual(again.code, 2)
      assert.match(again.err, /ca.crt and .*ca.key exist already; flaredb cert rotate-ca replaces/)
      const twice = yield* cert("node", "1", "--host", "x")
      assert.strictEqual(twice.code, 2)
      assert.match(twice.err, /node.crt and .*node.key exist already; --overwrite replaces it/)
      const kept = yield* succeeds(folder)("node", "1", "--renew-within", "30d", "--json")
      assert.deepInclude(JSON.parse(kept), { outcome: "kept", name: "flaredb://prod/node/1", daysLeft: 365 })
      assert.strictEqual(readFileSync(join(folder, "node-1/node.crt"), "utf8"), before)
      const renewed = yield* succeeds(folder)("node", "1", "--renew-within", "366d", "--days", "30", "--json")
      assert.deepInclude(JSON.parse(renewed), {
        outcome: "renewed",
        hosts: ["db1.example.com", "10.0.0.1"],
        daysLeft: 30
      })
      const nameless = yield* cert("node", "4")
      assert.strictEqual(nameless.code, 2)
      assert.match(nameless.err, /--host is missing/)
      const capped = yield* cert("client", "late", "--days", "36500")
      assert.strictEqual(capped.code, 0)
      assert.match(capped.err, /it ends with its authority/)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("shows certificates of files and of ports, and nothing of a key", () =>
    Effect.gen(function*() {
      const folder = join(yield* temporaryFolder, "certs")
      yield* makeAll(folder)
      const shown = yield* inProcess(["cert", "show", join(folder, "node-1/node.crt")])
      assert.match(shown.out, /^holder +node 1 of cluster prod, flaredb:\/\/prod\/node\/1$/m)
      assert.match(shown.out, /^hosts +db1.example.com, 10.0.0.1$/m)
      const port = yield* serve(join(folder, "node-1"))
      const live = yield* inProcess(["cert", "show", `127.0.0.1:${port}`])
      assert.strictEqual(live.out, shown.out)
      const json = JSON.parse((yield* inProcess(["cert", "show", `127.0.0.1:${port}`, "--json"])).out)
      const { fingerprint256 } = certificateIn(folder, "node-1/node.crt")
      assert.deepInclude(json, { name: "flaredb://prod/node/1", sha256: fingerprint256, isAuthority: false })
      const key = yield* inProcess(["cert", "show", join(folder, "ca.key")])
      assert.deepStrictEqual([key.code, key.out], [1, ""])
      assert.match(key.err, /ca.key: it holds a private key and no certificate\n$/)
      writeFileSync(join(folder, "garbage"), Buffer.from([0xff, 0x1b, 0x5b, 0x00]))
      const garbage = yield* inProcess(["cert", "show", join(folder, "garbage"), "--json"])
      assert.strictEqual(garbage.code, 1)
      assert.match(JSON.parse(garbage.err).error.message, /holds no certificate in PEM form/)
      const refused = yield* inProcess(["cert", "show", "127.0.0.1:1"])
      assert.deepStrictEqual([refused.code, refused.err], [1, "flaredb: 127.0.0.1:1: nothing listens there\n"])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("tells what a start would refuse", () =>
    Effect.gen(function*() {
      const folder = join(yield* temporaryFolder, "certs")
      yield* makeAll(folder)
      const one = join(folder, "node-1")
      chmodSync(join(one, "node.key"), 0o644)
      const env = {
        FLAREDB_NODES: nodes.replace("db1.example.com", "db9"),
        FLAREDB_NODE_ID: "1",
        FLAREDB_CERTS_DIR: one
      }
      const { code, err, out } = yield* inProcess(["cert", "check"], { env })
      assert.strictEqual(code, 1)
      assert.match(out, /^problem: .*node.key: others than its owner may read the key \(mode 644\); run chmod 600/m)
      assert.match(out, /^problem: .*node.crt: it is not valid for db9, by which the others dial node 1/m)
      assert.match(err, /^flaredb: 2 problems in /)
      const json = yield* inProcess(["cert", "check", "--json"], { env })
      assert.lengthOf(json.out.trim().split("\n"), 3)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("replaces the authority in three steps", () =>
    Effect.gen(function*() {
      const folder = join(yield* temporaryFolder, "certs")
      yield* makeAll(folder)
      const cert = succeeds(folder)
      const old = certificateIn(folder, "ca.crt")
      const port = yield* serve(join(folder, "node-1"))
      assert.match(yield* cert("rotate-ca", "begin"), /Next: copy ca.crt to every node and client/)
      assert.match(yield* cert("check", "--nodes", nodes), /client-admin/)
      assert.match(yield* cert("rotate-ca", "reissue"), /node 3 of cluster prod: .*\nclient admin/)
      const early = yield* certIn(folder)("rotate-ca", "finish", "--endpoints", `127.0.0.1:${port}`)
      assert.strictEqual(early.code, 2)
      assert.match(early.err, /127.0.0.1:\d+ shows a certificate that is not of the new authority/)
      const fresh = yield* serve(join(folder, "node-1"))
      const finished = yield* cert("rotate-ca", "finish", "--endpoints", `127.0.0.1:${fresh}`, "--json")
      assert.deepInclude(JSON.parse(finished), { step: "finish", removed: old.fingerprint256 })
      yield* cert("check", "--nodes", nodes)
      assert.isFalse(isIssuedBy(certificateIn(folder, "node-1/node.crt"), old))
    }).pipe(Effect.provide(NodeServices.layer)))
})

/** The block of the guide that makes everything with openssl. */
const recipe = (): string => {
  const guide = readFileSync(join(import.meta.dirname, "../../../docs/security-certificates.md"), "utf8")
  const [, block] = /## With openssl[\s\S]*?```sh\n([\s\S]*?)```/.exec(guide) ?? []
  if (block === undefined) throw new Error("the guide has no recipe")
  return block
}

describe.skipIf(opensslMissing !== undefined)(
  `the recipe for openssl of the guide${opensslMissing === undefined ? "" : ` (skipped: ${opensslMissing})`}`,
  () => {
    it.live("makes what flaredb cert makes, and what it takes", () =>
      Effect.gen(function*() {
        const folder = yield* temporaryFolder
        const theirs = join(folder, "theirs")
        const ours = join(folder, "ours")
        mkdirSync(theirs)
        execFileSync("sh", ["-e", "-c", recipe()], {
          cwd: theirs,
          stdio: ["ignore", "ignore", "pipe"],
          timeout: 60_000
        })
        const check = yield* succeeds(theirs)("check", "--nodes", nodes.replace("10.0.0.3", "db3.example.com"))
        assert.match(check, /node-3\/node.crt: node 3 of cluster production at db3.example.com, 10.0.0.3/)

        const cert = succeeds(ours)
        yield* cert("ca", "--cluster", "production")
        yield* cert("node", "1", "--host", "db1.example.com,10.0.0.1")
        yield* cert("client", "admin")
        for (const name of ["ca.crt", "node-1/node.crt", "client-admin/client.crt"]) {
          const [one, other] = [certificateIn(theirs, name), certificateIn(ours, name)]
          const [theirFacts, ourFacts] = [factsOf(one), factsOf(other)]
          assert.deepStrictEqual(theirFacts.name, ourFacts.name, name)
          assert.deepStrictEqual(theirFacts.hosts, ourFacts.hosts, name)
          assert.strictEqual(theirFacts.isAuthority, ourFacts.isAuthority, name)
          assert.deepStrictEqual(one.keyUsage, other.keyUsage, name)
          assert.deepStrictEqual(missingUses(one, "client"), [], name)
          const days = ({ validFromMs, validToMs }: typeof theirFacts) =>
            Math.round((validToMs - validFromMs) / 86_400_000)
          assert.strictEqual(days(theirFacts), days(ourFacts), name)
          for (const path of [theirs, ours]) {
            openssl(path, "verify", "-x509_strict", "-CAfile", join(dirname(name), "ca.crt"), name)
          }
        }
        const issued = yield* succeeds(theirs)("node", "4", "--host", "db4", "--cluster", "production")
        assert.match(issued, /node 4 of cluster production at db4/)
        openssl(theirs, "verify", "-x509_strict", "-CAfile", "ca.crt", "node-4/node.crt")
        const without = yield* certIn(theirs)("node", "5", "--host", "db5")
        assert.deepStrictEqual([without.code, /give --cluster/.test(without.err)], [2, true])
      }).pipe(Effect.provide(NodeServices.layer)))
  }
)
