/** The project `unit` starts no process: whatever does is in `test/processes/` or `test/cluster/`, which have their own. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { importsOf } from "./Imports.ts"

const root = join(import.meta.dirname, "../..")

/** Where processes are started, and what runs there is no part of `unit`. */
const elsewhere = /^test\/(cluster|processes)\//

/** Tools of the system that end within milliseconds, with the test that asks one of them. */
const shortTools = new Map([
  ["test/certificates/Openssl.ts", "openssl, where it is installed"],
  ["test/storage/durability.test.ts", "ldb, where it is installed"],
  ["test/storage/hostile-backup.test.ts", "mkfifo"],
  // It asks for strace only when a run begins.
  ["test/power-loss/SystemCalls.ts", "none of its tests"],
  // The mutants of the cores run in threads.
  ["test/simulation/mutants/main.ts", "none of its tests"]
])

const starts = (specifier: string): boolean => /^(node:)?child_process$|^node:cluster$|^effect\/process/.test(specifier)

/** The files of `test/` that a file uses, up to the first that starts a process; absent when none does. */
const wayToProcess = (path: string, text: (path: string) => string | undefined, seen = new Set<string>()):
  | ReadonlyArray<string>
  | undefined =>
{
  const code = text(path)
  if (code === undefined || seen.has(path) || shortTools.has(path)) return undefined
  seen.add(path)
  const imports = importsOf(code)
  if (imports.some(starts)) return [path]
  for (const specifier of imports) {
    const used = join(path, "..", specifier)
    if (!specifier.startsWith(".") || !used.startsWith("test/")) continue
    const way = wayToProcess(used, text, seen)
    if (way !== undefined) return [path, ...way]
  }
  return undefined
}

const onDisk = (path: string): string | undefined =>
  existsSync(join(root, path)) ? readFileSync(join(root, path), "utf8") : undefined

describe("modules that a test puts in the place of others", () => {
  it("are in `storage`, whose modules come through Vite: elsewhere `vi.mock` would do nothing", () => {
    const found = readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" })
      .filter((name) =>
        name.endsWith(".ts") && /\bvi\.(do)?mock\(/i.test(readFileSync(join(root, "test", name), "utf8"))
      )
    assert.isNotEmpty(found)
    assert.deepStrictEqual(found.filter((name) => !name.startsWith("storage/")), [])
  })
})

describe("tests that start processes", () => {
  it("are not among the unit tests", () => {
    const found = readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" })
      .map((name) => join("test", name))
      .filter((path) => path.endsWith(".test.ts") && !elsewhere.test(path))
    assert.isAbove(found.length, 100)
    const ways = found.map((path) => wayToProcess(path, onDisk)).filter((way) => way !== undefined)
    assert.deepStrictEqual(ways, [])
  })

  it("are found through the files that they use", () => {
    const files = new Map([
      ["test/a/one.test.ts", `import { run } from "../b/Run.ts"`],
      ["test/b/Run.ts", `import { spawn } from "node:child_process"`],
      ["test/a/two.test.ts", `import { make } from "../../src/Make.ts"`]
    ])
    const way = (path: string) => wayToProcess(path, (name) => files.get(name))
    assert.deepStrictEqual(way("test/a/one.test.ts"), ["test/a/one.test.ts", "test/b/Run.ts"])
    assert.isUndefined(way("test/a/two.test.ts"))
  })
})
