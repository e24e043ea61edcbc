/**
 * Makes RocksDB's write-ahead log durable, because the binding has no option for it.
 *
 * `sync` covers every write that had finished when it was called. The file in use is kept open and synced on its own;
 * only when it no longer grew with a write, which means RocksDB began a new one, the folder is looked through:
 * each WAL since the last known one is synced, oldest first so that no hole can form, and then the folder itself,
 * because RocksDB creates a WAL without syncing the entry that names it.
 *
 * Two syncs never run at once, and the first error is final: after a failed fsync the kernel may report success for
 * pages that never reached the disk.
 */
import {
  closeSync,
  fdatasync as fdatasyncCallback,
  fstatSync,
  fsync as fsyncCallback,
  openSync,
  readdirSync
} from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"

const fdatasync = promisify(fdatasyncCallback)
const fsync = promisify(fsyncCallback)

/** The part of the database that knows which WAL it writes. */
export interface WalSource {
  readonly path: string
  readonly currentWalFile: () => Promise<{ readonly number: number }>
}

/** How much syncing was done, for metrics and benchmarks. */
export interface SyncStats {
  readonly count: number
  readonly totalMs: number
  readonly maxMs: number
}

const walName = /^(\d+)\.log$/

export class WalSync {
  private readonly source: WalSource
  private readonly folder: number
  private readonly enabled: boolean
  private readonly onSync: (elapsedMs: number) => void
  private current = -1
  private currentNumber = 0
  private currentSize = 0
  /** True while the WAL in use is not known: at the start, and after a rotation. */
  private rotated = true
  private count = 0
  private totalMs = 0
  private maxMs = 0

  /** `enabled: false` counts and does nothing else: benchmarks only. `onSync` is told of every sync. */
  constructor(source: WalSource, enabled: boolean, onSync: (elapsedMs: number) => void = () => undefined) {
    this.source = source
    this.enabled = enabled
    this.onSync = onSync
    this.folder = openSync(source.path, "r")
  }

  get stats(): SyncStats {
    return { count: this.count, totalMs: this.totalMs, maxMs: this.maxMs }
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
      if (this.rotated) await this.syncSinceRotation()
      else await fdatasync(this.current)
    }
    const elapsed = performance.now() - start
    this.count += 1
    this.totalMs += elapsed
    if (elapsed > this.maxMs) this.maxMs = elapsed
    this.onSync(elapsed)
  }

  close(): void {
    if (this.current >= 0) closeSync(this.current)
    this.current = -1
    closeSync(this.folder)
  }

  private async syncSinceRotation(): Promise<void> {
    for (;;) {
      const { number: inUse } = await this.source.currentWalFile()
      let next = -1
      for (const number of this.walsSince(this.currentNumber)) {
        const file = this.open(number)
        if (file < 0) continue
        try {
          await fdatasync(file)
        } catch (error) {
          closeSync(file)
          throw error
        }
        if (number === inUse) next = file
        else closeSync(file)
      }
      await fsync(this.folder)
      // RocksDB moved on meanwhile and has deleted the file it named; its data is in synced tables.
      if (next < 0) continue
      if (this.current >= 0) closeSync(this.current)
      this.current = next
      this.currentNumber = inUse
      this.currentSize = fstatSync(next).size
      this.rotated = false
      return
    }
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
      return openSync(join(this.source.path, `${String(number).padStart(6, "0")}.log`), "r")
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return -1
      throw error
    }
  }
}
