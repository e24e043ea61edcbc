/**
 * Makes RocksDB's write-ahead log durable, because the binding has no option for it.
 *
 * `sync` covers every write that had finished when it was called. The file in use is kept open and synced on its own;
 * only when it no longer grew with a write, which means RocksDB began a new one, the folder is looked through:
 * each WAL since the last known one is synced, oldest first so that no hole can form, and then the folder itself,
 * because RocksDB creates a WAL without syncing the entry that names it.
 *
 * A file that was removed, or whose folder was, still takes writes and syncs; only its name is gone, and the next
 * start would not find it. So each sync ends with a look whether the file is still known by its path. (One `stat`.)
 *
 * Two syncs never run at once, and the first error is final: after a failed fsync the kernel may report success for
 * pages that never reached the disk.
 */
import {
  closeSync,
  fdatasync as fdatasyncCallback,
  fdatasyncSync,
  fstatSync,
  fsync as fsyncCallback,
  openSync,
  readdirSync
} from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { isMissing } from "../../ErrorCode.ts"
import type { FileIdentity } from "../FileIdentity.ts"
import { isAt, isSame } from "../FileIdentity.ts"
import type { StorageError } from "../StorageError.ts"
import { lostFrom } from "../StorageError.ts"
import type { SyncStats } from "../SyncCount.ts"
import { SyncCount } from "../SyncCount.ts"
import { SyncPace } from "../SyncPace.ts"

const fdatasync = promisify(fdatasyncCallback)
const fsync = promisify(fsyncCallback)

/** The part of the database that knows which WAL it writes. */
export interface WalSource {
  readonly path: string
  readonly currentWalFile: () => Promise<{ readonly number: number }>
}

const walName = /^(\d+)\.log$/

/** The name of a WAL by its number. */
export const walFile = (number: number): string => `${String(number).padStart(6, "0")}.log`

/** Attempts to learn the WAL in use: RocksDB asks for its size by name, and may delete it between the two. */
const maxAttempts = 3

export class WalSync {
  private readonly source: WalSource
  private readonly folder: number
  private readonly folderId: FileIdentity
  private readonly enabled: boolean
  private readonly counted: SyncCount
  private current = -1
  private currentId: FileIdentity = { dev: 0, ino: 0 }
  private currentNumber = 0
  private currentPath = ""
  /** Numbers of the WALs that were synced since the start. */
  readonly known = new Set<number>()
  private currentSize = 0
  private readonly pace = new SyncPace()
  /** True while the WAL in use is not known: at the start, and after a rotation. */
  private rotated = true

  /** `enabled: false` counts and does nothing else: benchmarks only. `onSync` gets the duration of every sync. */
  constructor(source: WalSource, enabled: boolean, onSync: (elapsedMs: number) => void = () => undefined) {
    this.source = source
    this.enabled = enabled
    this.counted = new SyncCount(onSync)
    this.folder = openSync(source.path, "r")
    this.folderId = fstatSync(this.folder)
  }

  /** The folder of the WALs. */
  get path(): string {
    return this.source.path
  }

  get stats(): SyncStats {
    return this.counted.stats
  }

  /** To be called after each finished batch, before the next one starts. */
  wrote(): void {
    if (this.rotated) return
    const { size } = fstatSync(this.current)
    if (size > this.currentSize) this.currentSize = size
    else this.rotated = true
  }

  async sync(): Promise<void> {
    const start = performance.now()
    if (this.enabled) {
      if (!this.rotated && this.pace.isFast) fdatasyncSync(this.current)
      else if (!this.rotated) await fdatasync(this.current)
      // RocksDB deletes a WAL too, once it has begun a new one and the data of the old one is in synced tables.
      if (this.rotated || !isAt(this.currentPath, this.currentId)) await this.syncSinceRotation()
    }
    const elapsed = performance.now() - start
    this.pace.took(elapsed)
    this.counted.took(elapsed)
  }

  /** Fails when the folder or the WAL in use is not where it was: the check of a sync, for when nothing is written. */
  async check(): Promise<void> {
    this.checkFolder()
    const { currentNumber: number, currentPath: path } = this
    if (this.rotated || isAt(path, this.currentId)) return
    if (await this.numberInUse() === number) throw this.lost(walFile(number))
  }

  close(): void {
    if (this.current >= 0) closeSync(this.current)
    this.current = -1
    closeSync(this.folder)
  }

  private async syncSinceRotation(): Promise<void> {
    for (;;) {
      const inUse = await this.numberInUse()
      const next = await this.syncWals(inUse)
      if (next < 0) {
        // RocksDB moved on meanwhile and has deleted the file it named; its data is in synced tables. Otherwise another
        // program has.
        if (await this.numberInUse() === inUse) throw this.lost(walFile(inUse))
        continue
      }
      const stat = fstatSync(next)
      const replaced = inUse === this.currentNumber && !isSame(stat, this.currentId)
      if (this.current >= 0) closeSync(this.current)
      this.current = next
      this.currentId = stat
      this.currentNumber = inUse
      this.currentPath = this.pathOf(inUse)
      this.currentSize = stat.size
      if (replaced) throw this.lost(walFile(inUse))
      this.checkFolder()
      if (!isAt(this.currentPath, stat)) continue
      this.rotated = false
      return
    }
  }

  /** Syncs each WAL since the last known one, and the folder. Keeps that in use open; -1 where it is gone. */
  private async syncWals(inUse: number): Promise<number> {
    let kept = -1
    try {
      for (const number of this.walsSince(this.currentNumber)) {
        const file = this.open(number)
        if (file < 0) continue
        if (number === inUse) kept = file
        try {
          await fdatasync(file)
        } finally {
          if (file !== kept) closeSync(file)
        }
        this.known.add(number)
      }
      await fsync(this.folder)
      return kept
    } catch (error) {
      if (kept >= 0) closeSync(kept)
      throw error
    }
  }

  private async numberInUse(): Promise<number> {
    for (let attempt = 1;; attempt++) {
      try {
        return (await this.source.currentWalFile()).number
      } catch (error) {
        if (attempt === maxAttempts || !isMissing(error)) throw error
      }
    }
  }

  private checkFolder(): void {
    if (!isAt(this.source.path, this.folderId)) throw this.lost("the directory itself")
  }

  private lost(what: string): StorageError {
    return lostFrom(this.source.path, what)
  }

  private pathOf(number: number): string {
    return join(this.source.path, walFile(number))
  }

  private walsSince(first: number): ReadonlyArray<number> {
    const numbers: Array<number> = []
    for (const name of readdirSync(this.source.path)) {
      const match = walName.exec(name)
      if (match !== null && Number(match[1]) >= first) numbers.push(Number(match[1]))
    }
    return numbers.sort((a, b) => a - b)
  }

  /** -1 when RocksDB deleted the file meanwhile, which it does only once its contents are in synced tables. */
  private open(number: number): number {
    try {
      return openSync(this.pathOf(number), "r")
    } catch (error) {
      if (isMissing(error)) return -1
      throw error
    }
  }
}
