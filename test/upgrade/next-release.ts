/**
 * `node --import ./test/upgrade/next-release.ts src/cli/flaredb.ts …`: this source as the release after it. It has another
 * version, one feature level more, and a command that belongs to that level.
 */
import { readFileSync } from "node:fs"
import { registerHooks } from "node:module"
import { fileURLToPath } from "node:url"

const source = fileURLToPath(new URL("../../src/", import.meta.url))

/** What the next release changes, each in one place of a file. */
const changes: Readonly<Record<string, readonly [from: RegExp, to: string]>> = {
  "Version.ts": [/export const version = ".*"/, `export const version = "99.0.0"`],
  "protocol/FeatureLevel.ts": [
    /what: "commands, rows and messages of the first release" \}/,
    `$&,\n  { level: 2, release: "99.0.0", what: "checkpoints" }`
  ],
  "kv/model/CommandLevel.ts": [/const levels: (.*) = \{\}/, "const levels: $1 = { Checkpoint: 2 }"]
}

const changed = (file: string, [from, to]: readonly [RegExp, string]): string => {
  const before = readFileSync(source + file, "utf8")
  const after = before.replace(from, to)
  if (after === before) throw new Error(`${file} has nothing like ${from}; change test/upgrade/next-release.ts with it`)
  return after
}

registerHooks({
  load: (url, context, next) => {
    const path = url.startsWith("file:") ? fileURLToPath(url) : ""
    const change = path.startsWith(source) ? changes[path.slice(source.length)] : undefined
    if (change === undefined) return next(url, context)
    return { format: "module-typescript", shortCircuit: true, source: changed(path.slice(source.length), change) }
  }
})
