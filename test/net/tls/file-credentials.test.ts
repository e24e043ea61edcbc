/** Credentials from files: what is refused at a start, and how changes of the files are followed. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Logger, Metric, Redacted, References } from "effect"
import { generateKeyPairSync } from "node:crypto"
import { chmod, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { FileCredentialsOptions } from "../../../src/net/tls/FileCredentials.ts"
import { fromFiles } from "../../../src/net/tls/FileCredentials.ts"
import { eventually } from "../../Eventually.ts"
import type { Issued, Wanted } from "./TestCertificates.ts"
import { clientOf, nodeOf, TestAuthority } from "./TestCertificates.ts"

const authority = new TestAuthority("orders authority")

const folder = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "flaredb-credentials-"))),
  (path) => Effect.promise(() => rm(path, { recursive: true }))
)

/** Writes a file beside its name and renames it, as careful tools do. */
const replace = (path: string, text: string, mode = 0o600) =>
  Effect.promise(async () => {
    await writeFile(`${path}.new`, text, { mode })
    await rename(`${path}.new`, path)
  })

interface Texts {
  readonly ca?: string
  readonly issued?: Issued
}

/** The files of node 2, and how they are read. */
const files = Effect.fnUntraced(function*({ ca = authority.certificate, issued = authority.issue(nodeOf(2)) }: Texts) {
  const path = yield* folder
  const options = {
    authorities: join(path, "ca.crt"),
    certificate: join(path, "node.crt"),
    key: join(path, "node.key"),
    owner: { kind: "node", cluster: "orders", node: 2 },
    use: "peer",
    pollMs: 5
  } satisfies FileCredentialsOptions
  const write = (own: Issued) =>
    Effect.andThen(replace(options.certificate, own.certificate), replace(options.key, own.key))
  yield* replace(options.authorities, ca)
  yield* write(issued)
  return { options, path, write }
})

const withLog = (lines: Array<string>, level: "Info" | "Warn" = "Warn") =>
  Effect.provide(
    Layer.merge(
      Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))]),
      Layer.succeed(References.MinimumLogLevel, level)
    )
  )

const refusal = (options: FileCredentialsOptions) => Effect.flip(Effect.scoped(fromFiles(options)))

const dateOf = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10)

describe("a start", () => {
  it.live("reads the files and knows whose the certificate is", () =>
    Effect.gen(function*() {
      const issued = authority.issue(nodeOf(2))
      const { options } = yield* files({ issued })
      const credentials = yield* fromFiles(options)
      const { authorities, own } = credentials.current()
      assert.strictEqual(authorities, authority.certificate)
      assert.strictEqual(own?.certificate, issued.certificate)
      assert.strictEqual(own === undefined ? "" : Redacted.value(own.key), issued.key)
      assert.deepStrictEqual(credentials.name(), { kind: "node", cluster: "orders", node: 2 })
      assert.approximately(credentials.expiresMs() ?? 0, Date.now() + 90 * 86_400_000, 60_000)
      const gauges = (yield* Metric.snapshot).filter(({ id }) => id === "flaredb_certificate_expiry_seconds")
      assert.sameMembers(gauges.map(({ attributes }) => attributes?.["certificate"]), ["authority", "own"])
      assert.notInclude(JSON.stringify(credentials.current()), issued.key.split("\n")[1] ?? "")
      // Other files of this worker have gauges in the registry that is shared.
    }).pipe(withLog([]), Effect.provideService(Metric.MetricRegistry, new Map())))

  it.live("needs no certificate where none is shown", () =>
    Effect.gen(function*() {
      const { options } = yield* files({})
      const { authorities, owner, use } = options
      const credentials = yield* fromFiles({ authorities, owner, use })
      assert.isUndefined(credentials.current().own)
      assert.isUndefined(credentials.name())
      const half = yield* refusal({ authorities, key: options.key, owner, use })
      assert.include(half.message, "this key has no certificate; give both, or neither")
    }))

  const wanted: ReadonlyArray<readonly [string, Wanted, file: string, ...says: ReadonlyArray<string>]> = [
    [
      "an expired certificate",
      { ...nodeOf(2), fromDays: -9, toDays: -2 },
      "node.crt",
      `node 2 expired on ${dateOf(-2)}`,
      "renew it with flaredb cert node 2"
    ],
    [
      "one that is not valid yet",
      { ...nodeOf(2), fromDays: 2 },
      "node.crt",
      `not valid before ${dateOf(2)}`,
      "compare the clock"
    ],
    ["a client's", clientOf("alice"), "node.crt", "certificate of client alice, and a node's is needed"],
    ["another node's", nodeOf(3), "node.crt", "certificate of node 3, and this is node 2"],
    ["another cluster's", nodeOf(2, "payments"), "node.crt", "of the cluster payments, and this is orders"],
    ["one without a name", { dns: ["localhost"], subject: "web" }, "node.crt", "CN=web", "flaredb cert node 2"],
    [
      "one with a name that holds another",
      { uris: ["flaredb://orders/client/eve, URI:flaredb://orders/node/2"], subject: "eve" },
      "node.crt",
      "characters"
    ]
  ]
  for (const [what, certificate, file, ...says] of wanted) {
    it.live(`refuses ${what}`, () =>
      Effect.gen(function*() {
        const { options } = yield* files({ issued: authority.issue(certificate) })
        const error = yield* refusal(options)
        assert.isTrue(error.file.endsWith(file), error.message)
        for (const part of says) assert.include(error.message, part)
      }))
  }

  it.live("refuses one of another authority", () =>
    Effect.gen(function*() {
      const { options } = yield* files({ issued: new TestAuthority("other authority").issue(nodeOf(2)) })
      assert.include((yield* refusal(options)).message, "was issued by no authority of")
    }))

  it.live("refuses authorities that are all over, and keeps one that is beside its successor", () =>
    Effect.gen(function*() {
      const over = new TestAuthority("old authority", { fromDays: -9, toDays: -1 })
      const { options } = yield* files({ ca: over.certificate })
      assert.include((yield* refusal(options)).message, `the authority expired on ${dateOf(-1)}`)
      yield* replace(options.authorities, over.certificate + authority.certificate)
      yield* Effect.scoped(fromFiles(options))
    }).pipe(withLog([])))

  it.live("refuses a key that others may read, with the order that helps", () =>
    Effect.gen(function*() {
      const { options } = yield* files({})
      for (const mode of [0o640, 0o604, 0o666]) {
        yield* Effect.promise(() => chmod(options.key, mode))
        const error = yield* refusal(options)
        assert.strictEqual(error.advice, `run chmod 600 ${options.key}`)
        assert.include(error.problem, mode.toString(8))
      }
    }))

  it.live("refuses keys that are none, have a passphrase, or belong to another certificate", () =>
    Effect.gen(function*() {
      const { options } = yield* files({})
      const pair = () => generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey
      const keys = [
        ["no key at all", "it holds no private key in PEM form"],
        [
          pair().export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "words" }),
          "the key has a passphrase"
        ],
        [pair().export({ type: "pkcs8", format: "pem" }), "the key is not the one of"]
      ] as const
      for (const [key, problem] of keys) {
        yield* replace(options.key, String(key))
        assert.include((yield* refusal(options)).problem, problem)
      }
    }))

  it.live("refuses files that are missing, of something else, or far too large", () =>
    Effect.gen(function*() {
      const { options } = yield* files({})
      const missing = yield* refusal({ ...options, authorities: `${options.authorities}.missing` })
      assert.include(missing.message, "it cannot be read: there is nothing of that name (ENOENT)")
      const other = yield* refusal({ ...options, authorities: options.key })
      assert.include(other.message, "it holds a private key and no certificate")
      yield* replace(options.authorities, "x".repeat(2 * 1024 * 1024))
      assert.include((yield* refusal(options)).message, "over 1048576")
    }))
})

describe("changes of the files", () => {
  it.live("are followed, in whatever way they are made", () =>
    Effect.gen(function*() {
      const { options, path, write } = yield* files({})
      const credentials = yield* fromFiles(options)
      const seen: Array<string | undefined> = []
      credentials.onChange(({ own }) => seen.push(own?.certificate))
      const renewed = authority.issue(nodeOf(2))
      yield* write(renewed)
      yield* eventually("the renamed files are in use", () => seen.at(-1) === renewed.certificate)
      // As Kubernetes does it: names that lead through a link, which is replaced.
      const linked = authority.issue(nodeOf(2))
      yield* replace(join(path, "other.crt"), linked.certificate)
      yield* replace(join(path, "other.key"), linked.key)
      yield* Effect.promise(async () => {
        for (const name of ["crt", "key"]) {
          await symlink(join(path, `other.${name}`), join(path, `link.${name}`))
          await rename(join(path, `link.${name}`), join(path, `node.${name}`))
        }
      })
      yield* eventually("the linked files are in use", () => seen.at(-1) === linked.certificate)
      assert.strictEqual(credentials.current().own?.certificate, linked.certificate)
    }).pipe(withLog([])))

  it.live("that cannot be used get one line, and what was before goes on", () => {
    const lines: Array<string> = []
    return Effect.gen(function*() {
      const { options, write } = yield* files({})
      const credentials = yield* fromFiles(options)
      const before = credentials.current()
      yield* write(authority.issue({ ...nodeOf(2), fromDays: -9, toDays: -2 }))
      const told = () => lines.filter((line) => line.includes("renew it with flaredb cert node 2"))
      yield* eventually("the log has it", () => told().length > 0)
      const reloaded = yield* Effect.exit(credentials.reload)
      assert.isTrue(Exit.isFailure(reloaded))
      assert.include(told()[0], "new peer certificates are not used, those before go on")
      assert.strictEqual(credentials.current(), before)
      const renewed = authority.issue(nodeOf(2))
      yield* write(renewed)
      yield* eventually(
        "the next good ones are in use",
        () => credentials.current().own?.certificate === renewed.certificate
      )
      assert.lengthOf(told(), 1)
    }).pipe(withLog(lines))
  })

  it.live("are read at once on SIGHUP", () =>
    Effect.gen(function*() {
      const { options, write } = yield* files({})
      const credentials = yield* fromFiles({ ...options, pollMs: 3_600_000, reloadOnHangup: true })
      const renewed = authority.issue(nodeOf(2))
      yield* write(renewed)
      process.emit("SIGHUP", "SIGHUP")
      yield* eventually("they are in use", () => credentials.current().own?.certificate === renewed.certificate)
    }).pipe(withLog([])))
})

describe("a certificate that ends soon", () => {
  const cases: ReadonlyArray<readonly [days: number, says: string | undefined]> = [
    [31, undefined],
    [29, "in less than 30 days; renew it with flaredb cert node 2"],
    [6, "in less than 7 days"],
    [0.5, "in less than a day"]
  ]
  for (const [days, says] of cases) {
    it.live(`is told of once, ${days} days before`, () => {
      const lines: Array<string> = []
      return Effect.gen(function*() {
        const { options, write } = yield* files({ issued: authority.issue({ ...nodeOf(2), toDays: days }) })
        const credentials = yield* fromFiles(options)
        const renewed = authority.issue({ ...nodeOf(2), toDays: 120 })
        yield* write(renewed)
        yield* eventually(
          "the renewed one is in use",
          () => credentials.current().own?.certificate === renewed.certificate
        )
        assert.lengthOf(lines, says === undefined ? 0 : 1)
        if (says !== undefined) assert.include(lines.join(), says)
      }).pipe(withLog(lines))
    })
  }
})
