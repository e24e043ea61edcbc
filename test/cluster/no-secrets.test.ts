/** Nodes and clients that say all they can, with tokens and keys in use: none of it has a secret in it. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Cause, Effect, Exit, FileSystem, Logger, Redacted, References, Result, Tracer } from "effect"
import { randomBytes } from "node:crypto"
import { inspect } from "node:util"
import { secretsIn } from "../../tools/secrets/Scan.ts"
import { Access } from "../../src/client/Access.ts"
import { certificatesFromFiles } from "../../src/client/CertificateFiles.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import * as FlareDb from "../../src/FlareDb.ts"
import { getText } from "../../src/http/GetText.ts"
import { formatToken, parseToken } from "../../src/kv/model/access/Token.ts"
import { hashOfSecret } from "../../src/kv/TokenSecret.ts"
import { certificatesOf, clientTls } from "./Certified.ts"
import * as Cluster from "./Cluster.ts"
import { figure } from "./Figures.ts"
import { launcher, run } from "./Flaredb.ts"

/** The forms in which bytes get into text. */
const formsOf = (bytes: Uint8Array): ReadonlyArray<string> => {
  const buffer = Buffer.from(bytes)
  return [
    buffer.toString("hex"),
    buffer.toString("base64").slice(0, -4),
    buffer.toString("base64url").slice(0, -4),
    buffer.toString("latin1"),
    bytes.slice(0, 8).join(","),
    Array.from(bytes.slice(0, 8), (byte, i) => `"${i}":${byte}`).join(",")
  ]
}

/** What is in base 64 in a text. */
const decoded = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/[A-Za-z0-9+/]{24,}={0,2}/g)].map(([run]) => Buffer.from(run, "base64").toString("latin1"))

interface Forbidden {
  readonly token: string
  readonly secret: ReadonlyArray<string>
  readonly hash: ReadonlyArray<string>
}

const forbidden = (token: string): Forbidden => {
  const parsed = parseToken(token)
  if (!("secret" in parsed)) throw new Error(parsed.problem)
  return {
    token,
    secret: [token.slice(-49, -6), ...formsOf(parsed.secret)],
    hash: formsOf(hashOfSecret(parsed.secret))
  }
}

/** Everything that was said, by where. */
class Said {
  private readonly texts: Array<{ readonly where: string; readonly text: string }> = []

  add(where: string, ...texts: ReadonlyArray<string>): void {
    for (const text of texts) this.texts.push({ where, text })
  }

  /** A failure in every form that a service may print it in. */
  failure<A, E>(where: string, exit: Exit.Exit<A, E>): void {
    assert.isTrue(Exit.isFailure(exit), where)
    if (!Exit.isFailure(exit)) return
    const { cause } = exit
    this.add(where, Cause.pretty(cause), String(cause), inspect(cause, { depth: 20 }), JSON.stringify(cause))
  }

  of(where: string): string {
    return this.texts.filter((said) => said.where === where).map(({ text }) => text).join("\n")
  }

  /** Where something was said that must not be. The message does not repeat it. */
  leaks(what: string, parts: ReadonlyArray<string>, except: ReadonlyArray<string> = []): ReadonlyArray<string> {
    return this.texts
      .filter(({ text, where }) => !except.includes(where) && parts.some((part) => text.includes(part)))
      .map(({ where }) => `${what} in ${where}`)
  }

  get scanned(): ReadonlyArray<string> {
    return this.texts.flatMap(({ text, where }) =>
      text.split("\n").flatMap((line) => secretsIn(line).map((kind) => `a ${kind} in ${where}`))
    )
  }

  get size(): number {
    return this.texts.reduce((sum, { text }) => sum + text.length, 0)
  }
}

/** What the program of this test would trace and log. */
const listening = (said: Said) => {
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      const end = span.end.bind(span)
      span.end = (endTime, exit) => {
        end(endTime, exit)
        const { attributes, events, name } = span
        said.add("spans", inspect({ name, attributes: [...attributes], events, exit }, { depth: 20 }))
      }
      return span
    }
  })
  const logger = Logger.make<unknown, void>((options) => {
    said.add("client log", inspect([options.message, options.cause], { depth: 20 }))
  })
  return <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    effect.pipe(
      // Only operations of callers with a span have one.
      Effect.withSpan("a service"),
      Effect.withTracer(tracer),
      Effect.provide(Logger.layer([logger])),
      Effect.provideService(References.MinimumLogLevel, "All")
    )
}

/** A trace has commands as the log on the disk has them, for no other user to read; the hash is in one of them. */
const kept = "the trace's commands"

const traceOf = (dataDir: string) => `${dataDir}.trace`
const logOf = (dataDir: string) => `${dataDir}.stderr`
const auditOf = (id: number, folder: string) => `${folder}/audit-${id}.jsonl`

/** Three nodes that log all they can, to files: a node's whole log is wanted here. */
const talkative = Effect.gen(function*() {
  const files = yield* FileSystem.FileSystem
  const folder = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-no-secrets-" })
  const cluster = yield* Cluster.make(3, [launcher, "start", "--log-level", "all", "--log-format", "json"], {}, {
    args: (dataDir) => ["--trace", traceOf(dataDir)],
    // The shell becomes the node, whose number stays the same.
    under: (dataDir) => ["sh", "-c", `exec "$0" "$@" 2>>'${logOf(dataDir)}'`]
  })
  const certificates = yield* certificatesOf(cluster)
  for (const node of cluster.nodes) {
    node.settings = certificates.settings(node, {
      FLAREDB_CLIENT_AUTH: "either",
      FLAREDB_AUDIT_LOG: auditOf(node.id, folder),
      FLAREDB_AUDIT_EVENTS: "all"
    })
  }
  yield* Cluster.start(cluster)
  return { cluster, certificates, files, folder }
})

it.live("says no token, no hash of one and no key, whatever is asked for and however it fails", () =>
  Effect.gen(function*() {
    const { certificates, cluster, files, folder } = yield* talkative
    const said = new Said()
    const listened = listening(said)
    const authorities = yield* certificatesFromFiles({ authorities: `${certificates.client}/ca.crt` })
    const as = (token?: string) =>
      FlareDb.layerClient({
        endpoints: cluster.endpoints,
        requestTimeoutMs: 60_000,
        tls: authorities,
        ...token === undefined ? {} : { token: Redacted.make(token) }
      })

    const administrator = FlareDb.layerClient({ endpoints: cluster.endpoints, tls: yield* clientTls(certificates) })
    const own = yield* Effect.gen(function*() {
      const access = yield* Access
      yield* access.putRole("orders", { read: ["orders/"], write: ["orders/"] })
      yield* access.putUser("shop", { roles: ["orders"] })
      const token = yield* access.createToken("shop")
      said.add("the client's answers", inspect(token, { depth: 20 }), JSON.stringify(token))
      said.add("the client's answers", inspect(yield* access.users(), { depth: 20 }))
      return token.token
    }).pipe(Effect.provide(administrator, { local: true }), listened)
    const created = Redacted.value(own)
    const unknown = formatToken("shop", randomBytes(32))
    const foreign = formatToken("office", randomBytes(32))
    const mistyped = `${created.slice(0, -10)}${created.at(-10) === "x" ? "y" : "x"}${created.slice(-9)}`

    const kv = yield* Effect.gen(function*() {
      const store = yield* KeyValue
      yield* store.put("orders/1", "taken")
      yield* store.get("orders/1")
      said.failure("a refused write", yield* Effect.exit(store.put("prices/1", "free")))
      said.failure("a refused read", yield* Effect.exit(store.get("prices/1")))
      return inspect(store, { depth: 10 })
    }).pipe(Effect.provide(as(created), { local: true }), listened)
    said.add("the client itself", kv)
    for (const [where, token] of Object.entries({ unknown, foreign, mistyped, none: undefined })) {
      const exit = yield* KeyValue.use((store) => store.get("orders/1")).pipe(
        Effect.provide(as(token), { local: true }),
        listened,
        Effect.exit
      )
      said.failure(`a refused token: ${where}`, exit)
    }

    for (const [i, token] of [created, unknown, mistyped].entries()) {
      const file = `${folder}/token-${i}`
      yield* files.writeFileString(file, `${token}\n`, { mode: 0o600 })
      for (const verb of [["get", "orders/1"], ["put", "prices/1", "free"], ["status"]]) {
        const { err, out } = yield* run([
          ...verb,
          "--log-level",
          "all",
          "--endpoints",
          cluster.endpointList,
          "--trusted-ca-file",
          `${certificates.client}/ca.crt`,
          "--token-file",
          file
        ])
        said.add("the command line", out, err)
      }
    }

    const { address } = cluster.node(1)
    const tlsOfAdministrator = yield* clientTls(certificates)
    for (const path of ["/", "/plain", "/status", "/metrics", "/debug/raft"]) {
      const at = { address: `${address.host}:${address.httpPort}`, path }
      said.add(path, yield* getText({ ...at, tls: tlsOfAdministrator }))
      for (const token of [created, unknown, mistyped]) {
        const answer = yield* Effect.result(getText({ ...at, tls: authorities, token: Redacted.make(token) }))
        said.add(path, Result.isSuccess(answer) ? answer.success : inspect(answer.failure, { depth: 20 }))
      }
    }

    for (const node of cluster.nodes) yield* node.stop("SIGTERM")
    for (const { dataDir, id, log } of cluster.nodes) {
      said.add("the log", yield* files.readFileString(logOf(dataDir)), log.join("\n"))
      const trace = yield* files.readFileString(traceOf(dataDir))
      said.add("the trace", trace)
      said.add(kept, ...decoded(trace))
      said.add("the audit log", yield* files.readFileString(auditOf(id, folder)))
    }

    // What was looked through was said about these calls: nothing is found in silence.
    assert.match(said.of("the log"), /client port: refused a client: the token of shop is unknown/)
    assert.include(said.of("the audit log"), "\"shop\"")
    assert.include(said.of("the audit log"), "refused")
    assert.match(said.of("spans"), /flaredb/i)
    assert.include(said.of("the trace"), "\n")
    assert.include(said.of("a refused token: mistyped"), "mistyped")

    const tokens = [created, unknown, foreign].map(forbidden)
    const leaks = [
      said.leaks("a token", tokens.map(({ token }) => token)),
      said.leaks("a token's secret", tokens.flatMap(({ secret }) => secret)),
      said.leaks("a token's hash", tokens.flatMap(({ hash }) => hash), [kept]),
      said.leaks("a mistyped token", [mistyped.slice(-49)])
    ].flat()
    // It is a part of the command that adds the token, and of nothing else.
    assert.include(said.leaks("a token's hash", tokens.flatMap(({ hash }) => hash)), `a token's hash in ${kept}`)
    const keys = yield* Effect.forEach(
      ["ca.key", "client-admin/client.key", ...[1, 2, 3].map((id) => `node-${id}/node.key`)],
      (name) => files.readFileString(`${certificates.folder}/${name}`)
    )
    const keyLines = keys.flatMap((key) => key.trim().split("\n").slice(1, -1))
    assert.isAtLeast(keyLines.length, 5)
    leaks.push(...said.leaks("a key", keyLines))
    assert.deepStrictEqual([...new Set([...leaks, ...said.scanned])], [])
    figure(`${said.size} characters of output without a secret`)
  }).pipe(Effect.provide(NodeServices.layer)))
