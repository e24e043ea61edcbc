/** `flaredb doctor` and `support-bundle` on a machine without a cluster: what they say, how they end, what they leave. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { gunzipSync } from "node:zlib"
import { backupName } from "../../../src/storage/backup/BackupNames.ts"
import { freePorts } from "../../FreePorts.ts"
import { temporaryFolder } from "../../storage/TemporaryFolder.ts"
import { run } from "./CommandLine.ts"

interface Check {
  readonly name: string
  readonly status: string
  readonly measured: string
  readonly advice: string
}

const checksIn = (out: string): ReadonlyArray<Check> => out.trim().split("\n").map((line) => JSON.parse(line))

const named = (out: string, name: string): Check =>
  checksIn(out).find((check) => check.name === name) ?? assert.fail(`no ${name} in ${out}`)

/** Whatever this machine is like, the exit code follows from the checks. */
const codeOf = (out: string): number => checksIn(out).some(({ status }) => status === "failure") ? 1 : 0

describe("without a cluster", () => {
  layer(NodeServices.layer, { excludeTestServices: true })((it) => {
    it.effect(
      "doctor measures the disk of a directory, and leaves it as it was",
      () =>
        Effect.gen(function*() {
          const folder = yield* temporaryFolder
          writeFileSync(join(folder, "CURRENT"), "of a node")
          const { code, out } = yield* run(["doctor", "--local", "--json", "--data-dir", folder])
          assert.strictEqual(code, codeOf(out), out)
          assert.match(named(out, "disk.sync").measured, /^\d+ syncs of 8 KiB: p50 [\d.]+m?s, p99 [\d.]+m?s/)
          if (process.platform === "linux") assert.notStrictEqual(named(out, "disk.mount").status, "unknown")
          assert.deepStrictEqual(readdirSync(folder), ["CURRENT"])
        }).pipe(Effect.scoped),
      300_000
    )

    it.effect(
      "doctor fails for a folder without backups, and warns of old ones",
      () =>
        Effect.gen(function*() {
          const folder = yield* temporaryFolder
          const args = ["doctor", "--local", "--json", "--no-disk", "--data-dir", folder, "--backup-dir", folder]
          const none = yield* run(args)
          assert.strictEqual(none.code, 1)
          assert.deepInclude(named(none.out, "backup.age"), { status: "failure" })
          assert.match(named(none.out, "backup.age").advice, /flaredb backups run --once/)
          writeFileSync(join(folder, backupName("c", Date.now() - 48 * 3_600_000, 1)), "")
          assert.strictEqual(named((yield* run(args)).out, "backup.age").status, "warning")
          writeFileSync(join(folder, backupName("c", Date.now(), 2)), "")
          const fresh = yield* run(args)
          assert.strictEqual(named(fresh.out, "backup.age").status, "ok")
          assert.strictEqual(fresh.code, codeOf(fresh.out))
        }).pipe(Effect.scoped),
      300_000
    )

    it.effect(
      "doctor says that no node answers, and a bundle is made all the same",
      () =>
        Effect.gen(function*() {
          const folder = yield* temporaryFolder
          mkdirSync(join(folder, "data"))
          const ports = yield* freePorts(3)
          const nodes = ["--nodes", `1=127.0.0.1:${ports.join(":")}`, "--no-disk", "--data-dir", join(folder, "data")]
          const down = yield* run(["doctor", ...nodes])
          assert.strictEqual(down.code, 1)
          assert.match(down.out, /^FAILURE +cluster\.nodes +0 of 1 nodes answer[^]*do: without a majority/m)
          assert.match(down.err, /^flaredb: \d+ failures?\n$/)
          const file = join(folder, "support.tar.gz")
          const made = yield* run(["support-bundle", file, ...nodes])
          assert.strictEqual(made.code, 0, made.err)
          assert.match(made.out, /not in it: nodes\/1\/metrics\.txt: /)
          const content = gunzipSync(readFileSync(file)).toString("latin1")
          assert.include(content, "flaredb-support/manifest.json")
          assert.match(content, /"name":"cluster.nodes","status":"failure"/)
        }).pipe(Effect.scoped),
      300_000
    )
  })
})
