/** What `npm run build` leaves of the command line: few files that stand for themselves, so that a process starts fast. */
import { execFileSync } from "node:child_process"
import { accessSync, constants, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, statSync } from "node:fs"
import { isBuiltin } from "node:module"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { assert, it } from "vitest"

const folder = "dist/cli"

/** Loaded when they are needed: the binding of RocksDB, and the driver that a user of `actors migrate` installs. */
const outside = ["rocksdb-native", "@effect/sql-pg/PgClient"]

it("loads nothing but its own few files, what Node brings, and what stays outside of it", () => {
  const files = readdirSync(folder)
  assert.include(files, "flaredb.js")
  assert.isBelow(files.length, 60)
  const named = files.flatMap((file) => {
    const source = readFileSync(`${folder}/${file}`, "utf8")
    return [
      ...source.matchAll(/^(?:import|export)\b[^"\n]*"([^"]+)";$/gm),
      ...source.matchAll(/\bimport\("([^"]+)"\)/g)
    ].map(([, name]) => String(name))
  })
  const others = named.filter((name) => !isBuiltin(name))
  const own = new Set(files.map((file) => `./${file}`))
  assert.sameMembers([...new Set(others)].filter((name) => !own.has(name)), outside)
  assert.include(named, "node:https")
  assert.notInclude(named, "node:http", "which loads undici: src/http/NodeHttp.ts")
})

it("loads few files for a verb, no TLS before it is needed, and little for the guard of a lock", () => {
  const importsOf = (file: string): ReadonlyArray<string> =>
    [...readFileSync(`${folder}/${file}`, "utf8").matchAll(/^(?:import|export)\b[^"\n]*"([^"]+)";$/gm)]
      .map(([, name]) => String(name))
  const loads = (file: string, seen = new Set<string>()): ReadonlySet<string> => {
    for (const name of importsOf(file)) {
      if (seen.has(name)) continue
      seen.add(name)
      if (name.startsWith("./")) loads(name, seen)
    }
    return seen
  }
  const byEveryVerb = loads("flaredb.js")
  assert.sameMembers([...byEveryVerb].filter((name) => !isBuiltin(name)), ["./common.js", "./guard.js"])
  assert.notInclude([...byEveryVerb], "node:tls", "src/net/tls/NodeTls.ts")
  assert.notInclude([...byEveryVerb], "node:https", "src/net/tls/NodeTls.ts")
  assert.sameMembers([...loads("lock-guard.js")].filter((name) => !isBuiltin(name)), ["./guard.js"])
})

it("is ASCII, of which V8 keeps a byte for each character", () => {
  const wide = readdirSync(folder).filter((file) => readFileSync(`${folder}/${file}`).some((byte) => byte > 0x7f))
  assert.deepStrictEqual(wide, [])
})

it("has each module of the library with its declarations, and nothing of files that are gone", async () => {
  const below = (root: string, wanted: (file: string) => boolean) =>
    readdirSync(root, { recursive: true, encoding: "utf8" }).filter(wanted).sort()
  const modules = below("src", (file) => file.endsWith(".ts") && !file.endsWith(".d.ts") && !file.startsWith("cli/"))
  const expected = modules.flatMap((file) => [".js", ".d.ts", ".d.ts.map"].map((end) => file.replace(/\.ts$/, end)))
  const isOfLibrary = (file: string) => /\.\w+$/.test(file) && !/^(?:cli|console)\//.test(file)
  assert.deepStrictEqual(below("dist", isOfLibrary), expected.sort())
  const built = await import(/* @vite-ignore */ pathToFileURL(resolve("dist/index.js")).href)
  assert.deepStrictEqual(Object.keys(built).sort(), Object.keys(await import("../../src/index.ts")).sort())
})

it("leaves the program where npx looks for it, which would build it again otherwise", () => {
  const program = "node_modules/.bin/flaredb"
  assert.strictEqual(realpathSync(program), resolve("bin/flaredb.js"))
  accessSync(program, constants.X_OK)
})

it("is not built again by the first npx of a user, under the nodes that run", () => {
  const built = () => statSync(join(folder, "flaredb.js")).mtimeMs
  const before = built()
  const cache = mkdtempSync(join(tmpdir(), "flaredb-npm-cache-"))
  try {
    // npm that is called by npm has settings of the outer one.
    const own = Object.entries(process.env).filter(([name]) => !name.startsWith("npm_"))
    const env = { ...Object.fromEntries(own), npm_config_cache: cache, npm_config_update_notifier: "false" }
    assert.include(execFileSync("npx", ["flaredb", "--version"], { env, encoding: "utf8" }), "flaredb v")
    assert.strictEqual(built(), before)
  } finally {
    rmSync(cache, { recursive: true, force: true })
  }
})
