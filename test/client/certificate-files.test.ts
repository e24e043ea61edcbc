/** What a client shows, from files and from the environment. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Redacted } from "effect"
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { certificatesFromFolder, identityFromEnv, tokenFromFile } from "../../src/client/CertificateFiles.ts"
import { makeKit } from "../certificates/Kit.ts"

const kit = makeKit(Date.now())

const folder = Effect.acquireRelease(
  Effect.sync(() => {
    const path = mkdtempSync(join(tmpdir(), "flaredb-client-"))
    writeFileSync(`${path}/ca.crt`, kit.authority.certificate)
    return path
  }),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

const write = (path: string, text: string, mode = 0o600) => {
  writeFileSync(path, text, { mode })
  chmodSync(path, mode)
}

const own = (path: string, { certificate, key } = kit.client("shop"), owner = "client") => {
  write(`${path}/${owner}.crt`, certificate)
  write(`${path}/${owner}.key`, Redacted.value(key))
}

const fromEnv = (env: Record<string, string>) =>
  Effect.provideService(identityFromEnv, ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))

describe("a client's certificates", () => {
  it.live("are those of a folder, with its own or without", () =>
    Effect.gen(function*() {
      const path = yield* folder
      const without = yield* certificatesFromFolder(path)
      assert.isUndefined(without.credentials.current().own)
      own(path)
      const { credentials } = yield* certificatesFromFolder(path)
      assert.deepStrictEqual(credentials.name(), { kind: "client", cluster: "test", client: "shop" })
    }).pipe(Effect.scoped))

  it.live("are refused where a file is missing or others may read the key", () =>
    Effect.gen(function*() {
      const path = yield* folder
      own(path)
      chmodSync(`${path}/client.key`, 0o644)
      const readable = yield* Effect.flip(certificatesFromFolder(path))
      assert.include(readable.message, `run chmod 600 ${path}/client.key`)
      rmSync(`${path}/client.key`)
      const missing = yield* Effect.flip(certificatesFromFolder(path))
      assert.include(missing.message, "client.key")
    }).pipe(Effect.scoped))

  it.live("come from the environment, where a node's are a client's too", () =>
    Effect.gen(function*() {
      const path = yield* folder
      own(path, kit.node(2), "node")
      assert.deepStrictEqual(yield* fromEnv({}), { tls: undefined, token: undefined })
      const { tls } = yield* fromEnv({
        FLAREDB_CERTS_DIR: path,
        FLAREDB_CERT_FILE: `${path}/node.crt`,
        FLAREDB_KEY_FILE: `${path}/node.key`
      })
      assert.isDefined(tls?.credentials.current().own)
      const alone = yield* Effect.flip(fromEnv({ FLAREDB_CERT_FILE: "a", FLAREDB_KEY_FILE: "b" }))
      assert.include(String(alone), "FLAREDB_TRUSTED_CA_FILE")
      const absent = yield* Effect.flip(fromEnv({ FLAREDB_CERTS_DIR: `${path}/none` }))
      assert.include(String(absent), "ca.crt")
    }).pipe(Effect.scoped))
})

describe("a client's token", () => {
  it.live("is read from its file each time, and never printed", () =>
    Effect.gen(function*() {
      const file = `${yield* folder}/token`
      const read = tokenFromFile(file)
      assert.include((yield* Effect.flip(read)).message, file)
      write(file, "fdb_shop_first\n")
      assert.strictEqual(Redacted.value(yield* read), "fdb_shop_first")
      write(file, "fdb_shop_second\n")
      const token = yield* read
      assert.strictEqual(Redacted.value(token), "fdb_shop_second")
      assert.notInclude(String(token), "second")
      write(file, "fdb_shop_third\n", 0o640)
      assert.include((yield* Effect.flip(read)).message, `run chmod 600 ${file}`)
      write(file, "\n")
      assert.include((yield* Effect.flip(read)).message, "it is empty")
    }).pipe(Effect.scoped))

  it.live("comes from a variable or from the file that one names", () =>
    Effect.gen(function*() {
      const file = `${yield* folder}/token`
      write(file, "fdb_of_file")
      const { token } = yield* fromEnv({ FLAREDB_TOKEN: "fdb_of_variable" })
      assert.isTrue(Redacted.isRedacted(token))
      const named = (yield* fromEnv({ FLAREDB_TOKEN: "fdb_of_variable", FLAREDB_TOKEN_FILE: file })).token
      assert.isFalse(named === undefined || Redacted.isRedacted(named))
      if (named !== undefined && !Redacted.isRedacted(named)) {
        assert.strictEqual(Redacted.value(yield* named), "fdb_of_file")
      }
    }).pipe(Effect.scoped))
})
