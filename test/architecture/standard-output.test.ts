/**
 * What a command prints goes through `Output.ts`: the tests of standard output that cannot be written
 * (`test/processes/cli/node.test.ts`) try each way to print, and not each verb.
 */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, it } from "vitest"

const folder = join(import.meta.dirname, "../../src/cli")

/** What writes to standard output by itself. */
const printers = [
  // Processes that commands start for themselves, and whose output they read.
  "bench/Load.ts",
  "lock/GuardProcess.ts",
  // A backup to standard output.
  "commands/BackupCommands.ts",
  // Everything else, and how a command ends when it cannot be written.
  "output/Output.ts",
  "output/StandardOutput.ts"
]

const prints = /\bConsole\.(?!error\b)\w+\(|\bprocess\.stdout\.(write|end|on)\b|\bstdout\b.* = yield\* Stdio\b/

it("commands print by the functions of one module", () => {
  const found = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && prints.test(readFileSync(join(folder, name), "utf8")))
  assert.sameMembers(found, printers)
})
