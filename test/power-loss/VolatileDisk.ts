/**
 * What of a data directory would be there after a power loss, by what its process asked of the system. Nothing is durable
 * because it was written: the bytes of a file are once a sync of the file that began later has succeeded, and a name, its
 * removal or its change once a sync of the directory has.
 *
 * The directory has to be flat and its files may only grow; anything else is an error here, not an inexact image.
 */
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
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
   */
  | "some"

interface File {
  /** Bytes it has. */
  size: number
  /** Bytes that would be there. */
  synced: number
  /** Names it has had, the first one first. */
  readonly names: Array<string>
}

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
      this.named.set(name, { size: stat.size, synced: stat.size, names: [name] })
    }
    this.durable = new Map(this.named)
  }

  /** What a file has and what of it is durable, for tests. */
  describe(): ReadonlyArray<string> {
    const name = (names: ReadonlyMap<string, File>) =>
      [...names].map(([path, { size, synced }]) => `${path} ${synced}/${size}`).sort()
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
    const { size } = file
    this.begun.set(call, () => {
      file.synced = Math.max(file.synced, Math.min(size, file.size))
    })
  }

  /** A call ended, with success: calls that failed changed nothing. */
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
            this.rename([[name, { size: 0, synced: 0, names: [name] }]])
          }
        } else if (call.text.includes("O_TRUNC")) {
          file.size = 0
          file.synced = 0
        }
        return
      }
      case "write":
      case "writev": {
        const file = this.fileAt(path)
        if (file !== undefined) file.size += call.result
        return
      }
      case "pwrite64":
      case "pwritev": {
        const file = this.fileAt(path)
        if (file === undefined) return
        const offset = Number(/, (\d+)$/.exec(call.text)?.[1])
        if (!(offset >= file.synced)) throw new Error(`bytes that were synced are written over: ${call.text}`)
        file.size = Math.max(file.size, offset + call.result)
        return
      }
      case "ftruncate": {
        const file = this.fileAt(path)
        if (file === undefined) return
        file.size = Number(/, (\d+)$/.exec(call.text)?.[1])
        file.synced = Math.min(file.synced, file.size)
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
      const { size } = statSync(path)
      const synced = Math.min(file.synced, size)
      const kept = loss === "all" ? synced : synced + random.below(size - synced + 1)
      if (kept < size) {
        truncateSync(path, kept)
        files++
      }
      bytes += size - kept
      if (kept > synced && name.endsWith(".log") && random.chance(0.5)) damage(path, synced, kept, random)
    }
    rmSync(this.directory, { recursive: true })
    renameSync(image, this.directory)
    return { bytes, files, names }
  }

  /** Takes note of what unfinished calls have done to names. */
  private meetDirectory(): void {
    const found = new Set(readdirSync(this.directory))
    for (const [name, { size }] of this.named) {
      if (!found.has(name)) this.rename([[name, undefined]])
      else if (statSync(join(this.directory, name)).size < size) {
        throw new Error(`the calls do not fit the directory: they wrote ${size} bytes to ${name}`)
      }
    }
    for (const name of found) {
      if (!this.named.has(name)) this.rename([[name, { size: 0, synced: 0, names: [name] }]])
    }
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

/** Zeros or noise from somewhere in the part that was not synced: pages that were never written, or written by half. */
const damage = (path: string, from: number, to: number, random: Random): void => {
  const start = from + random.below(to - from)
  const zeros = random.chance(0.5)
  const bytes = Buffer.alloc(Math.min(to - start, 64 * 1024))
  if (!zeros) { for (let i = 0; i < bytes.byteLength; i++) bytes[i] = random.below(256) }
  const file = openSync(path, "r+")
  try {
    writeSync(file, bytes, 0, bytes.byteLength, start)
  } finally {
    closeSync(file)
  }
}
