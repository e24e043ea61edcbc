/** What `npm run build` leaves of the command line: few files that stand for themselves, so that a process starts fast. */
import { accessSync, constants, readdirSync, readFileSync, realpathSync } from "node:fs"
import { isBuiltin } from "node:module"
import { resolve } from "node:path"
import { assert, it } from "vitest"

const folder = "dist/cli"

/** Loaded when they are needed: the binding of RocksDB, and the driver that a user of `actors migrate` installs. */
const outside = ["rocksdb-native", "@effect/sql-pg/PgClient"]

it("loads nothing but its own few files, what Node brings, and what stays outside of it", () => {
  const files = readdirSync(folder)
  assert.include(files, "flaredb.js")
  assert.isBelow(files.length, 120)
  const others = files.flatMap((file) => {
    const source = readFileSync(`${folder}/${file}`, "utf8")
    const named = [
      ...source.matchAll(/^(?:import|export)\b[^"\n]*"([^"]+)";$/gm),
      ...source.matchAll(/\bimport\("([^"]+)"\)/g)
    ]
    return named.map(([, name]) => String(name)).filter((name) => !isBuiltin(name))
  })
  const own = new Set(files.map((file) => `./${file}`))
  assert.sameMembers([...new Set(others)].filter((name) => !own.has(name)), outside)
})

it("leaves the program where npx looks for it, which would build it again otherwise", () => {
  const program = "node_modules/.bin/flaredb"
  assert.strictEqual(realpathSync(program), resolve("bin/flaredb.js"))
  accessSync(program, constants.X_OK)
})
