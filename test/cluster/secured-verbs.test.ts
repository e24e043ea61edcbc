/**
 * The verbs of the command line over TLS with a token and without a certificate: an administrator's, and one of a user
 * that may read and write one prefix. What a user lacks is refused with exit code 1 and says so.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { formatNodes } from "../../src/config/NodeAddress.ts"
import { runInProcess } from "../processes/cli/InProcess.ts"
import { certificatesOf } from "./Certified.ts"
import * as Cluster from "./Cluster.ts"
import type { Ran } from "./Flaredb.ts"
import { run } from "./Flaredb.ts"

/** What starts programs, and what writes files that are then as their owner's process would have them. */
const ownProcess: ReadonlySet<string | undefined> = new Set(["lock", "backup", "restore"])

type Verb = (code: number, ...args: ReadonlyArray<string>) => Effect.Effect<Ran, unknown, never>

it.live("an administrator does all of it, and a user what its roles say", () =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const folder = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-verbs-" })
    const cluster = yield* Cluster.make(1)
    const certificates = yield* certificatesOf(cluster)
    for (const node of cluster.nodes) node.settings = certificates.settings(node)
    yield* Cluster.start(cluster)

    const services = yield* Effect.context<FileSystem.FileSystem>()
    const verbs = (endpoints: string, env: Readonly<Record<string, string>>): Verb => (code, ...args) =>
      Effect.map(
        Effect.provide(
          ownProcess.has(args[0])
            ? run(args, { env: { FLAREDB_ENDPOINTS: endpoints, ...env }, stdin: "" })
            : runInProcess(args, {
              env: { FLAREDB_ENDPOINTS: endpoints, FLAREDB_TIMEOUT_MS: "20000", ...env },
              oneAtATime: true
            }),
          NodeServices.layer
        ),
        (ran) => {
          assert.strictEqual(ran.code, code, `${args.join(" ")}\n${ran.out}${ran.err}`)
          return ran
        }
      ).pipe(Effect.provide(services))
    const trusted = `${certificates.client}/ca.crt`
    const withToken = (file: string) => ({ FLAREDB_TRUSTED_CA_FILE: trusted, FLAREDB_TOKEN_FILE: file })

    const certified = verbs(cluster.endpointList, { FLAREDB_CERTS_DIR: certificates.client })
    yield* certified(0, "access", "role", "put", "orders", "--read", "orders/", "--write", "orders/")
    const tokenOf = Effect.fnUntraced(function*(name: string, role: string) {
      yield* certified(0, "access", "user", "put", name, "--role", role)
      const { out } = yield* certified(0, "access", "token", "create", name)
      yield* files.writeFileString(`${folder}/${name}`, out, { mode: 0o600 })
      return `${folder}/${name}`
    })
    const rootToken = yield* tokenOf("root", "admin")
    const root = verbs(cluster.endpointList, withToken(rootToken))
    const shop = verbs(cluster.endpointList, withToken(yield* tokenOf("shop", "orders")))
    /** What the user reads when it is refused. */
    const refused = (what: string, ...args: ReadonlyArray<string>) =>
      Effect.map(shop(1, ...args), ({ err, out }) => {
        assert.deepStrictEqual(
          [out, err.replaceAll("\"", "").includes(`shop may not ${what}`)],
          ["", true],
          `${args.join(" ")}\n${err}`
        )
      })

    // Keys.
    yield* root(0, "put", "prices/1", "10")
    yield* shop(0, "put", "orders/1", "paid")
    yield* refused("write prices/1", "put", "prices/1", "0")
    assert.strictEqual((yield* shop(0, "get", "orders/1")).out, "paid\n")
    yield* refused("read prices/1", "get", "prices/1")
    assert.strictEqual((yield* shop(0, "scan", "orders/")).out, "orders/1\tpaid\n")
    yield* refused("read", "scan")
    yield* refused("read", "count", "prices/")
    yield* shop(0, "txn", "--if", "exists orders/1", "--do", "put orders/2 new")
    yield* refused("read prices/1", "txn", "--if", "exists prices/1", "--do", "put orders/3 new")
    yield* refused(
      "write prices/2",
      "txn",
      "--if",
      "exists orders/1",
      "--do",
      "put orders/3 new",
      "--else",
      "put prices/2 9"
    )
    yield* shop(3, "get", "orders/3")
    yield* refused("write prices/1", "delete", "prices/1")

    // Watches.
    const watched = yield* shop(0, "watch", "orders/", "--from-revision", "1", "--limit", "2")
    assert.match(watched.out, /put\torders\/1\tpaid\n.*put\torders\/2\tnew\n$/)
    yield* refused("read", "watch", "--from-revision", "1", "--limit", "1")

    // Leases, locks, sessions.
    const lease = (yield* shop(0, "lease", "grant", "10m")).out.split("\t", 1)[0] ?? ""
    yield* shop(0, "put", "orders/leased", "1", "--lease", lease)
    yield* refused("list leases", "lease", "list")
    yield* root(0, "lease", "list")
    yield* shop(0, "lease", "revoke", lease)
    yield* refused("write", "lock", "nightly", "--", "true")
    yield* root(0, "lock", "nightly", "--", "true")
    yield* refused("list sessions", "session", "list")
    yield* root(0, "session", "list")

    // Actors, and operators.
    yield* refused("read fx/", "actors", "runners")
    yield* root(0, "actors", "runners")
    yield* refused("", "access", "user", "list")
    yield* refused("", "compact")
    yield* shop(0, "status")
    assert.include((yield* shop(0, "access", "whoami")).out, "shop")
    yield* refused("put a marker into the log", "verify")
    yield* root(0, "verify")

    // Backup and restore: users and tokens come with the state.
    const file = `${folder}/state.flaredb`
    yield* refused("", "backup", file)
    assert.notInclude(yield* files.readDirectory(folder), "state.flaredb")
    yield* root(0, "backup", file)
    const restored = yield* Cluster.make(1)
    const [node] = restored.nodes
    if (node === undefined) return
    node.clusterId = "restored"
    const made = yield* certificatesOf(restored, "restored")
    node.settings = made.settings(node)
    const nodes = formatNodes([node.address])
    const place = ["--node-id", "1", "--nodes", nodes, "--data-dir", node.dataDir, "--cluster-id", "restored"]
    yield* root(0, "restore", file, ...place)
    yield* Cluster.start(restored)
    const there = verbs(restored.endpointList, {
      ...withToken(`${folder}/shop`),
      FLAREDB_TRUSTED_CA_FILE: `${made.client}/ca.crt`
    })
    assert.strictEqual((yield* there(0, "get", "orders/2")).out, "new\n")
    assert.include((yield* there(1, "get", "prices/1")).err, "shop may not read \"prices/1\"")

    // Without anything to show, and with the token of nobody.
    const nothing = verbs(cluster.endpointList, { FLAREDB_TRUSTED_CA_FILE: trusted })
    assert.match((yield* nothing(1, "get", "orders/1")).err, /certificate or a token/)
    yield* certified(0, "access", "user", "delete", "shop")
    assert.notInclude((yield* shop(1, "get", "orders/1")).err, "paid")
  }).pipe(Effect.provide(NodeServices.layer)), 300_000)
