/**
 * Where packages come from, in `package-lock.json`: each is named as `npm:NAME@VERSION`, where npm writes the address of
 * its registry or, by a setting, nothing. npm asks whatever registry it has for that name, and takes what is in its cache
 * by the hash alone (docs/decisions/0103-*).
 */
interface Entry {
  readonly [field: string]: unknown
  readonly name?: string
  readonly version?: string | undefined
  readonly integrity?: string
}

interface Lock {
  readonly packages: Readonly<Record<string, Entry>>
}

/** Only packages of this repository have no hash. */
const withSource = (place: string, entry: Entry): Entry => {
  if (entry.integrity === undefined) return entry
  const { name, resolved: _, version, ...rest } = entry
  const resolved = `npm:${name ?? place.slice(place.lastIndexOf("node_modules/") + 13)}@${version}`
  return { ...(name === undefined ? {} : { name }), version, resolved, ...rest }
}

/** The text of a lock with the source of each package, laid out as npm does it. */
export const withSources = (text: string): string => {
  const lock: Lock = JSON.parse(text)
  const packages = Object.entries(lock.packages).map(([place, entry]) => [place, withSource(place, entry)])
  return `${JSON.stringify({ ...lock, packages: Object.fromEntries(packages) }, null, 2)}\n`
}
