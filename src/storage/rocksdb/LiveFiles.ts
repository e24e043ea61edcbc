/**
 * Whether the files that an open database consists of are still in its directory. RocksDB keeps them open, so a file
 * that was removed from outside is missed only by the next start.
 *
 * RocksDB removes files too, but only after it stopped counting on them. So a file is missing when it is gone, and
 * RocksDB, asked afterwards, still counts on it.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { walFile } from "./WalSync.ts"

export interface LiveFileSource {
  readonly path: string
  /** Names of the tables and blob files of all families, as they are now. */
  readonly tables: () => Promise<ReadonlyArray<string>>
  /** The number of the oldest WAL that a start would need. */
  readonly oldestWal: () => Promise<number>
}

/** Why the manifest that names all tables would not be found, if it would not. Looks at two files. */
export const missingManifest = (path: string): string | undefined => {
  for (let before: string | undefined;;) {
    const named = readFileSync(join(path, "CURRENT"), "utf8").trim()
    if (existsSync(join(path, named))) return undefined
    // Between the two RocksDB may have begun another one.
    if (named === before) return named
    before = named
  }
}

/** A table or blob file that is needed and gone. */
export const missingTable = async ({ path, tables }: LiveFileSource): Promise<string | undefined> => {
  const counted = await tables()
  const names = new Set(readdirSync(path))
  const gone = counted.filter((name) => !names.has(name))
  if (gone.length === 0) return undefined
  const still = new Set(await tables())
  return gone.find((name) => still.has(name))
}

/**
 * A write-ahead log of `known` that is needed and gone. Those that are not needed any more are removed from `known`.
 */
export const missingWal = async (
  { oldestWal, path }: LiveFileSource,
  known: Set<number>
): Promise<string | undefined> => {
  const gone = [...known].filter((number) => !existsSync(join(path, walFile(number))))
  const oldest = await oldestWal()
  for (const number of known) if (number < oldest) known.delete(number)
  const missing = gone.find((number) => number >= oldest)
  return missing === undefined ? undefined : walFile(missing)
}

const fileName = (number: string, kind: "blob" | "sst"): string => `${number.padStart(6, "0")}.${kind}`

/** The files in RocksDB's property `rocksdb.sstables`: a line for each, with keys in hexadecimal. */
export const tablesIn = (property: string): ReadonlyArray<string> =>
  [...property.matchAll(/^(?: (\d+):\d+\[|blob_file_number: (\d+) )/gm)].map(([, table, blobs = ""]) =>
    table === undefined ? fileName(blobs, "blob") : fileName(table, "sst")
  )
