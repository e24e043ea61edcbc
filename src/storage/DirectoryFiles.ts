/**
 * Looks at the kinds of the files in a data directory before RocksDB opens any. A named pipe where it expects a file
 * blocks the thread that opens it for ever, and with it the end of the process, which waits for its threads.
 */
import { lstatSync, readdirSync, statSync } from "node:fs"
import type { Stats } from "node:fs"
import { join } from "node:path"
import { fileKind } from "../FileKind.ts"
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
const kindOf = (path: string, isDatabaseFile: boolean): string | undefined => {
  const stats: Stats | undefined = statSync(path, { throwIfNoEntry: false })
  if (stats === undefined) {
    // A process that has the directory open removes files while they are looked at. Its lock is asked for later.
    return lstatSync(path, { throwIfNoEntry: false }) === undefined ? undefined : "a link to nothing"
  }
  if (stats.isFile()) return undefined
  if (stats.isDirectory()) return isDatabaseFile ? "a directory" : undefined
  return fileKind(stats)
}

/**
 * The first file that is no regular one, if there is one. Other programs' directories are left alone. `names` are those
 * that the directory had when it was listed.
 */
export const unusableFile = (
  path: string,
  names: ReadonlyArray<string> = readdirSync(path)
): DataDirRefused | undefined => {
  for (const name of names.toSorted()) {
    const found = kindOf(join(path, name), databaseFiles.some((known) => known.test(name)))
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
