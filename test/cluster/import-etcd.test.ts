/** From etcd to three nodes, with both sides read by this test too. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, Option, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { execFileSync } from "node:child_process"
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { loadavg, tmpdir } from "node:os"
import { join } from "node:path"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { Leases } from "../../src/client/Lease.ts"
import { eventually } from "../Eventually.ts"
import { certificatesOf } from "./Certified.ts"
import * as Cluster from "./Cluster.ts"
import * as Etcd from "./Etcd.ts"
import { figure } from "./Figures.ts"
import { cleanEnv, launcher, run } from "./Flaredb.ts"

const base64 = (text: string | Uint8Array) => Buffer.from(text).toString("base64")

interface GatewayEntry {
  readonly key: string
  readonly value?: string
  readonly lease?: string
}

/** Puts keys with values of 128 bytes, as many in a transaction as etcd takes. */
const fill = (etcd: Etcd.Etcd, prefix: string, count: number) =>
  Effect.promise(async () => {
    const perTransaction = 128
    let next = 0
    const writer = async () => {
      for (let from = next; from < count; from = next) {
        next = from + perTransaction
        const success = Array.from({ length: Math.min(perTransaction, count - from) }, (_, i) => ({
          request_put: {
            key: base64(`${prefix}${String(from + i).padStart(8, "0")}`),
            value: base64(`${from + i} `.padEnd(128, "x"))
          }
        }))
        await etcd.post("/v3/kv/txn", { success })
      }
    }
    await Promise.all(Array.from({ length: 16 }, writer))
  })

const put = (etcd: Etcd.Etcd, key: string | Uint8Array, value: string | Uint8Array, lease?: string) =>
  Effect.promise(() => etcd.post("/v3/kv/put", { key: base64(key), value: base64(value), ...lease && { lease } }))

const grant = (etcd: Etcd.Etcd, seconds: number) =>
  Effect.promise(() =>
    etcd.post<{ readonly ID: string }>("/v3/lease/grant", { TTL: String(seconds) }).then(({ ID }) => ID)
  )

/** What etcd has with a prefix, read in one answer: values, and which keys share a lease. */
const keysOfEtcd = (etcd: Etcd.Etcd, prefix: string) =>
  Effect.promise(async () => {
    const end = Buffer.from(prefix)
    end[end.length - 1]! += 1
    const body = { key: base64(prefix), range_end: base64(end) }
    const { kvs } = await etcd.post<{ readonly kvs: ReadonlyArray<GatewayEntry> }>("/v3/kv/range", body)
    return kvs.map(({ key, lease, value = "" }) =>
      [Buffer.from(key, "base64").subarray(prefix.length).toString("hex"), value, lease !== undefined] as const
    )
  })

const keysOfFlaredb = Effect.fnUntraced(function*(prefix: string) {
  const kv = yield* KeyValue
  const entries = yield* Stream.runCollect(kv.scanAll(prefix, { limit: 10_000 }))
  return entries.map(({ key, lease, value }) =>
    [Buffer.from(key).subarray(prefix.length).toString("hex"), base64(value), lease !== 0] as const
  )
})

const measured = process.env["FIGURES"] === undefined ? 3_000 : 100_000

if (!Etcd.isInstalled()) {
  it.skip(`import from etcd: ${Etcd.howToInstall}`, () => {})
} else {
  it.live(
    "everything comes over, through the loss of the import, of a node and of etcd, and what changed comes later",
    () =>
      Effect.gen(function*() {
        const cluster = yield* Cluster.make(3)
        const [etcd] = yield* Effect.all([Etcd.start(), Cluster.start(cluster)], { concurrency: 2 })
        const args = (...more: ReadonlyArray<string>) => [
          "import",
          "etcd",
          "--from",
          etcd.url,
          "--endpoints",
          cluster.endpointList,
          "--json",
          ...more
        ]
        const imported = (...more: ReadonlyArray<string>) => run(args(...more))
        yield* Effect.provide(
          Effect.gen(function*() {
            const kv = yield* KeyValue
            const lease = yield* grant(etcd, 3_600)
            yield* fill(etcd, "k/", 3_000)
            yield* put(etcd, Uint8Array.of(107, 47, 0, 255, 128), Uint8Array.of(0, 255))
            yield* put(etcd, "k/large", new Uint8Array(1024 * 1024))
            yield* put(etcd, "k/empty", "")
            for (const key of ["k/leased/1", "k/leased/2"]) yield* put(etcd, key, "1", lease)

            // Killed in the middle. At its rate the rest takes seconds, and the test looks every few milliseconds.
            const killed = yield* ChildProcess.make(
              process.execPath,
              [launcher, ...args("--prefix", "k/", "--to-prefix", "copy/", "--rate", "300")],
              { env: cleanEnv({}), extendEnv: true, stdin: "ignore", stdout: "ignore", stderr: "inherit" }
            )
            yield* eventually("some keys", Effect.map(kv.count("copy/"), (count) => count > 100))
            yield* killed.kill({ killSignal: "SIGKILL" })
            assert.isBelow(yield* kv.count("copy/"), 3_000)

            // Started again, it outlives the leader and etcd.
            const leader = yield* cluster.leader
            const before = yield* kv.count("copy/")
            const breaking = Effect.gen(function*() {
              yield* eventually("more keys", Effect.map(kv.count("copy/"), (count) => count > before))
              yield* Effect.all([leader.stop("SIGKILL"), etcd.kill])
              yield* Effect.all([leader.start, etcd.start], { concurrency: 2 })
            })
            const [resumed] = yield* Effect.all([
              imported("--prefix", "k/", "--to-prefix", "copy/", "--rate", "1000"),
              breaking
            ], { concurrency: 2 })
            assert.strictEqual(resumed.code, 0, resumed.err)
            const result = JSON.parse(resumed.out)
            assert.deepInclude(result, {
              resumed: true,
              verified: true,
              keys: 3_005,
              written: 3_005,
              equal: 0,
              ended: 0
            })
            assert.strictEqual(result.etcd.sha256, result.sha256)
            assert.deepStrictEqual(yield* keysOfFlaredb("copy/"), yield* keysOfEtcd(etcd, "k/"))
            const [granted, ...others] = yield* (yield* Leases).list()
            assert.deepStrictEqual([granted?.keys, others.length], [3, 0])

            // What changed since, in a second run.
            yield* put(etcd, "k/empty", "no longer")
            yield* Effect.promise(() => etcd.post("/v3/kv/deleterange", { key: base64("k/large") }))
            const names = ["--prefix", "k/", "--to-prefix", "copy/"]
            const differs = yield* imported(...names, "--exact", "--verify-only")
            assert.strictEqual(differs.code, 1)
            assert.match(differs.err, /"copy\/empty\\" has another value/)
            assert.match(differs.err, /"tag":"NotEqual"/)
            const synced = yield* imported(...names, "--if-exists", "replace", "--exact")
            assert.strictEqual(synced.code, 0, synced.err)
            assert.deepInclude(JSON.parse(synced.out), {
              written: 1,
              replaced: 1,
              deleted: 1,
              equal: 3_003,
              keys: 3_004
            })
            assert.deepStrictEqual(yield* keysOfFlaredb("copy/"), yield* keysOfEtcd(etcd, "k/"))

            // A longer lease than the nodes grant, and a revision that is gone.
            yield* put(etcd, "l/1", "1", yield* grant(etcd, 8 * 86_400))
            const long = yield* imported("--prefix", "l/")
            assert.match(long.err, /has 7d23h59m\w+ left, and the nodes refuse it: .*"tag":"LeasesRefused"/)
            assert.strictEqual((yield* imported("--prefix", "l/", "--max-lease", "1h")).code, 0)
          }),
          Cluster.client(cluster)
        )
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    300_000
  )

  it.live(`${measured} keys of 128 bytes are imported, with equal hashes`, () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make(3)
      const [etcd] = yield* Effect.all([Etcd.start(), Cluster.start(cluster)], { concurrency: 2 })
      yield* fill(etcd, "key", measured)
      const args = ["import", "etcd", "--from", etcd.url, "--endpoints", cluster.endpointList, "--json"]
      const timed = Effect.fnUntraced(function*(...more: ReadonlyArray<string>) {
        const startMs = Date.now()
        const { code, err, out } = yield* run([...args, ...more])
        assert.strictEqual(code, 0, err)
        return { result: JSON.parse(out), seconds: ((Date.now() - startMs) / 1_000).toFixed(1) }
      })
      const { result, seconds } = yield* timed()
      const { etcd: { sha256 }, ...totals } = result
      assert.deepInclude(totals, { keys: measured, written: measured, sha256, verified: true })
      figure(`import of ${measured} keys of 128 bytes: ${seconds} s in all, sha256 of both ${sha256}`)
      if (measured < 100_000) return
      yield* put(etcd, "key00050000", "changed")
      const second = yield* timed("--if-exists", "replace")
      assert.deepInclude(second.result, { written: 1, equal: measured - 1, verified: true })
      const load = loadavg()[0]?.toFixed(1)
      figure(`a second run, with one key changed: ${second.seconds} s; load of the machine ${load} on 2 cores`)
      figure(`--verify-only: ${(yield* timed("--verify-only")).seconds} s`)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("over TLS, as a user that may read one prefix", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make(1)
      const { client, folder } = yield* certificatesOf(cluster)
      const [etcd] = yield* Effect.all([Etcd.start({ folder: `${folder}/node-1` }), Cluster.start(cluster)], {
        concurrency: 2
      })
      const own = mkdtempSync(join(tmpdir(), "flaredb-import-"))
      yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(own, { recursive: true, force: true })))
      const password = join(own, "password")
      writeFileSync(password, "correct horse\n", { mode: 0o600 })
      const files = { cacert: `${client}/ca.crt`, cert: `${client}/client.crt`, key: `${client}/client.key` }
      const etcdctl = (...args: ReadonlyArray<string>) =>
        execFileSync("etcdctl", [
          "--endpoints",
          etcd.url,
          ...Object.entries(files).map(([k, v]) => `--${k}=${v}`),
          ...args
        ], {
          env: { ...process.env, ETCDCTL_API: "3" },
          stdio: ["ignore", "pipe", "inherit"]
        })
      for (const key of ["app/1", "app/2", "other"]) etcdctl("put", key, key)
      for (
        const words of [
          ["user", "add", "root:root"],
          ["role", "add", "reader"],
          ["role", "grant-permission", "reader", "--prefix=true", "read", "app/"],
          ["user", "add", "importer:correct horse"],
          ["user", "grant-role", "importer", "reader"],
          ["user", "grant-role", "root", "root"]
        ]
      ) etcdctl(...words)
      const authority = ["--etcd-cacert", files.cacert]
      const tls = [...authority, "--etcd-cert", files.cert, "--etcd-key", files.key]
      const imported = (...more: ReadonlyArray<string>) =>
        run(["import", "etcd", "--from", etcd.url, "--endpoints", cluster.endpointList, "--json", ...more])
      const user = ["--user", "importer", "--password-file", password]

      // With certificates alone, before there are users.
      const plain = yield* imported(...tls, "--prefix", "app/")
      assert.strictEqual(plain.code, 0, plain.err)
      assert.deepInclude(JSON.parse(plain.out), { keys: 2, written: 2, verified: true })
      const untrusted = yield* imported("--prefix", "app/")
      assert.match(untrusted.err, /TLS failed \(.*"tag":"EtcdUnreachable"/)
      const unshown = yield* imported(...authority, "--prefix", "app/")
      assert.match(unshown.err, /TLS failed \(.*see --etcd-cacert, --etcd-cert and --etcd-key/)
      etcdctl("auth", "enable")
      const common = yield* imported(...tls, ...user, "--prefix", "app/")
      assert.match(common.err, /whose certificate has a common name: show one without/)

      yield* etcd.restartWithout("client-cert-auth", "trusted-ca-file")
      const nameless = yield* imported(...authority, "--prefix", "app/")
      assert.match(nameless.err, /user name is empty.*give --user and --password-file/)
      const denied = yield* imported(...authority, ...user)
      assert.match(denied.err, /permission denied\. The user needs to read all of --prefix/)
      chmodSync(password, 0o644)
      assert.match((yield* imported(...authority, ...user)).err, /others than its owner may read it/)
      chmodSync(password, 0o600)

      const done = yield* imported(...authority, ...user, "--prefix", "app/")
      assert.strictEqual(done.code, 0, done.err)
      assert.deepInclude(JSON.parse(done.out), { keys: 2, written: 0, equal: 2, verified: true })
      const found = yield* Effect.provide(Effect.flatMap(KeyValue, (kv) => kv.get("app/2")), Cluster.client(cluster))
      assert.strictEqual(Option.getOrThrow(found).text, "app/2")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
}
