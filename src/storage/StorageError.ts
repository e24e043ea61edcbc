/** How storage fails, by cause. Every one of these stops the node: storage is never retried. */
import { existsSync } from "node:fs"
import { Data } from "effect"
import { errorText } from "../ErrorText.ts"
import { isMissing } from "../ErrorCode.ts"

/** What helps, by what the system says, in its own words or as a code; RocksDB passes the words on. */
const remedies: ReadonlyArray<readonly [pattern: RegExp, remedy: string]> = [
  [
    /\bEROFS\b|read-only file system/i,
    "mount the file system writable; the system's log (dmesg) says whether a failing disk made it read-only"
  ],
  [/\bENOSPC\b|\bEDQUOT\b|no space left|quota exceeded/i, "make room on the disk, or give it more"],
  [/\bE[MN]FILE\b|too many open files/i, "raise the limit on open files (ulimit -n, LimitNOFILE)"]
]

/** What helps against a failure of the disk, if that is known. `forbidden` is what does where rights are missing. */
export const remedyFor = (said: string, forbidden: string): string | undefined =>
  /\bEACCES\b|\bEPERM\b|permission denied|operation not permitted/i.test(said)
    ? forbidden
    : remedies.find(([pattern]) => pattern.test(said))?.[1]

/** The disk or RocksDB refused a read, write or sync. After a failed sync the file's state is unknown: never retry. */
export class StorageIoError extends Data.TaggedError("StorageIoError")<{
  /** What was being done: "append", "sync", "open", "read" … */
  readonly operation: string
  readonly path: string
  readonly cause: unknown
}> {
  override get message() {
    const cause = this.cause instanceof Error ? this.cause.message : String(this.cause)
    // A node stops with it; restore, drill and reclaim end with it as well.
    const forbidden = "give the directory and all its files to the user that this runs as (chown -R), or run it as " +
      "their user"
    const remedy = remedyFor(cause, forbidden) ?? "check the disk (space, health)"
    return `${this.operation} failed in ${this.path}: ${cause}. To go on, ${remedy}, and start again.`
  }
}

/** What is on disk contradicts itself: a bad checksum, a gap, a log that ends before its durable floor. */
export class StorageCorruption extends Data.TaggedError("StorageCorruption")<{
  readonly path: string
  /** Which file, family or index is bad and what was found. */
  readonly detail: string
  /** What is known to be intact. */
  readonly safe: string
}> {
  override get message() {
    return `corrupt data in ${this.path}: ${this.detail}. Known to be safe: ${this.safe}. ` +
      "Do not delete anything; see deploy/runbooks/lost-node.md."
  }
}

/** Files of the running node were removed, moved or replaced by another program, or its data directory was. */
export class DataDirLost extends Data.TaggedError("DataDirLost")<{
  readonly path: string
  /** Which file or folder is not where it was. */
  readonly detail: string
}> {
  override get message() {
    return `the data directory ${this.path} was removed, moved or replaced while the node runs: ${this.detail}. ` +
      "The node stops, because a start would not find what it writes. Move the directory back before the next start " +
      "if it still exists; see deploy/runbooks/lost-node.md."
  }
}

/**
 * The data directory belongs to another cluster, node, voter set, format version or state machine, or another process
 * holds it.
 */
export class DataDirRefused extends Data.TaggedError("DataDirRefused")<{
  readonly path: string
  readonly reason:
    | "cluster-id"
    | "node-id"
    | "voters"
    | "machine"
    | "format-version"
    | "feature-level"
    | "locked"
    | "not-a-directory"
    | "not-empty"
    | "unusable-file"
    | "nothing-applied"
    | "nothing-replaced"
    | "foreign"
  readonly expected: string
  readonly found: string
  readonly hint: string
}> {
  override get message() {
    return `refused to open ${this.path} (${this.reason}): expected ${this.expected}, found ${this.found}. ${this.hint}`
  }
}

/** A folder cannot be created. */
export class FolderError extends Data.TaggedError("FolderError")<{
  /** The folder that was asked for. */
  readonly path: string
  /** Why there is none, in words. */
  readonly problem: string
}> {
  override get message() {
    return `cannot create the folder ${this.path}: ${this.problem}. Give another one, or make room for this one.`
  }
}

/** RocksDB itself cannot be loaded into this process. */
export class NativeModuleError extends Data.TaggedError("NativeModuleError")<{
  /** Why not, and what to do about it. */
  readonly problem: string
  readonly cause: unknown
}> {
  override get message() {
    return `RocksDB (rocksdb-native) cannot be loaded: ${this.problem}`
  }
}

/** How reading or writing fails while a node runs. Each of these stops it. */
export type StorageError = StorageIoError | StorageCorruption | DataDirLost

export const isStorageError = (error: unknown): error is StorageError =>
  error instanceof StorageIoError || error instanceof StorageCorruption || error instanceof DataDirLost

/** The file system, or RocksDB in its words, says that a file or folder does not exist. */
const namesMissing = (cause: unknown): boolean =>
  cause instanceof Error && (isMissing(cause) || namesMissing(cause.cause))

/** `name` is missed in a data directory. Often all of it is gone, which says more than the file that shows it first. */
export const lostFrom = (path: string, name: string): DataDirLost =>
  new DataDirLost({ path, detail: `${existsSync(path) ? name : "the directory itself"} is not there any more` })

/** Why an operation in the data directory of a running node failed. */
export const failureIn = (operation: string, path: string, cause: unknown): StorageError => {
  if (isStorageError(cause)) return cause
  const inner = cause instanceof Error && cause.cause !== undefined ? cause.cause : cause
  if (!namesMissing(cause)) return new StorageIoError({ operation, path, cause: inner })
  return existsSync(path) ? new DataDirLost({ path, detail: errorText(inner) }) : lostFrom(path, "a file")
}

export type OpenError = StorageError | DataDirRefused | FolderError | NativeModuleError
