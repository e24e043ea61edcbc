/**
 * How far the log is known to be durable, in a small file beside the database.
 *
 * RocksDB's recovery drops everything behind a damaged WAL record without a word, so a log that lost its tail would
 * look like one that simply ends there, and the node would break promises it made. The floor is written after the
 * sync it speaks of, about once a second and at close; a log that ends below its floor, or has another term
 * there, is corrupt. It is advisory in one direction only: a floor that lags behind is fine, one that runs ahead is not,
 * so it is lowered durably before a conflicting tail is removed.
 */
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { open, rename } from "node:fs/promises"
import { join } from "node:path"
import { CodecError } from "../codec/EntryRecord.ts"
import type { LogPoint } from "../raft/Types.ts"
import { LogIndex, Term } from "../raft/Types.ts"
import { encodeRecord, PointRecord, recordDecoder } from "./Codec.ts"
import type { StorageError } from "./StorageError.ts"
import { StorageCorruption, StorageIoError } from "./StorageError.ts"

/** The file's name inside the data directory. */
export const floorFile = "durable-floor"

const decode = recordDecoder("durable floor", PointRecord)

/** The floor of a directory; `undefined` when it has none yet. */
export const readFloor = (directory: string): Effect.Effect<LogPoint | undefined, StorageError> =>
  Effect.suspend((): Effect.Effect<LogPoint | undefined, StorageError> => {
    const path = join(directory, floorFile)
    let bytes: Uint8Array
    try {
      bytes = readFileSync(path)
    } catch (cause) {
      return cause instanceof Error && "code" in cause && cause.code === "ENOENT"
        ? Effect.succeed(undefined)
        : Effect.fail(new StorageIoError({ operation: "read", path, cause }))
    }
    const point = decode(bytes)
    return point instanceof CodecError
      ? Effect.fail(
        new StorageCorruption({ path, detail: point.message, safe: "the database itself was not looked at" })
      )
      : Effect.succeed({ index: LogIndex(point.index), term: Term(point.term) })
  })

/** Replaces the floor durably: a new file, synced, renamed over the old one, and the directory synced. */
export const writeFloor = (directory: string, floor: LogPoint): Effect.Effect<void, StorageIoError> =>
  Effect.uninterruptible(Effect.tryPromise({
    try: async () => {
      const path = join(directory, floorFile)
      const next = await open(`${path}.next`, "w")
      try {
        await next.write(encodeRecord({ index: floor.index, term: floor.term }))
        await next.sync()
      } finally {
        await next.close()
      }
      await rename(`${path}.next`, path)
      const folder = await open(directory, "r")
      try {
        await folder.sync()
      } finally {
        await folder.close()
      }
    },
    catch: (cause) => new StorageIoError({ operation: "write the durable floor", path: directory, cause })
  }))
