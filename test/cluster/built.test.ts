/** What `npm run build` leaves of the command line: few files that stand for themselves, so that a process starts fast. */
import { readdirSync, readFileSync } from "node:fs"
import { isBuiltin } from "node:module"
import { assert, it } from "vitest"

const folder = "dist/cli"

/** Loaded when they are needed: the binding of RocksDB, and the driver that a user of `actors migrate` installs. */
const outside = ["rocksdb-native", "@effect/sql-pg/PgClient"]

it("loads nothing but its own few files, what Node brings, and what stays outside of it", () => {
  const files = readdirSync(folder)
  assert.include(files, "flaredb.js")
  assert.isBelow(files.length, 100)
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
