/**
 * What reaches a machine that runs FlareDB: the packages that it has for peers, and all that they need, from the lock
 * file. `node tools/shipped.js DIR NAME…` copies packages with what they need from `node_modules` to DIR: the container
 * image gets those of a node so, pinned as everything else is. `tools/sbom.js` lists them.
 */
import { cpSync, existsSync, mkdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = join(dirname(fileURLToPath(import.meta.url)), "..")
const read = (name) => JSON.parse(readFileSync(join(root, name), "utf8"))

/** The driver of `flaredb actors migrate`: who migrates installs it. */
const notShipped = new Set(["@effect/sql-pg"])

/** What `package.json` has for peers, less what is not shipped. */
export const shippedNames = () =>
  Object.keys(read("package.json").peerDependencies).filter((name) => !notShipped.has(name))

/** The places in the lock file of packages and of all that they need; peers of theirs are left out. */
export const placesOf = (names) => {
  const { packages } = read("package-lock.json")
  const places = new Set()
  /** Where Node would find `name` from within the package at `from`. */
  const placeOf = (from, name) => {
    for (let at = from;; at = at.slice(0, Math.max(0, at.lastIndexOf("node_modules/") - 1))) {
      const place = `${at === "" ? "" : `${at}/`}node_modules/${name}`
      if (packages[place] !== undefined) return place
      if (at === "") return undefined
    }
  }
  const add = (from, name) => {
    const place = placeOf(from, name)
    // Optional dependencies of other machines are not there.
    if (place === undefined || places.has(place)) return
    places.add(place)
    const { dependencies = {}, optionalDependencies = {} } = packages[place]
    for (const other of Object.keys({ ...dependencies, ...optionalDependencies })) add(place, other)
  }
  for (const name of names) add("", name)
  return [...places].sort()
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [target, ...names] = process.argv.slice(2)
  if (target === undefined || names.length === 0) throw new Error("usage: node tools/shipped.js DIR NAME…")
  for (const place of placesOf(names)) {
    if (!existsSync(join(root, place))) continue
    mkdirSync(dirname(join(target, place)), { recursive: true })
    cpSync(join(root, place), join(target, place), { recursive: true })
  }
}
