/**
 * Looks at the kinds of the files in a data directory before RocksDB opens any. A named pipe where it expects a file
 * blocks the thread that opens it for ever, and with it the end of the process, which waits for its threads.
 */
import { readdirSync, statSync } from "node:fs"
import type { Stats } from "node:fs"
import { join } from "node:path"
import { DataDirRefused } from "./StorageError.ts"

/** The names under which RocksDB and FlareDB keep files in a data directory. */
const databaseFiles: ReadonlyArray<RegExp> = [
  /^(?:CURRENT|IDENTITY|SESSION_ID|LOCK)$/,
  /^LOG(?:\.old\..*)?$/,
  /^(?:MANIFEST|OPTIONS)-.*$/,
  /^.*\.(?:log|sst|blob|dbtmp)$/,
  /^(?:durable-floor|flaredb-).*$/
]

/** What a file is, in the words of `ls`; `undefined` for what RocksDB may open. */
const kindOf = (stats: Stats | undefined, isDatabaseFile: boolean): string | undefined => {
  if (stats === undefined) return "a link to nothing"
  if (stats.isFile()) return undefined
  if (stats.isDirectory()) return isDatabaseFile ? "a directory" : undefined
  if (stats.isFIFO()) return "a named pipe"
  if (stats.isSocket()) return "a socket"
  return "a device"
}

/** The first file that is no regular one, if there is one. Other programs' directories are left alone. */
export const unusableFile = (path: string): DataDirRefused | undefined => {
  for (const name of readdirSync(path).sort()) {
    const found = kindOf(
      statSync(join(path, name), { throwIfNoEntry: false }),
      databaseFiles.some((names) => names.test(name))
    )
    if (found === undefined) continue
    return new DataDirRefused({
      path,
      reason: "unusable-file",
      expected: `a regular file at ${JSON.stringify(name)}`,
      found,
      hint: "Nothing was opened. Remove it if it is not yours; if a file of the database is gone, see " +
        "deploy/runbooks/lost-node.md."
    })
  }
  return undefined
}
