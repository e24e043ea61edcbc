/**
 * Gives back the room that deleted keys, forgotten history and compacted logs still take in the directory of a stopped
 * node. What a node deletes by keys goes when RocksDB compacts the tables that it lies in, which it does as writes
 * come; a node to which little is written may keep it for long.
 */
import { Effect, Layer } from "effect"
import { readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { inspect } from "./Inspect.ts"
import { families } from "./rocksdb/Operation.ts"
import { RocksDb } from "./rocksdb/RocksDb.ts"
import type { OpenError } from "./StorageError.ts"

export interface Reclaimed {
  readonly bytesBefore: number
  readonly bytesAfter: number
}

/** Bytes of the files in a directory. */
const bytesIn = (path: string): number =>
  readdirSync(path).reduce((sum, name) => sum + (statSync(join(path, name), { throwIfNoEntry: false })?.size ?? 0), 0)

/**
 * Fails when the directory is in use, or no data directory of this format. RocksDB puts new tables in the place of old
 * ones in one step.
 */
export const reclaim = Effect.fnUntraced(function*(path: string): Effect.fn.Return<Reclaimed, OpenError> {
  // It looks at the marker and the log without changing anything, and refuses what a node would refuse.
  yield* inspect(path, () => Effect.void)
  const bytesBefore = bytesIn(path)
  yield* Effect.provide(
    Effect.flatMap(
      RocksDb,
      (database) => Effect.forEach(families, (family) => database.compact(family), { discard: true })
    ),
    Layer.fresh(RocksDb.layer({ path, create: false }))
  )
  return { bytesBefore, bytesAfter: bytesIn(path) }
})
