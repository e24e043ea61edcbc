/**
 * Paths of the wrong kind, for every flag and argument that takes one: a file where a folder is asked for, a folder
 * where a file is, what lies below a file, a link to nothing, links in a circle, and no name at all. The error names the
 * path and says in words what is there. The system's own text does not, or names a temporary file.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { temporaryFolder } from "../../storage/TemporaryFolder.ts"
import { runInProcess } from "./InProcess.ts"

const kinds = ["file", "folder", "below", "nothing", "circle", "unnamed"] as const
type Kind = typeof kinds[number]

const paths = Effect.map(temporaryFolder, (folder): Readonly<Record<Kind, string>> => {
  const at = (name: string) => join(folder, name)
  writeFileSync(at("file"), "text\n", { mode: 0o600 })
  mkdirSync(at("folder"), { mode: 0o755 })
  symlinkSync("gone", at("nothing"))
  symlinkSync("circle", at("circle"))
  return {
    file: at("file"),
    folder: at("folder"),
    below: at("file/below"),
    nothing: at("nothing"),
    circle: at("circle"),
    unnamed: ""
  }
})

const away = ["--endpoints", "127.0.0.1:1", "--timeout", "100ms"]
const node = ["--node-id", "1"]
const etcd = ["import", "etcd", "--from", "https://127.0.0.1:1", "--prefix", "a", ...away]

/** Commands that read a folder, and those that read a file, with the path behind them. */
const reading: Readonly<Record<"folder" | "file", ReadonlyArray<ReadonlyArray<string>>>> = {
  folder: [
    ["inspect"],
    ["reclaim"],
    ["upgrade", "directory"],
    ["upgrade", "check", "--local", "--data-dir"],
    ["upgrade", "check", "--local", "--node-certs"],
    ["doctor", "--local", "--no-disk", "--backup-dir"],
    ["backup", "copy", "--from"],
    ["backups", "list", "--dir"],
    ["backups", "run", "--once", ...away, "--dir"],
    ["cert", "check", "--certs-dir"],
    ["cert", "node", "1", "--host", "a", "--certs-dir"],
    ["get", "a", ...away, "--certs-dir"],
    ["config", "check", ...node, "--data-dir", "x", "--certs-dir"]
  ],
  file: [
    ["replay"],
    ["restore", ...node, "--dry-run"],
    ["backups", "drill"],
    ["upgrade", "check", "--local", "--backup"],
    ["cert", "show"],
    ["get", "a", ...away, "--trusted-ca-file"],
    ["get", "a", ...away, "--token-file"],
    ["config", "check", ...node, "--client-auth", "token", "--bootstrap-token-file"],
    [...etcd, "--etcd-cacert"],
    [...etcd, "--user", "a", "--password-file"]
  ]
}

/** What the system says: code, text, call and path. */
const systemText = /\bE[A-Z]{3,}: [a-z ]+|, (?:open|stat|lstat|scandir|mkdir|access) '/

describe("a path of the wrong kind", () => {
  for (
    const args of [["support-bundle", "--local", "--no-disk", "--force"], [
      "cert",
      "ca",
      "--cluster",
      "a",
      "--certs-dir"
    ]]
  ) {
    it.live(`of what flaredb ${args.join(" ")} writes`, () =>
      Effect.gen(function*() {
        const all = yield* paths
        for (const kind of ["below", "circle"] as const) {
          const { code, err, out } = yield* runInProcess([...args, all[kind]])
          assert.deepInclude({ code, out }, { code: 1, out: "" }, kind)
          assert.notMatch(err, systemText, kind)
          assert.include(err, all[kind], kind)
        }
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
  }

  for (const [wanted, commands] of Object.entries(reading)) {
    for (const args of commands) {
      it.live(`of flaredb ${args.join(" ")}`, () =>
        Effect.gen(function*() {
          const all = yield* paths
          for (const kind of kinds) {
            // Where a folder is fine, and whether a file holds what it should, is for other tests.
            if (kind === wanted) continue
            const { code, err, out } = yield* runInProcess([...args, all[kind]])
            const said = `${out}${err}`
            assert.include([1, 2], code, `${kind}: ${said}`)
            assert.notMatch(said, systemText, kind)
            assert.notInclude(said, "this is a bug", kind)
            assert.notInclude(said, `chmod 600 ${all.folder}`, kind)
            if (kind === "unnamed") assert.strictEqual(code, 2, said)
            else assert.include(said, all[kind], kind)
          }
        }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
    }
  }
})
