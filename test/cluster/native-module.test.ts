/** Commands on a machine that lacks what RocksDB needs: one line that names it, exit code 1, and no stack. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { startArgs } from "../processes/cli/CommandLine.ts"
import { temporaryFolder } from "../storage/TemporaryFolder.ts"
import { run } from "./Flaredb.ts"
import { freePorts } from "../FreePorts.ts"

const original = resolve("node_modules/rocksdb-native")
const prebuilt = join("prebuilds", `linux-${process.arch}`, "rocksdb-native.node")

/** A copy of the binding whose file was changed; its own packages are the ones of this repository. */
const tampered = Effect.fnUntraced(function*(change: (file: string) => void) {
  const folder = yield* temporaryFolder
  const copy = join(folder, "node_modules", "rocksdb-native")
  for (const part of ["index.js", "binding.js", "package.json", "lib", prebuilt]) {
    cpSync(join(original, part), join(copy, part), { recursive: true })
  }
  for (
    const name of ["require-addon", "bare-addon-resolve", "bare-module-resolve", "bare-semver", "compact-encoding"]
  ) {
    symlinkSync(resolve("node_modules", name), join(folder, "node_modules", name))
  }
  for (const name of ["ready-resource", "refcounter", "resolve-reject-promise", "bare-events", "b4a"]) {
    symlinkSync(resolve("node_modules", name), join(folder, "node_modules", name))
  }
  change(join(copy, prebuilt))
  return {
    folder,
    env: {
      FLAREDB_TEST_NATIVE: copy,
      NODE_OPTIONS: `--import ${pathToFileURL(join(import.meta.dirname, "OtherNative.ts")).href}`
    }
  }
})

/** As if the library were not installed: the name of it is another one, which no system has. */
const withoutLibatomic = (file: string): void => {
  const bytes = readFileSync(file)
  const at = bytes.indexOf("libatomic.so.1\0", 0, "latin1")
  assert.isAbove(at, 0)
  bytes.write("libabsent.so.1", at, "latin1")
  writeFileSync(file, bytes)
}

const linux = process.platform === "linux" && existsSync(join(original, prebuilt))

describe.skipIf(!linux)("without what RocksDB needs", () => {
  layer(NodeServices.layer, { excludeTestServices: true })((it) => {
    it.effect(
      "every command that opens a database says which library is missing",
      () =>
        Effect.gen(function*() {
          const { env, folder } = yield* tampered(withoutLibatomic)
          const [client = 0, peer = 0, http = 0] = yield* freePorts(3)
          const dataDir = join(folder, "data")
          const stopped = join(folder, "stopped")
          mkdirSync(stopped)
          writeFileSync(join(stopped, "CURRENT"), "MANIFEST-000004\n")
          const commands = [
            startArgs([client, peer, http], dataDir),
            ["cluster", "--data-dir", dataDir, "--nodes", `1=127.0.0.1:${client}:${peer}:${http}`],
            ["inspect", stopped],
            ["backup", join(folder, "rescue.flaredb"), "--from", stopped],
            ["bench", "--seconds", "1"]
          ]
          const reason =
            /RocksDB \(rocksdb-native\) cannot be loaded: the library libabsent\.so\.1 is missing; install /
          for (const args of commands) {
            const { code, err } = yield* Effect.timeout(run(args, { env }), "50 seconds")
            assert.match(err, reason, args[0])
            assert.match(err, /^flaredb: [^\n]*\n$/, args[0])
            assert.notMatch(err, /bug|\n\s+at /, args[0])
            assert.strictEqual(code, 1, args[0])
          }
        }).pipe(Effect.scoped),
      300_000
    )

    it.effect(
      "a file that is not there or is damaged is named",
      () =>
        Effect.gen(function*() {
          const ports = yield* freePorts(3)
          const cases: ReadonlyArray<readonly [change: (file: string) => void, reason: RegExp]> = [
            [(file) => rmSync(file), /its file for linux-\w+ is not there; run npm ci/],
            [(file) => writeFileSync(file, readFileSync(file).subarray(0, 40)), /its file is damaged.*file too short/],
            [(file) => writeFileSync(file, "no program".repeat(100)), /its file is damaged.*invalid ELF header/]
          ]
          for (const [change, reason] of cases) {
            const { env, folder } = yield* tampered(change)
            const { code, err } = yield* Effect.timeout(
              run(startArgs(ports, join(folder, "data")), { env }),
              "50 seconds"
            )
            assert.match(err, reason)
            assert.match(err, /^flaredb: [^\n]*\n$/)
            assert.strictEqual(code, 1)
          }
        }).pipe(Effect.scoped),
      300_000
    )

    it.effect("a client needs none of it", () =>
      Effect.gen(function*() {
        const { env } = yield* tampered(withoutLibatomic)
        const { code, out } = yield* run(["config", "check", "--node-id", "1"], { env })
        assert.strictEqual(code, 0)
        assert.include(out, "nodeId")
        const { err } = yield* run(["status", "--endpoints", "127.0.0.1:1"], { env })
        assert.match(err, /no node can be reached/)
      }).pipe(Effect.scoped))
  })
})
