/**
 * What of a data directory would be there after a power loss, by what its process asked of the system. Nothing is durable
 * because it was written: the bytes of a file are once a sync of the file that began later has succeeded, and a name, its
 * removal or its change once a sync of the directory has.
 *
 * A sync of a file that failed leaves its pages for written, though they are not: a later one succeeds and makes durable
 * none of the bytes that the failed one should have (fsyncgate, 2018), nor any behind them.
 *
 * A file grows by what is written to its end, or it is lengthened first, in zeros, and written within that. Its length is
 * durable for itself then. It may be cut, to no less than was synced.
 *
 * The directory has to be flat, and what was synced is never written over; anything else is an error here, not an inexact
 * image.
 */
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync
} from "node:fs"
import { closeSync, openSync, writeSync } from "node:fs"
import { dirname, join } from "node:path"
import type { Random } from "../simulation/Random.ts"
import type { Call } from "./SystemCalls.ts"

/** What is kept of that which was not durable. */
export type Loss =
  /** Nothing. */
  | "all"
  /**
   * Of each file a random part, of the names a random selection. The tails of some logs are zeros or noise, as after a torn
   * write; other files are only cut, because RocksDB does not open a database whose manifest ends in anything else. File
   * systems that grow a file after its bytes are written (ext4 by default, XFS, Btrfs) leave no such tail.
   *
   * Within a length that a file had before, the system writes pages down in any order: each is kept, or zeros as before.
   */
  | "some"

interface File {
  /** Bytes it has. */
  size: number
  /** Where what was written ends. Zeros are behind it. */
  written: number
  /** Bytes that would be there as they were written. */
  synced: number
  /** Bytes that a sync can make durable: one that failed leaves the others for written. */
  durableAtMost: number
  /** Bytes that it would have. */
  syncedSize: number
  /** Its length was not only that of what was written. */
  lengthened: boolean
  /** Names it has had, the first one first. */
  readonly names: Array<string>
}

const durableFile = (name: string, size: number): File => ({
  size,
  written: size,
  synced: size,
  durableAtMost: Infinity,
  syncedSize: size,
  lengthened: false,
  names: [name]
})

const newFile = (name: string): File => durableFile(name, 0)

/** Names that change at one moment; `undefined` means the name is gone. */
type Renaming = ReadonlyArray<readonly [name: string, file: File | undefined]>

/** Keeps what a directory no longer names, by links to each file that appears in it. */
export interface Shadow {
  /** Where the contents of a file that had one of `names` are; not one of `others`. */
  readonly find: (names: ReadonlyArray<string>, others: ReadonlySet<number>) => string | undefined
}

/** What a loss took. */
export interface Losses {
  /** Bytes that were written and not synced. */
  readonly bytes: number
  /** Files that were cut. */
  readonly files: number
  /** Changes of names that were undone. */
  readonly names: number
}

export class VolatileDisk {
  private readonly directory: string
  private readonly named = new Map<string, File>()
  private readonly durable: Map<string, File>
  private pending: ReadonlyArray<Renaming> = []
  /** What was durable when a call began that has not ended. */
  private readonly begun = new Map<Call, () => void>()

  /** Takes everything that is in the directory for durable; one that does not exist yet holds nothing. */
  constructor(directory: string) {
    this.directory = directory
    for (const name of existsSync(directory) ? readdirSync(directory) : []) {
      const stat = statSync(join(directory, name))
      if (!stat.isFile()) throw new Error(`${name} in ${directory} is not a file`)
      this.named.set(name, durableFile(name, stat.size))
    }
    this.durable = new Map(this.named)
  }

  /** What a file has and what of it is durable, for tests. */
  describe(): ReadonlyArray<string> {
    const name = (names: ReadonlyMap<string, File>) =>
      [...names].map(([path, { lengthened, size, synced, syncedSize, written }]) =>
        `${path} ${synced}/${written}${lengthened ? ` in ${syncedSize}/${size}` : ""}`
      ).sort()
    return [`now: ${name(this.named).join(", ")}`, `durable: ${name(this.durable).join(", ")}`]
  }

  /** A call began: what it will have made durable is decided now. */
  begin(call: Call): void {
    if (call.name !== "fsync" && call.name !== "fdatasync") return
    const path = call.paths[0]
    if (path === this.directory) {
      const covered = this.pending
      this.begun.set(call, () => {
        for (const renaming of covered) if (this.pending.includes(renaming)) apply(this.durable, renaming)
        this.pending = this.pending.filter((renaming) => !covered.includes(renaming))
      })
      return
    }
    const file = this.fileAt(path)
    if (file === undefined) return
    const { size, written } = file
    this.begun.set(call, () => {
      file.synced = Math.max(file.synced, Math.min(written, file.written, file.durableAtMost))
      // `fdatasync` need not write a length down that no byte was written up to.
      file.syncedSize = Math.max(file.synced, call.name === "fsync" ? size : file.syncedSize)
    })
  }

  /** A call failed, which changed nothing, unless it was the sync of a file. */
  fail(call: Call): void {
    this.begun.delete(call)
    const file = call.name === "fsync" || call.name === "fdatasync" ? this.fileAt(call.paths[0]) : undefined
    if (file !== undefined) file.durableAtMost = file.synced
  }

  /** A call ended, with success. */
  end(call: Call): void {
    const [path, other] = call.paths
    switch (call.name) {
      case "fsync":
      case "fdatasync":
        this.begun.get(call)?.()
        this.begun.delete(call)
        return
      case "open":
      case "openat":
      case "creat": {
        const name = this.nameOf(path)
        if (name === undefined) return
        const file = this.named.get(name)
        if (file === undefined) {
          if (call.name === "creat" || call.text.includes("O_CREAT")) {
            this.rename([[name, newFile(name)]])
          }
        } else if (call.text.includes("O_TRUNC")) {
          Object.assign(file, {
            size: 0,
            written: 0,
            synced: 0,
            durableAtMost: Infinity,
            syncedSize: 0,
            lengthened: false
          })
        }
        return
      }
      case "write":
      case "writev": {
        const file = this.fileAt(path)
        if (file === undefined) return
        if (file.written < file.size) throw new Error(`a write to some place in a file with zeros: ${call.text}`)
        file.size += call.result
        file.written = file.size
        return
      }
      case "pwrite64":
      case "pwritev": {
        const file = this.fileAt(path)
        if (file === undefined) return
        const offset = Number(/, (\d+)$/.exec(call.text)?.[1])
        if (!(offset >= file.synced)) throw new Error(`bytes that were synced are written over: ${call.text}`)
        file.written = Math.max(file.written, offset + call.result)
        file.size = Math.max(file.size, file.written)
        return
      }
      case "ftruncate": {
        const file = this.fileAt(path)
        if (file === undefined) return
        const size = Number(/, (\d+)$/.exec(call.text)?.[1])
        if (!(size >= file.synced)) throw new Error(`bytes that were synced are cut off: ${call.text}`)
        if (size > file.size) file.lengthened = true
        file.size = size
        file.written = Math.min(file.written, size)
        return
      }
      case "fallocate":
        if (this.fileAt(path) !== undefined && !call.text.includes("KEEP_SIZE")) {
          throw new Error(`a file grows without a write: ${call.text}`)
        }
        return
      case "rename":
      case "renameat":
      case "renameat2": {
        const [from, to] = [this.nameOf(path), this.nameOf(other)]
        if (from === undefined && to === undefined) return
        const file = from === undefined ? undefined : this.named.get(from)
        if (from === undefined || to === undefined || file === undefined) {
          throw new Error(`a file comes or goes by a rename: ${call.text}`)
        }
        file.names.push(to)
        return this.rename([[from, undefined], [to, file]])
      }
      case "unlink":
      case "unlinkat": {
        const name = this.nameOf(path)
        if (name !== undefined) this.rename([[name, undefined]])
        return
      }
      default:
        if (call.paths.some((one) => this.nameOf(one) !== undefined)) {
          throw new Error(`not foreseen in a data directory: ${call.text}`)
        }
    }
  }

  /** The process has ended and its machine runs on: the next process finds whatever was written, durable or not. */
  outlive(): void {
    this.begun.clear()
    this.meetDirectory()
    for (const [name, file] of this.named) {
      const path = join(this.directory, name)
      const { size } = statSync(path)
      file.written = Math.max(file.written, file.lengthened ? usedBytes(readFileSync(path)) : size)
      file.size = size
    }
  }

  /**
   * Makes the directory what it would be after the loss. What calls did that had begun and not ended is not durable, so
   * whatever more the directory shows is lost or kept like the rest.
   */
  lose(loss: Loss, shadow: Shadow, random: Random): Losses {
    this.meetDirectory()
    const now = new Map([...this.named].map(([name, file]) => [file, join(this.directory, name)]))
    const present = new Set([...now.values()].map((path) => statSync(path).ino))
    let names = 0
    for (const renaming of this.pending) {
      const old = renaming.map(([name]) => this.durable.get(name))
      // What is gone for good cannot come back: then the change of its name was durable, which it may be.
      const gone = old.some((file) => file !== undefined && !now.has(file) && !find(shadow, file, present))
      if (gone || (loss === "some" && random.chance(0.5))) apply(this.durable, renaming)
      else names++
    }
    const image = `${this.directory}.image`
    mkdirSync(image)
    const taken = new Set<File>()
    let bytes = 0
    let files = 0
    for (const [name, file] of this.durable) {
      const path = join(image, name)
      const from = now.get(file) ?? find(shadow, file, present)
      if (from === undefined) throw new Error(`what ${name} held is gone`)
      // A selection of names may give a file two of them.
      if (taken.has(file)) copyFileSync(from, path)
      else linkSync(from, path)
      taken.add(file)
      const lost = (file.lengthened ? loseWithin : loseTail)(path, file, loss, random)
      if (lost > 0) files++
      bytes += lost
    }
    rmSync(this.directory, { recursive: true })
    renameSync(image, this.directory)
    return { bytes, files, names }
  }

  /** Takes note of what unfinished calls have done to names. */
  private meetDirectory(): void {
    const found = new Set(readdirSync(this.directory))
    for (const [name, { written }] of this.named) {
      if (!found.has(name)) this.rename([[name, undefined]])
      else if (statSync(join(this.directory, name)).size < written) {
        throw new Error(`the calls do not fit the directory: they wrote ${written} bytes to ${name}`)
      }
    }
    for (const name of found) if (!this.named.has(name)) this.rename([[name, newFile(name)]])
  }

  private rename(renaming: Renaming): void {
    apply(this.named, renaming)
    this.pending = [...this.pending, renaming]
  }

  private nameOf(path: string | undefined): string | undefined {
    return path !== undefined && dirname(path) === this.directory ? path.slice(this.directory.length + 1) : undefined
  }

  private fileAt(path: string | undefined): File | undefined {
    const name = this.nameOf(path)
    return name === undefined ? undefined : this.named.get(name)
  }
}

const apply = (names: Map<string, File>, renaming: Renaming): void => {
  for (const [name, file] of renaming) {
    if (file === undefined) names.delete(name)
    else names.set(name, file)
  }
}

const find = (shadow: Shadow, file: File, others: ReadonlySet<number>): string | undefined =>
  shadow.find(file.names, others)

/** Where the last byte that is not zero ends. */
const usedBytes = (bytes: Uint8Array): number => bytes.findLastIndex((byte) => byte !== 0) + 1

/** Takes from the end of a file that only grew. Answers how many bytes. */
const loseTail = (path: string, file: File, loss: Loss, random: Random): number => {
  const { size } = statSync(path)
  const synced = Math.min(file.synced, size)
  const kept = loss === "all" ? synced : synced + random.below(size - synced + 1)
  if (kept < size) truncateSync(path, kept)
  if (kept > synced && path.endsWith(".log") && random.chance(0.5)) damage(path, synced, kept, random)
  return size - kept
}

/** The length of a file that was lengthened or cut, after the loss: what was asked for at once is there at once. */
const lengthAfter = ({ syncedSize, written }: File, size: number, loss: Loss, random: Random): number => {
  if (loss === "all") return syncedSize
  if (random.chance(0.5)) return size
  return written > syncedSize ? syncedSize + random.below(written - syncedSize) : syncedSize
}

/** What a system writes down at once. */
const pageBytes = 4096

/** Takes from within a file that was lengthened: zeros are where a page is not kept. Answers how many bytes. */
const loseWithin = (path: string, file: File, loss: Loss, random: Random): number => {
  const { size } = statSync(path)
  const length = lengthAfter(file, size, loss, random)
  const bytes = readFileSync(path)
  // Also what was written by a call that never ended.
  const end = Math.max(file.synced, usedBytes(bytes))
  const tail = Buffer.from(bytes.subarray(file.synced, Math.min(end, length)))
  let lost = end - file.synced - tail.byteLength
  // Now and then none or all.
  const share = loss === "all" ? 0 : random.below(5) / 4
  let last: Buffer | undefined
  for (let from = file.synced; from < file.synced + tail.byteLength;) {
    const next = (Math.floor(from / pageBytes) + 1) * pageBytes
    const page = tail.subarray(from - file.synced, next - file.synced)
    if (random.chance(share)) last = page
    else {
      page.fill(0)
      lost += page.byteLength
    }
    from = next
  }
  if (last !== undefined && random.chance(0.25)) noise(last.subarray(random.below(last.byteLength)), random)
  truncateSync(path, Math.min(file.synced, length))
  truncateSync(path, length)
  writeAt(path, tail, file.synced)
  return lost
}

/** Zeros or noise from somewhere in the part that was not synced: pages that were never written, or written by half. */
const damage = (path: string, from: number, to: number, random: Random): void => {
  const start = from + random.below(to - from)
  const zeros = random.chance(0.5)
  const bytes = Buffer.alloc(Math.min(to - start, 64 * 1024))
  if (!zeros) noise(bytes, random)
  writeAt(path, bytes, start)
}

/** Bytes from the upper part of their range: RocksDB's recovery does not come back from all noise (`docs/bugs.md`). */
const noise = (bytes: Uint8Array, random: Random): void => {
  for (let i = 0; i < bytes.byteLength; i++) bytes[i] = 192 + random.below(64)
}

const writeAt = (path: string, bytes: Uint8Array, at: number): void => {
  const file = openSync(path, "r+")
  try {
    writeSync(file, bytes, 0, bytes.byteLength, at)
  } finally {
    closeSync(file)
  }
}
