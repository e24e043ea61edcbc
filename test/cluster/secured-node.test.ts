/** A node that asks for tokens, from the first token on, as an operator sets it up. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { randomBytes } from "node:crypto"
import { certificatesOf } from "./Certified.ts"
import * as Cluster from "./Cluster.ts"
import { run } from "./Flaredb.ts"

it.live("begins with the bootstrap token, and takes tokens of users from then on", () =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const folder = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-secured-" })
    const cluster = yield* Cluster.make(1)
    const certificates = yield* certificatesOf(cluster)
    const [node] = cluster.nodes
    if (node === undefined) return
    const first = randomBytes(32).toString("hex")
    const write = (name: string, text: string) =>
      Effect.andThen(
        files.writeFileString(`${folder}/${name}`, text, { mode: 0o600 }),
        Effect.succeed(`${folder}/${name}`)
      )
    const bootstrap = yield* write("bootstrap", `${first}\n`)
    const audit = `${folder}/audit.jsonl`
    node.settings = certificates.settings(node, {
      FLAREDB_CLIENT_AUTH: "token",
      FLAREDB_BOOTSTRAP_TOKEN_FILE: bootstrap,
      FLAREDB_AUDIT_LOG: audit,
      FLAREDB_AUDIT_EVENTS: "all"
    })
    yield* Cluster.start(cluster)

    let output = ""
    const as = (tokenFile: string | undefined) => (code: number, ...args: ReadonlyArray<string>) =>
      Effect.map(
        run([
          ...args,
          "--endpoints",
          cluster.endpointList,
          "--trusted-ca-file",
          `${certificates.client}/ca.crt`,
          ...tokenFile === undefined ? [] : ["--token-file", tokenFile]
        ]),
        (ran) => {
          assert.strictEqual(ran.code, code, `${args.join(" ")}\n${ran.out}${ran.err}`)
          if (!args.includes("create")) output += ran.out + ran.err
          return ran
        }
      )
    const administrator = as(bootstrap)
    assert.include((yield* administrator(0, "access", "whoami")).out, "admin")
    yield* administrator(0, "access", "role", "put", "orders", "--read", "orders/", "--write", "orders/")
    yield* administrator(0, "access", "user", "put", "shop", "--role", "orders")
    // There is a user now, so that the bootstrap token says nothing any more.
    yield* administrator(1, "access", "token", "create", "shop")

    // The operator of the machine has the node's certificate, which may do everything.
    const nodeFiles = `${certificates.folder}/node-1`
    const created = yield* run([
      "access",
      "token",
      "create",
      "shop",
      "--endpoints",
      cluster.endpointList,
      "--trusted-ca-file",
      `${nodeFiles}/ca.crt`,
      "--cert-file",
      `${nodeFiles}/node.crt`,
      "--key-file",
      `${nodeFiles}/node.key`
    ])
    assert.strictEqual(created.code, 0, created.err)
    const token = created.out.trim()
    assert.match(token, /^fdb_shop_/)

    const shop = as(yield* write("shop", `${token}\n`))
    yield* shop(0, "put", "orders/1", "a-value-that-is-not-audited")
    assert.strictEqual((yield* shop(0, "get", "orders/1")).out, "a-value-that-is-not-audited\n")
    assert.include((yield* shop(1, "put", "prices/1", "free")).err, "prices/1")
    assert.match((yield* as(undefined)(1, "get", "orders/1")).err, /asks its callers for a token/)

    yield* node.stop("SIGTERM")
    const written = yield* files.readFileString(audit)
    const lines = written.trim().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>)
    assert.isTrue(lines.some(({ name, operation }) => name === "shop" && operation === "Put"), written)
    assert.isTrue(lines.some(({ outcome }) => String(outcome).startsWith("refused")), written)
    for (const secret of [first, token, token.slice(-40, -6)]) {
      for (const [where, text] of [["audit", written], ["log", node.log.join("\n")], ["output", output]] as const) {
        assert.notInclude(text, secret, where)
      }
    }
    assert.notInclude(written, "a-value-that-is-not-audited")
  }).pipe(Effect.provide(NodeServices.layer)))
