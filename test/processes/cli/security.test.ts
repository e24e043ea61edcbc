/** What the command line refuses before it listens anywhere or connects to anything. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, layer } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { run } from "./CommandLine.ts"
import { runInProcess } from "./InProcess.ts"

const open = ["--node-id", "1", "--listen-host", "0.0.0.0"]

describe("security of the command line", () => {
  layer(NodeServices.layer, { excludeTestServices: true, timeout: 120_000 })((it) => {
    it.effect("a node does not start where others reach it without certificates, and touches no disk", () =>
      Effect.gen(function*() {
        const files = yield* FileSystem.FileSystem
        const dataDir = `${yield* files.makeTempDirectoryScoped({ prefix: "flaredb-open-" })}/node`
        const { code, err } = yield* run(["start", ...open, "--data-dir", dataDir])
        assert.strictEqual(code, 2, err)
        assert.match(
          err,
          /^flaredb: invalid configuration: tls: 0\.0\.0\.0 is reached from other machines, .*flaredb cert.*--insecure\n$/
        )
        assert.isFalse(yield* files.exists(dataDir))
      }))

    it.effect("config check says the same, and takes what start takes", () =>
      Effect.gen(function*() {
        const refused = yield* runInProcess(["config", "check", ...open])
        assert.strictEqual(refused.code, 2)
        assert.include(refused.err, "0.0.0.0 is reached from other machines")
        const asked = yield* runInProcess(["config", "check", ...open, "--insecure"])
        assert.strictEqual(asked.code, 0, asked.err)
        assert.deepInclude(JSON.parse(asked.out) as object, { tls: "off", clientAuth: "none", insecure: true })
        const tokens = yield* runInProcess(["config", "check", ...open, "--insecure", "--client-auth", "token"])
        assert.include(tokens.err, "tokens are not taken over plain connections")
      }))

    it.effect("config check reads the files that start would read", () =>
      Effect.gen(function*() {
        const wrong = ["--certs-dir", "/nowhere/at/all", "--bootstrap-token-file", "/nowhere/token"]
        const { code, err, out } = yield* runInProcess(["config", "check", "--node-id", "1", ...wrong])
        assert.strictEqual(code, 2)
        assert.strictEqual(out, "")
        assert.include(
          err,
          "certFile: /nowhere/at/all/ca.crt: it cannot be read: there is nothing of that name (ENOENT)"
        )
        assert.include(err, "bootstrapTokenFile: /nowhere/token")
      }))

    it.effect("lists everything that is wrong with certificates at once", () =>
      Effect.gen(function*() {
        const wrong = ["--tls", "maybe", "--client-auth", "certificate", "--key-file", "k", "--audit-strict"]
        const { code, err } = yield* runInProcess(["config", "check", "--node-id", "1", ...wrong])
        assert.strictEqual(code, 2)
        for (const field of ["tls: ", "certFile: ", "auditStrict: "]) assert.include(err, field)
      }))

    const clients: ReadonlyArray<readonly [ReadonlyArray<string>, RegExp]> = [
      [["--certs-dir", ""], /the path of --certs-dir is empty/],
      [
        ["--certs-dir", "/nowhere/at/all"],
        /\/nowhere\/at\/all\/ca\.crt: it cannot be read: there is nothing of that name \(ENOENT\); name one that is there/
      ],
      [
        ["--token-file", "/nowhere/at/all"],
        /the token file \/nowhere\/at\/all: it cannot be read: there is nothing of that name \(ENOENT\)/
      ],
      [["--cert-file", "a"], /--cert-file and --key-file belong together/],
      [["--cert-file", "a", "--key-file", "b"], /--cert-file needs --trusted-ca-file/]
    ]
    for (const [flags, expected] of clients) {
      it.effect(`a command with ${flags.join(" ")} connects nowhere`, () =>
        Effect.gen(function*() {
          const { code, err } = yield* runInProcess(["get", "a", ...flags])
          assert.match(err, expected)
          assert.strictEqual(code, 2)
        }))
    }
  })
})
