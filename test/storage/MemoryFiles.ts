/**
 * Files in memory, for `vi.mock`: one folder on a disk that keeps nothing for certain but what was synced. A power loss
 * takes any part of the writes, lengths and names that no sync covered. A sync that fails leaves what it was about to the
 * memory of the system, and no later one makes it durable (fsyncgate, 2018). Calls of a process that was killed never
 * come back.
 */
import { Buffer } from "node:buffer"
import { promisify } from "node:util"
import type { Random } from "../simulation/Random.ts"

/** What changes a file: bytes at a place, or its length. */
type Change =
  | { readonly _tag: "Write"; readonly at: number; readonly bytes: Buffer }
  | { readonly _tag: "Truncate"; readonly size: number }

/** What changes the names of the folder. */
interface Naming {
  readonly removed: string | undefined
  readonly added: readonly [name: string, file: MemoryFile] | undefined
}

const changed = (before: Buffer, change: Change): Buffer => {
  const size = change._tag === "Truncate"
    ? change.size
    : Math.max(before.byteLength, change.at + change.bytes.byteLength)
  const after = Buffer.alloc(size)
  before.copy(after, 0, 0, Math.min(before.byteLength, size))
  if (change._tag === "Write") change.bytes.copy(after, change.at)
  return after
}

class MemoryFile {
  readonly ino: number
  bytes: Buffer = Buffer.alloc(0)
  private durable: Buffer = this.bytes
  private unsynced: Array<Change> = []

  constructor(ino: number) {
    this.ino = ino
  }

  change(change: Change): void {
    this.bytes = changed(this.bytes, change)
    this.unsynced.push(change)
  }

  sync(): void {
    for (const change of this.unsynced) this.durable = changed(this.durable, change)
    this.unsynced = []
  }

  /** The system drops what it could not write, and says so once. */
  failSync(): void {
    this.unsynced = []
  }

  lose(random: Random, kept: number): void {
    for (const change of this.unsynced) {
      if (!random.chance(kept)) continue
      const whole = change._tag === "Truncate" || random.chance(0.5)
      this.durable = changed(
        this.durable,
        whole ? change : { ...change, bytes: change.bytes.subarray(0, random.below(change.bytes.byteLength + 1)) }
      )
    }
    this.unsynced = []
    this.bytes = this.durable
  }
}

/** What is to happen at one of the calls that change something. */
export type Fault = "kill before" | "kill after" | "fail"

export class Killed extends Error {}

const systemError = (code: string, path: string): Error => Object.assign(new Error(`${code}: ${path}`), { code, path })

export class MemoryFolder {
  readonly path = "/memory"
  private names = new Map<string, MemoryFile>()
  private durableNames = new Map<string, MemoryFile>()
  private namings: Array<Naming> = []
  private readonly opened = new Map<number, MemoryFile | "folder">()
  private lastInode = 0
  private lastDescriptor = 100
  private readonly random: Random
  /** The process that runs now. */
  private life = 0
  private callsLeft = Infinity
  private fault: Fault = "fail"
  /** Told when the process is killed in a call. */
  private killed: () => void = () => {}
  /** No process runs. */
  isGone = true
  /** The call at which something was to happen has come. */
  hasFailed = false

  constructor(random: Random) {
    this.random = random
  }

  /** A process begins, to which `fault` happens in its call number `calls`. */
  begin(calls: number, fault: Fault): Promise<void> {
    this.life += 1
    this.callsLeft = calls
    this.fault = fault
    this.hasFailed = false
    this.isGone = false
    this.opened.clear()
    return new Promise((resolve) => {
      this.killed = resolve
    })
  }

  /** The process is gone, whatever it was doing. Waits until nothing of it goes on. */
  async end(): Promise<void> {
    this.gone()
    await new Promise((resolve) => setImmediate(resolve))
  }

  private gone(): void {
    this.life += 1
    this.isGone = true
  }

  /** `kept` is how likely something stays that no sync covered. */
  losePower(kept: number): void {
    const { random } = this
    for (const { added, removed } of this.namings) {
      if (!random.chance(kept)) continue
      if (removed !== undefined) this.durableNames.delete(removed)
      if (added !== undefined) this.durableNames.set(...added)
    }
    this.namings = []
    this.names = new Map(this.durableNames)
    for (const file of new Set(this.names.values())) file.lose(random, kept)
  }

  get list(): ReadonlyArray<string> {
    return [...this.names.keys()].sort()
  }

  /** Does what changes something, unless something happens to it. */
  private call(path: string, work: () => void, failed: () => void = () => {}): void {
    if (this.isGone) throw new Killed()
    this.callsLeft -= 1
    if (this.callsLeft !== 0) return work()
    this.hasFailed = true
    if (this.fault === "fail") {
      failed()
      throw systemError("EIO", path)
    }
    if (this.fault === "kill after") work()
    this.gone()
    this.killed()
    throw new Killed()
  }

  /** The same on the thread pool: it ends some turns later, and never for a process that is gone. */
  private async pooled<A>(work: () => A): Promise<A> {
    const { isGone, life } = this
    if (isGone) return new Promise(() => {})
    for (let turns = this.random.below(4); turns > 0; turns--) await Promise.resolve()
    if (this.life !== life) return new Promise(() => {})
    const result = work()
    await Promise.resolve()
    return this.life === life ? result : new Promise(() => {})
  }

  private nameOf(path: string): string {
    return path.slice(this.path.length + 1)
  }

  private fileAt(path: string): MemoryFile {
    const file = this.names.get(this.nameOf(path))
    if (file === undefined) throw systemError("ENOENT", path)
    return file
  }

  private fileOf(descriptor: number): MemoryFile {
    const file = this.opened.get(descriptor)
    if (file === undefined || file === "folder") throw systemError("EBADF", String(descriptor))
    return file
  }

  private name(naming: Naming): void {
    if (naming.removed !== undefined) this.names.delete(naming.removed)
    if (naming.added !== undefined) this.names.set(...naming.added)
    this.namings.push(naming)
  }

  private syncFolder(): void {
    this.call(this.path, () => {
      this.durableNames = new Map(this.names)
      this.namings = []
    })
  }

  private open(path: string, flags: string): number {
    this.lastDescriptor += 1
    if (flags === "wx") {
      const name = this.nameOf(path)
      if (this.names.has(name)) throw systemError("EEXIST", path)
      const file = new MemoryFile(this.lastInode += 1)
      this.call(path, () => this.name({ removed: undefined, added: [name, file] }))
      this.opened.set(this.lastDescriptor, file)
    } else this.opened.set(this.lastDescriptor, path === this.path ? "folder" : this.fileAt(path))
    return this.lastDescriptor
  }

  private sync(descriptor: number): void {
    const file = this.fileOf(descriptor)
    this.call(String(descriptor), () => file.sync(), () => file.failSync())
  }

  private write(descriptor: number, bytes: Uint8Array, from: number, length: number, at: number): number {
    const file = this.fileOf(descriptor)
    const some = this.random.chance(0.1) && length > 1 ? 1 + this.random.below(length) : length
    const written = Buffer.from(bytes.subarray(from, from + some))
    this.call(String(descriptor), () => file.change({ _tag: "Write", at, bytes: written }))
    return some
  }

  private read(descriptor: number, into: Uint8Array, to: number, length: number, at: number): number {
    return this.fileOf(descriptor).bytes.copy(into, to, at, at + length)
  }

  private statOf({ bytes, ino }: MemoryFile) {
    return { dev: 1, ino, size: bytes.byteLength }
  }

  /** What stands for `node:fs`. */
  get files() {
    const withDone = <A>(work: (...parts: Array<never>) => A) => (...parts: Array<unknown>): void => {
      const done = parts.pop() as (error: unknown, result?: A) => void
      this.pooled(() => work(...parts as Array<never>)).then((result) => done(null, result), done)
    }
    const write = (descriptor: number, bytes: Uint8Array, from: number, length: number, at: number) =>
      this.pooled(() => ({ bytesWritten: this.write(descriptor, bytes, from, length, at) }))
    return {
      readdirSync: () => this.list,
      openSync: (path: string, flags: string) => this.open(path, flags),
      closeSync: (descriptor: number) => void this.opened.delete(descriptor),
      readSync: (...parts: Parameters<MemoryFolder["read"]>) => this.read(...parts),
      writeSync: (...parts: Parameters<MemoryFolder["write"]>) => this.write(...parts),
      fsyncSync: (descriptor: number) => this.sync(descriptor),
      fdatasyncSync: (descriptor: number) => this.sync(descriptor),
      fstatSync: (descriptor: number) => this.statOf(this.fileOf(descriptor)),
      statSync: (path: string) => {
        const file = this.names.get(this.nameOf(path))
        return file === undefined ? undefined : this.statOf(file)
      },
      open: withDone((path: string, flags: string) => this.open(path, flags)),
      ftruncate: withDone((descriptor: number, size: number) => {
        const file = this.fileOf(descriptor)
        this.call(String(descriptor), () => file.change({ _tag: "Truncate", size }))
      }),
      fsync: withDone((descriptor: number) => this.sync(descriptor)),
      fdatasync: withDone((descriptor: number) => this.sync(descriptor)),
      write: Object.assign(() => {}, { [promisify.custom]: write })
    }
  }

  /** What stands for `node:fs/promises`. */
  get promises() {
    return {
      open: async (path: string, flags: string) => {
        const descriptor = await this.pooled(() => this.open(path, flags))
        const synced = () =>
          this.pooled(() => this.opened.get(descriptor) === "folder" ? this.syncFolder() : this.sync(descriptor))
        return {
          stat: () => this.pooled(() => this.statOf(this.fileOf(descriptor))),
          read: (into: Uint8Array, to: number, length: number, at: number) =>
            this.pooled(() => ({ bytesRead: this.read(descriptor, into, to, length, at) })),
          sync: synced,
          datasync: synced,
          close: () => this.pooled(() => void this.opened.delete(descriptor))
        }
      },
      rename: (from: string, to: string) =>
        this.pooled(() => {
          const file = this.fileAt(from)
          this.call(from, () => this.name({ removed: this.nameOf(from), added: [this.nameOf(to), file] }))
        }),
      unlink: (path: string) =>
        this.pooled(() => {
          this.fileAt(path)
          this.call(path, () => this.name({ removed: this.nameOf(path), added: undefined }))
        })
    }
  }
}
