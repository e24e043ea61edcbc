/** How storage fails, by cause. Every one of these stops the node: storage is never retried. */
import { Data } from "effect"

/** The disk or RocksDB refused a read, write or sync. After a failed sync the file's state is unknown: never retry. */
export class StorageIoError extends Data.TaggedError("StorageIoError")<{
  /** What was being done: "append", "sync", "open", "read" … */
  readonly operation: string
  readonly path: string
  readonly cause: unknown
}> {
  override get message() {
    const cause = this.cause instanceof Error ? this.cause.message : String(this.cause)
    return `${this.operation} failed in ${this.path}: ${cause}. The node stops; check the disk (space, health), then start it again.`
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
    return `corrupt data in ${this.path}: ${this.detail}. Known to be safe: ${this.safe}. Do not delete anything; see deploy/runbooks/lost-node.md.`
  }
}

/** The data directory belongs to another cluster, node, voter set or format version, or another process holds it. */
export class DataDirRefused extends Data.TaggedError("DataDirRefused")<{
  readonly path: string
  readonly reason:
    | "cluster-id"
    | "node-id"
    | "voters"
    | "format-version"
    | "locked"
    | "not-a-directory"
    | "not-empty"
    | "foreign"
  readonly expected: string
  readonly found: string
  readonly hint: string
}> {
  override get message() {
    return `refused to open ${this.path} (${this.reason}): expected ${this.expected}, found ${this.found}. ${this.hint}`
  }
}

export type StorageError = StorageIoError | StorageCorruption
export type OpenError = StorageError | DataDirRefused
