/**
 * Writes one segment: entries go to its end, and a sync makes them durable. On a disk that syncs fast both happen on
 * the calling thread (`SyncPace.ts`): a lone write then takes no trip to the thread pool, and otherwise one.
 *
 * A sync does not notice that the file was removed, and the next start would not find it. So each one ends with a look
 * whether the file is still known by its path.
 */
import { closeSync, fdatasync as fdatasyncCallback, fdatasyncSync, ftruncate, write, writeSync } from "node:fs"
import { rename } from "node:fs/promises"
import { basename, dirname } from "node:path"
import { promisify } from "node:util"
import { isAt } from "../FileIdentity.ts"
import { syncFolderAsync } from "../Folder.ts"
import { lostFrom } from "../StorageError.ts"
import type { SyncCount } from "../SyncCount.ts"
import type { SyncPace } from "../SyncPace.ts"
import type { EmptyFile } from "./EmptyFile.ts"
import type { Segment } from "./Segment.ts"
import { encodeHeader } from "./SegmentFormat.ts"

const fdatasync = promisify(fdatasyncCallback)
const truncate = promisify(ftruncate)
const writeOnPool = promisify(write)

/** More than this is written on the thread pool: it would hold up the thread for about a millisecond. */
const maxBytesOnThread = 1024 * 1024

/** What the segments of a log share about their syncs. */
export interface Syncs {
  readonly count: SyncCount
  readonly pace: SyncPace
  /** `false` leaves them out: benchmarks only. */
  readonly enabled: boolean
}

export class SegmentWriter {
  readonly segment: Segment
  private file: EmptyFile
  private readonly syncs: Syncs
  private end = 0
  private synced = 0
  private closed = false

  constructor(file: EmptyFile, segment: Segment, syncs: Syncs) {
    this.file = file
    this.segment = segment
    this.syncs = syncs
  }

  /** Bytes that fit behind what was written. */
  get room(): number {
    return this.file.capacity - this.end
  }

  /** Begins the file. Durable with the first sync. */
  writeHeader(): Promise<void> {
    return this.write(encodeHeader(this.segment.sequence, this.segment.base))
  }

  /** Whether so many bytes fit, and are few enough to be written on this thread. */
  takes(bytes: number): boolean {
    return bytes <= this.room && bytes <= maxBytesOnThread
  }

  /** Writes `bytes` to the end, not durably. */
  async write(bytes: Uint8Array): Promise<void> {
    const { descriptor } = this.file
    for (let from = 0; from < bytes.byteLength;) {
      const { bytesWritten } = await writeOnPool(descriptor, bytes, from, bytes.byteLength - from, this.end)
      from += bytesWritten
      this.end += bytesWritten
    }
  }

  /**
   * Writes `bytes` to the end on this thread, which is a copy into the memory of the system, and syncs: `undefined`
   * when that is done already.
   */
  writeDurably(bytes: Uint8Array): Promise<void> | undefined {
    const { descriptor } = this.file
    for (let from = 0; from < bytes.byteLength;) {
      const written = writeSync(descriptor, bytes, from, bytes.byteLength - from, this.end)
      from += written
      this.end += written
    }
    if (!this.syncs.pace.isFast) return this.sync()
    const sinceMs = performance.now()
    if (this.syncs.enabled) fdatasyncSync(descriptor)
    this.wasSynced(this.end, sinceMs)
    return undefined
  }

  /** Makes durable what was written. */
  async sync(): Promise<void> {
    const { end } = this
    if (end === this.synced) return
    const sinceMs = performance.now()
    if (this.syncs.enabled) await fdatasync(this.file.descriptor)
    this.wasSynced(end, sinceMs)
  }

  /** Gives the file, which has another name so far, the name `path` in the same folder, durably. */
  async rename(path: string): Promise<void> {
    await rename(this.file.path, path)
    await syncFolderAsync(dirname(path))
    this.file = { ...this.file, path }
  }

  /** The last call but `close`: makes everything durable, and gives back the length that was not used. */
  async finish(): Promise<void> {
    await this.sync()
    await truncate(this.file.descriptor, this.end)
    this.close()
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    closeSync(this.file.descriptor)
  }

  private wasSynced(end: number, sinceMs: number): void {
    this.synced = end
    const elapsedMs = performance.now() - sinceMs
    this.syncs.pace.took(elapsedMs)
    this.syncs.count.took(elapsedMs)
    const { identity, path } = this.file
    if (this.syncs.enabled && !isAt(path, identity)) {
      throw lostFrom(dirname(path), basename(path))
    }
  }
}
