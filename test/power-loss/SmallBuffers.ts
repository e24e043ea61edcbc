/**
 * Loaded before a node: its RocksDB begins a new log file after 64 KiB instead of 8 MiB, and its log a new segment after
 * 32 KiB instead of 16 MiB, so that this happens all the time. Nearly every row of the state is kept in blob files. Some
 * entries are longer than a segment.
 */
import { readdirSync, readFileSync } from "node:fs"
import { registerHooks } from "node:module"

/** The command line as `npm run build` leaves it, in a few files; each of these is in one of them, computed. */
const built = new URL("../../dist/cli/", import.meta.url)
const replaced: ReadonlyArray<readonly [find: string, by: string]> = [
  ["writeBufferBytes = 8388608", "writeBufferBytes = 64 * 1024"],
  ["minBlobBytes = 2048", "minBlobBytes = 32"],
  ["segmentBytes = 16777216", "segmentBytes = 32 * 1024"]
]

const files = readdirSync(built)
  .map((name) => ({ url: new URL(name, built).href, source: readFileSync(new URL(name, built), "utf8") }))
for (const [find] of replaced) {
  if (files.reduce((count, { source }) => count + source.split(find).length - 1, 0) !== 1) {
    throw new Error(`"${find}" is not once where it was: change this with the code`)
  }
}

const changed = new Map(
  files.filter(({ source }) => replaced.some(([find]) => source.includes(find))).map(({ source, url }) => [
    url,
    replaced.reduce((text, [find, by]) => text.replace(find, by), source)
  ])
)

registerHooks({
  load: (url, context, next) => {
    const source = changed.get(url)
    return source === undefined ? next(url, context) : { format: "module", shortCircuit: true, source }
  }
})
