/**
 * The database of one process on a {@link SimDisk}: what `storage/rocksdb/RocksDb.ts` makes of RocksDB, with its
 * single write gate, at the pace and with the failures that the simulation draws.
 */
import { Effect } from "effect"
import type { Operation } from "../../../src/storage/rocksdb/Operation.ts"
import type { FamilyChoice, Reader } from "../../../src/storage/rocksdb/Reader.ts"
import type { RocksDb } from "../../../src/storage/rocksdb/RocksDb.ts"
import type { Family } from "../../../src/storage/rocksdb/Operation.ts"
import { DiskWork } from "../../../src/storage/DiskWork.ts"
import { FirstFailure } from "../../../src/storage/FirstFailure.ts"
import type { StorageError } from "../../../src/storage/StorageError.ts"
import { StorageIoError } from "../../../src/storage/StorageError.ts"
import type { Image, SimBatch, StoredRow } from "./SimDisk.ts"
import { find, nameOf, SimDisk, withBatch } from "./SimDisk.ts"
import type { SimProcess } from "../engine/SimProcess.ts"

/** How a disk is doing. Changed by the simulation while nodes use it. */
export interface DiskHealth {
  readonly writeMs: () => number
  readonly syncMs: () => number
  readonly readMs: () => number
  /** Told of a sync that begins while of some write not all may be kept. */
  readonly tearable: () => void
  /** Decides whether the next write or sync fails, and with which words. */
  readonly failure: (operation: "write" | "commit" | "sync" | "floor") => string | undefined
}

type Step =
  | {
    readonly _tag: "Write"
    readonly batch: SimBatch
    /** Whether memory had it before, so that reads see it already. */
    readonly seen: boolean
  }
  /** `flush` makes the write-ahead log into tables. */
  | { readonly _tag: "Sync"; readonly flush: boolean }

interface Job {
  readonly steps: ReadonlyArray<Step>
  readonly resume: (result: Effect.Effect<void, StorageError>) => void
}

const sync: Step = { _tag: "Sync", flush: false }
const flush: Step = { _tag: "Sync", flush: true }

/** How long a commit may wait to be written with those after it, as in `storage/rocksdb/WriteBackCache.ts`. */
const delayMs = 2_000

export class SimEngine {
  private readonly disk: SimDisk
  private readonly process: SimProcess
  private readonly health: DiskHealth
  private readonly path: string
  private readonly completes: (index: number, digest: number) => void
  private readonly jobs: Array<Job> = []
  private busy = false
  private readonly first: FirstFailure
  private lazyUnsynced = false
  private openReads = 0
  /** Commits that only memory has, by family. The process's end takes them along. */
  private gathered = new Map<Family, Array<Operation>>()
  /** What reads see while some commits are only in memory, or being written to the disk. */
  private seen: Image | undefined
  /** Batches of commits that are being written to the disk. */
  private leaving = 0
  private readonly readsWaited: Array<() => void> = []

  /** `completes` is called with every state that a batch completes. */
  constructor(
    disk: SimDisk,
    process: SimProcess,
    health: DiskHealth,
    path: string,
    completes: (index: number, digest: number) => void
  ) {
    this.disk = disk
    this.completes = completes
    this.process = process
    this.health = health
    this.path = path
    this.first = new FirstFailure(path)
  }

  /** Why nothing is written any more. */
  private get failure(): StorageError | undefined {
    return this.first.error
  }

  /**
   * RocksDB writes what it recovers into tables, and syncs those, before it opens
   * (`test/storage/durability.test.ts`). Until that has ended, a process before this one may have left what a loss of
   * power still takes away.
   */
  get open(): Effect.Effect<RocksDb["Service"], StorageError> {
    return Effect.map(this.enqueue([flush]), () => this.service)
  }

  /** What reads see. */
  get image(): Image {
    return this.seen ?? this.disk.image
  }

  private enqueue(steps: ReadonlyArray<Step>): Effect.Effect<void, StorageError> {
    return Effect.uninterruptible(Effect.callback<void, StorageError>((resume) => this.push({ steps, resume })))
  }

  private push(job: Job): void {
    this.jobs.push(job)
    if (!this.busy) this.nextJob()
  }

  private nextJob(): void {
    const job = this.jobs.shift()
    this.busy = job !== undefined
    if (job !== undefined) this.step(job, 0)
  }

  /** Carries out the steps from `at` on. Writes of one job take no time of their own before a sync. */
  private step(job: Job, at: number): void {
    if (this.failure !== undefined) return this.finish(job, Effect.fail(this.failure))
    const { disk, health, process } = this
    for (let next = at; next < job.steps.length; next++) {
      const planned = job.steps[next] as Step
      // Two lazy batches in a row could end in two files, of which a power loss keeps the later one.
      const syncsFirst = planned._tag === "Write" && planned.batch.lazy && this.lazyUnsynced
      const step = syncsFirst ? sync : planned
      const failure = health.failure(step._tag === "Sync" ? "sync" : step.seen ? "commit" : "write")
      if (failure !== undefined) {
        process.later(health.writeMs(), () => this.fail(job, failure))
        return
      }
      if (step._tag === "Write") {
        const state = disk.apply(step.batch)
        if (step.batch.lazy) this.lazyUnsynced = true
        if (this.seen !== undefined && !step.seen) this.seen = withBatch(this.seen, step.batch)
        if (state !== undefined) this.completes(state.index, state.digest)
        continue
      }
      const { image } = disk
      const syncedBatches = disk.unsynced.length
      if (disk.unsynced.some(({ goesOn }) => goesOn === true)) health.tearable()
      process.later(health.syncMs(), () => {
        if (step.flush) disk.flushed(image, syncedBatches)
        else disk.synced(image, syncedBatches)
        this.lazyUnsynced = false
        this.step(job, syncsFirst ? next : next + 1)
      })
      return
    }
    if (job.steps[job.steps.length - 1]?._tag === "Sync") this.finish(job, Effect.void)
    else process.later(health.writeMs(), () => this.finish(job, Effect.void))
  }

  private fail(job: Job, words: string): void {
    const error = new StorageIoError({ operation: "write", path: this.path, cause: new Error(words) })
    this.first.record(error)
    this.finish(job, Effect.fail(error))
  }

  private finish(job: Job, result: Effect.Effect<void, StorageError>): void {
    this.busy = false
    job.resume(result)
    if (!this.busy) this.nextJob()
  }

  private steps(batch: SimBatch, seen = false): ReadonlyArray<Step> {
    const steps: Array<Step> = [{ _tag: "Write", batch, seen }]
    if (!batch.lazy) steps.push(sync)
    return steps
  }

  /** Takes a commit into memory; what gathered is written a little later. */
  private commit(
    family: Family,
    rows: ReadonlyArray<Operation>,
    end?: () => ReadonlyArray<Operation>
  ): Effect.Effect<void, StorageError> {
    return Effect.suspend(() => {
      if (this.failure !== undefined) return Effect.fail(this.failure)
      const operations = end === undefined ? rows : [...rows, ...end()]
      const gathered = this.gathered.get(family)
      if (gathered === undefined) {
        this.gathered.set(family, [...operations])
        this.process.later(delayMs, () => this.leave())
      } else gathered.push(...operations)
      this.seen = withBatch(this.image, { family, operations, lazy: true })
      return operations.some(({ _tag }) => _tag === "DeleteRange") ? this.drained : Effect.void
    })
  }

  /** Begins to write what gathered to the disk. */
  private leave(): void {
    const { gathered } = this
    this.gathered = new Map()
    for (const [family, operations] of gathered) {
      this.leaving += 1
      this.push({
        steps: this.steps({ family, operations, lazy: true }, true),
        resume: () => {
          this.leaving -= 1
          this.settle()
        }
      })
    }
  }

  /** Once the disk has every commit, reads see what it has. */
  private settle(): void {
    if (this.leaving === 0 && this.gathered.size === 0 && this.failure === undefined) this.seen = undefined
  }

  /** Everything committed before is on the disk. */
  private readonly drained: Effect.Effect<void, StorageError> = Effect.suspend(() => {
    this.leave()
    if (this.failure !== undefined) return Effect.fail(this.failure)
    return this.leaving === 0 ? Effect.void : this.enqueue([])
  })

  private write(family: Family, operations: ReadonlyArray<Operation>, lazy: boolean) {
    return Effect.andThen(
      this.drained,
      Effect.suspend(() => this.enqueue(this.steps({ family, operations, lazy })))
    )
  }

  private read<A>(image: () => Image, use: (image: Image) => A, counted: boolean): Effect.Effect<A, StorageError> {
    return Effect.callback<A, StorageError>((resume) => {
      let result: Effect.Effect<A, StorageError>
      try {
        result = Effect.succeed(use(image()))
      } catch (error) {
        if (!(error instanceof StorageIoError)) throw error
        this.first.record(error)
        result = Effect.fail(error)
      }
      const delayMs = this.health.readMs()
      if (delayMs === 0) return resume(result)
      if (counted) this.openReads += 1
      this.process.later(delayMs, () => {
        if (counted) this.readEnded()
        resume(result)
      })
    })
  }

  private readEnded(): void {
    this.openReads -= 1
    if (this.openReads === 0) { for (const settled of this.readsWaited.splice(0)) settled() }
  }

  /** RocksDB notices damage by the checksums of its blocks. */
  private intact(family: Family, row: StoredRow): StoredRow {
    if (!this.disk.damaged.has(`${family}/${row.name}`)) return row
    throw new StorageIoError({ operation: "read", path: this.path, cause: new Error("block checksum mismatch") })
  }

  private reader(image: () => Image, counted: boolean): Reader {
    const chosen = (family: FamilyChoice): Family => typeof family === "function" ? family() : family
    const value = (from: Image, family: Family, key: Uint8Array | string): Uint8Array | undefined => {
      const row = find(from[family], nameOf(key))
      return row === undefined ? undefined : this.intact(family, row).value
    }
    return {
      get: (family, key) => this.read(image, (from) => value(from, chosen(family), key), counted),
      getMany: (family, keys) =>
        keys.length === 0
          ? Effect.succeed([])
          : this.read(image, (from) => keys.map((key) => value(from, chosen(family), key)), counted),
      scan: (family, range, take) =>
        this.read(image, (from) => {
          const name = chosen(family)
          for (const row of SimDisk.rows(from[name], range)) {
            this.intact(name, row)
            if (!take(range.keysOnly === true ? { key: row.key, value: nothing } : row)) break
          }
        }, counted)
    }
  }

  private get service(): RocksDb["Service"] {
    const { disk } = this
    return {
      ...this.reader(() => this.image, true),
      commit: (family, operations, end) => this.commit(family, operations, end),
      view: (choice) =>
        Effect.suspend(() => {
          if (this.failure !== undefined) return Effect.fail(this.failure)
          const { image } = this
          const { getMany, scan } = this.reader(() => image, false)
          const family = typeof choice === "function" ? choice() : choice
          return Effect.succeed({
            getMany: (keys) => getMany(family, keys),
            scan: (range, take) => scan(family, range, take),
            close: Effect.void
          })
        }),
      path: this.path,
      failure: this.first,
      work: new DiskWork(this.path, this.first),
      write: (family, operations, durability) => this.write(family, operations, durability === "lazy"),
      writeAll: (batches) =>
        Effect.suspend(() => {
          const steps: Array<Step> = []
          const unsynced = new Set<Family>()
          for (const [at, { family, operations }] of batches.entries()) {
            if (unsynced.has(family)) {
              steps.push(sync)
              unsynced.clear()
            }
            steps.push({
              _tag: "Write",
              batch: { family, operations, lazy: false, goesOn: at + 1 < batches.length },
              seen: false
            })
            unsynced.add(family)
          }
          steps.push(sync)
          return this.enqueue(steps)
        }),
      sync: Effect.andThen(this.drained, Effect.suspend(() => this.enqueue([sync]))),
      snapshot: (also) =>
        Effect.map(this.drained, () => {
          const { image } = disk
          return { also: also(), reader: this.reader(() => image, false), close: Effect.void }
        }),
      readsSettled: Effect.callback<void>((resume) => {
        if (this.openReads === 0) resume(Effect.void)
        else this.readsWaited.push(() => resume(Effect.void))
      }),
      approximateBytes: (family, start, end) =>
        this.read(() => this.image, (from) => {
          let bytes = 0
          for (const { key, value } of SimDisk.rows(from[family], { gte: start, lt: end })) {
            bytes += key.byteLength + value.byteLength
          }
          return bytes
        }, true),
      flush: () => Effect.void,
      removeRange: (family, start, end) => this.write(family, [{ _tag: "DeleteRange", start, end }], false),
      reclaimUnsafe: () => {},
      compact: () => Effect.void,
      syncStats: () => ({ count: 0, totalMs: 0, maxMs: 0 })
    }
  }
}

const nothing = new Uint8Array(0)
