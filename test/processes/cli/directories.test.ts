/** Data directories that would block a process, and what others than their owner can reach. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import { chmodSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { freePorts } from "../../FreePorts.ts"
import { waitMs } from "../../Eventually.ts"
import { temporaryFolder } from "../../storage/TemporaryFolder.ts"
import { startArgs, untilLine } from "./CommandLine.ts"

const pipeAt = (path: string) => Effect.sync(() => execFileSync("mkfifo", [path]))

/** Each makes something else than a file where RocksDB expects one. */
const oddities: ReadonlyArray<readonly [string, string, (path: string) => void]> = [
  ["a named pipe", "CURRENT", (path) => execFileSync("mkfifo", [path])],
  ["a link to nothing", "MANIFEST-000004", (path) => symlinkSync(`${path}-gone`, path)],
  ["a directory", "durable-floor", (path) => mkdirSync(path)],
  ["a named pipe", "000004.log", (path) => execFileSync("mkfifo", [path])]
]

describe("a data directory", () => {
  layer(NodeServices.layer, { excludeTestServices: true })((it) => {
    for (const [found, name, make] of oddities) {
      it.effect(
        `with ${found} at ${name} is refused at once by inspect and start`,
        () =>
          Effect.gen(function*() {
            const folder = yield* temporaryFolder
            if (name !== "CURRENT") writeFileSync(join(folder, "CURRENT"), "MANIFEST-000004\n")
            make(join(folder, name))
            const expected = new RegExp(`^flaredb: refused to open .*"${name}", found ${found}`)
            for (const args of [["inspect", folder], startArgs(yield* freePorts(3), folder)]) {
              const { ended, lines } = yield* untilLine(args, /^flaredb: /)
              assert.strictEqual(yield* ended, 1)
              assert.match(lines.at(-1) ?? "", expected)
            }
          }).pipe(Effect.scoped),
        300_000
      )
    }

    it.effect(
      "that blocks inspect and start does not keep them from ending on SIGTERM",
      () =>
        // They wait for seconds before they give up.
        Effect.forEach(["inspect", "start"], (verb) =>
          Effect.gen(function*() {
            const folder = yield* temporaryFolder
            const pipe = join(folder, "pipe")
            yield* pipeAt(pipe)
            const dataDir = join(folder, "node")
            mkdirSync(dataDir)
            writeFileSync(join(dataDir, "CURRENT"), "MANIFEST-000004\n")
            const args = verb === "inspect" ? [verb, dataDir] : startArgs(yield* freePorts(3), dataDir)
            const { ended, handle, lines } = yield* untilLine(args, /^OPENING$/, {
              FLAREDB_TEST_PIPE: pipe,
              NODE_OPTIONS: `--import ${pathToFileURL(join(import.meta.dirname, "BlockedOpen.ts")).href}`
            })
            process.kill(handle.pid, "SIGTERM")
            yield* Effect.timeout(ended, waitMs())
            assert.match(lines.join("\n"), /not stopped \d+ ms after SIGTERM/, verb)
          }).pipe(Effect.scoped), { concurrency: "unbounded", discard: true }),
      300_000
    )

    it.effect(
      "is its owner's alone, and one that others can read is a warning with the command against it",
      () =>
        Effect.gen(function*() {
          const folder = yield* temporaryFolder
          const before = process.umask(0o022)
          yield* Effect.addFinalizer(() => Effect.sync(() => process.umask(before)))
          const dataDir = join(folder, "data", "node")
          const args = startArgs(yield* freePorts(3), dataDir, "--log-format", "json")
          const first = yield* untilLine(args, /^READY/)
          process.kill(first.handle.pid, "SIGTERM")
          assert.strictEqual(yield* first.ended, 0)
          assert.notInclude(first.lines.join("\n"), "chmod")
          const mode = (path: string) => (statSync(path).mode & 0o777).toString(8)
          assert.strictEqual(mode(dataDir), "700")
          for (const name of readdirSync(dataDir)) assert.strictEqual(mode(join(dataDir, name)), "600", name)

          chmodSync(dataDir, 0o755)
          const second = yield* untilLine(args, /^READY/)
          process.kill(second.handle.pid, "SIGTERM")
          yield* second.ended
          const warning = second.lines.find((line) => line.includes("chmod")) ?? ""
          assert.include(warning, `chmod -R go-rwx ${dataDir}`)
          assert.match(warning, /WARN/)
        }).pipe(Effect.scoped),
      300_000
    )
  })
})
