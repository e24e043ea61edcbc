/**
 * How far the log is known to be durable, in a small file beside the database.
 *
 * RocksDB's recovery drops everything behind a damaged WAL record without a word, so a log that lost its tail would
 * look like one that simply ends there, and the node would break promises it made. The floor is written after the sync
 * it speaks of, about once a second and at close. A log that ends below its floor, or has another term there, is
 * corrupt. So is one whose vote is older than the floor's: a vote that is forgotten can be given twice.
 *
 * A floor that lags behind the log is fine. One that runs ahead is not, so it is lowered durably before a conflicting
 * tail is removed.
 */
import { Context, Effect } from "effect"
import { readFileSync } from "node:fs"
import { open, rename } from "node:fs/promises"
import { join } from "node:path"
import { isMissing } from "../ErrorCode.ts"
import { CodecError } from "../bytes/CodecError.ts"
import type { LogPoint } from "../raft/Types.ts"
import { LogIndex, NodeId, Term } from "../raft/Types.ts"
import { encodeRecord, FloorRecord, recordDecoder } from "./Codec.ts"
import { syncFolderAsync } from "./Folder.ts"
import type { StorageError } from "./StorageError.ts"
import { failureIn, StorageCorruption, StorageIoError } from "./StorageError.ts"

/** The file's name inside the data directory. */
export const floorFile = "durable-floor"

/** A term, and who got this node's vote in it. */
export interface Vote {
  readonly term: Term
  readonly votedFor: NodeId | undefined
}

/** How far the log is durable, and the last vote that is; no vote where none is known of. */
export interface DurableFloor extends LogPoint {
  readonly vote?: Vote
}

const decode = recordDecoder("durable floor", FloorRecord)

/** Where the bytes of the floor are kept: a file, or what a simulation has in its place. */
export interface FloorFile {
  /** `undefined` when there is none. Throws what the file system does. */
  readonly read: (directory: string) => Uint8Array | undefined
  /** Replaces the file durably, all or nothing. */
  readonly replace: (directory: string, bytes: Uint8Array) => Effect.Effect<void, StorageError>
}

const readFile: FloorFile["read"] = (directory) => {
  try {
    return readFileSync(join(directory, floorFile))
  } catch (cause) {
    if (isMissing(cause)) return undefined
    throw cause
  }
}

/** A new file, synced, renamed over the old one, and the directory synced. */
const replaceFile: FloorFile["replace"] = (directory, bytes) =>
  Effect.uninterruptible(Effect.tryPromise({
    try: async () => {
      const path = join(directory, floorFile)
      const next = await open(`${path}.next`, "w", 0o600)
      try {
        await next.write(bytes)
        await next.sync()
      } finally {
        await next.close()
      }
      await rename(`${path}.next`, path)
      await syncFolderAsync(directory)
    },
    catch: (cause) => failureIn("write the durable floor", directory, cause)
  }))

export const FloorFile: Context.Reference<FloorFile> = Context.Reference<FloorFile>("flaredb/storage/FloorFile", {
  defaultValue: () => ({ read: readFile, replace: replaceFile })
})

/** The floor of a directory; `undefined` when it has none yet. */
export const readFloor = (directory: string): Effect.Effect<DurableFloor | undefined, StorageError> =>
  Effect.flatMap(FloorFile, (file): Effect.Effect<DurableFloor | undefined, StorageError> => {
    const path = join(directory, floorFile)
    let bytes: Uint8Array | undefined
    try {
      bytes = file.read(directory)
    } catch (cause) {
      return Effect.fail(new StorageIoError({ operation: "read", path, cause }))
    }
    if (bytes === undefined) return Effect.succeed(undefined)
    const point = decode(bytes)
    return point instanceof CodecError
      ? Effect.fail(
        new StorageCorruption({ path, detail: point.message, safe: "the database itself was not looked at" })
      )
      : Effect.succeed({
        index: LogIndex(point.index),
        term: Term(point.term),
        ...(point.vote === undefined ? {} : {
          vote: {
            term: Term(point.vote.term),
            votedFor: point.vote.votedFor === null ? undefined : NodeId(point.vote.votedFor)
          }
        })
      })
  })

/** Replaces the floor durably. */
export const writeFloor = (
  directory: string,
  { index, term, vote }: DurableFloor
): Effect.Effect<void, StorageError> =>
  Effect.flatMap(FloorFile, (file) =>
    file.replace(
      directory,
      encodeRecord({
        index,
        term,
        ...(vote === undefined ? {} : { vote: { term: vote.term, votedFor: vote.votedFor ?? null } })
      })
    ))
