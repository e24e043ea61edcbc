/** Folders that cannot be created: each command that would create one ends with the reason, and none spins. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { freePorts } from "../../FreePorts.ts"
import { waitMs } from "../../Eventually.ts"
import { temporaryFolder } from "../../storage/TemporaryFolder.ts"
import { run, startArgs } from "./CommandLine.ts"

/** Where no folder can be created, and what is said of it. */
type Impossible = readonly [where: string, path: (folder: string) => string, reason: RegExp]
const everywhere: ReadonlyArray<Impossible> = [
  ["below a file", (folder) => join(folder, "file", "node"), /file is a file, and no folder/],
  ["at a file", (folder) => join(folder, "file"), /found a file|file is a file, and no folder/],
  ["with a name that is too long", (folder) => join(folder, "n".repeat(300)), /a name in it is too long/],
  ["at a link to nothing", (folder) => join(folder, "link"), /link is a link to nothing/],
  ["below a link to nothing", (folder) => join(folder, "link", "a", "node"), /link is a link to nothing/],
  ["behind links that lead in a circle", (folder) => join(folder, "circle", "node"), /links lead in a circle/]
]
const onLinux: ReadonlyArray<Impossible> = [
  ["below a device", () => "/dev/full/node", /\/dev\/full is a device, and no folder/],
  ["in /sys", () => "/sys/flaredb/node", /in \/sys/]
]
const impossible = process.platform === "linux" ? [...everywhere, ...onLinux] : everywhere

const prepared = Effect.map(temporaryFolder, (folder) => {
  writeFileSync(join(folder, "file"), "")
  symlinkSync(join(folder, "gone"), join(folder, "link"))
  symlinkSync(join(folder, "circle"), join(folder, "circle"))
  return folder
})

describe.skipIf(process.platform === "win32")("a data directory", () => {
  layer(NodeServices.layer, { excludeTestServices: true })((it) => {
    for (const [where, path, reason] of impossible) {
      it.effect(
        `${where} ends start and cluster with the reason`,
        () =>
          Effect.gen(function*() {
            const dataDir = path(yield* prepared)
            const [client = 0, peer = 0, http = 0] = yield* freePorts(3)
            const one = `1=127.0.0.1:${client}:${peer}:${http}`
            for (
              const args of [
                startArgs([client, peer, http], dataDir),
                ["cluster", "--data-dir", dataDir, "--nodes", one]
              ]
            ) {
              // The process is killed when the time is over, also one that spins and hears no SIGTERM.
              const { code, err, out } = yield* Effect.timeout(run(args), waitMs())
              assert.match(err, reason, args[0])
              assert.match(err, /^flaredb: [^\n]*\n$/, args[0])
              assert.strictEqual(code, 1, args[0])
              assert.strictEqual(out, "", args[0])
            }
          }).pipe(Effect.scoped),
        300_000
      )
    }
  })
})
