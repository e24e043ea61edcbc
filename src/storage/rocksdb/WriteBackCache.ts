/**
 * The write-back cache of one state family: rows that were committed and are not in the store yet (dirty), and rows
 * that were read (clean). A commit is done as soon as it is here, so that no answer waits for RocksDB. Dirty rows stay
 * until they are old or many, because a row that is written again, or deleted, before that costs the store nothing.
 *
 * Nothing is risked by that: the applied state is computed from the log, which is durable before a command is applied,
 * and a batch always holds whole commits together with the applied index they end at. After a crash the state is a
 * prefix of the commits, and the rest is applied again: what was committed within `delayMs` and the time of a write,
 * or while five batches gathered, whichever is less. A caller that removes what it would be applied from has to `flush`
 * first; `Writes.ts` does so before every write that is not an append to the log.
 */
import { Slabs } from "../../bytes/Slab.ts"
import { CleanRows } from "./CleanRows.ts"
import { DirtyRows } from "./DirtyRows.ts"
import type { FilterLimits, KeyFilters } from "./KeyFilters.ts"
import type { ReadableStore } from "./LateSnapshot.ts"
import { LateSnapshot } from "./LateSnapshot.ts"
import type { Operation } from "./Operation.ts"
import { textOf } from "./RowText.ts"
import type { Values } from "./RowView.ts"
import { RowView } from "./RowView.ts"

/** What RocksDB does for the rows. */
export interface RowStore extends ReadableStore {
  /** One atomic batch, in the order of the calls. */
  readonly write: (operations: ReadonlyArray<Operation>) => Promise<void>
}

export interface CacheLimits {
  /** Bytes of rows that are kept because they were used lately. The oldest go first. */
  readonly maxBytes: number
  /** Milliseconds that a commit may wait to be written with those after it. */
  readonly delayMs: number
  /** Rows that are written without waiting for more; commits wait while four times as many are dirty. */
  readonly batchRows: number
  /** The same for bytes. */
  readonly batchBytes: number
  readonly filters: FilterLimits
}

/**
 * Rows whose values are small lie together in so many bytes, because an array of its own costs more than such a value.
 * The last of them keeps all of it, which is not much more than the objects of a row.
 */
const slabBytes = 1_024

export const defaultCacheLimits: CacheLimits = {
  maxBytes: 16 * 1024 * 1024,
  delayMs: 2_000,
  batchRows: 4_000,
  batchBytes: 4 * 1024 * 1024,
  filters: { misses: 1_000, keys: 2_000_000 }
}

export class WriteBackCache {
  readonly filters: KeyFilters
  private readonly store: RowStore
  private readonly limits: CacheLimits
  private readonly clean: CleanRows
  private readonly memory = new Slabs(slabBytes, slabBytes / 4)
  /** The next batch. */
  private dirty = new DirtyRows()
  /** The batch that is being written. */
  private flushing: DirtyRows | undefined
  private writing: Promise<void> | undefined
  /** Commits that take turns, because one of them goes around the cache; the last of them. */
  private turns: Promise<void> | undefined
  private commits = 0
  /** Open views, each with the snapshot of the store that it reads. */
  private readonly views = new Map<RowView, LateSnapshot>()
  /** Writes under way whose rows no batch here has: a view that is opened meanwhile needs a snapshot at once. */
  private writesAside = 0
  /** The last commit that any open view sees. */
  private newestView = 0
  /** Batches that began to be written. While it stands, a row that is not in memory stays as it is in the store. */
  private batches = 0
  /** The same of writes that are no batch. */
  private otherWrites = 0
  private timer: NodeJS.Timeout | undefined
  private failure: unknown

  constructor(store: RowStore, limits: CacheLimits, filters: KeyFilters) {
    this.filters = filters
    this.store = store
    this.limits = limits
    this.clean = new CleanRows(limits.maxBytes)
  }

  /**
   * Takes a commit. `end` makes the rows that say where the batch ends, and is asked when that is written. A promise
   * only when it has to wait: for room, or because a range is removed.
   */
  commit(operations: ReadonlyArray<Operation>, end?: () => ReadonlyArray<Operation>): Promise<void> | undefined {
    if (this.failure !== undefined) return Promise.reject(this.failure)
    const removesRange = operations.some(({ _tag }) => _tag === "DeleteRange")
    if (removesRange) return this.inTurn(() => this.commitThrough(operations, end))
    if (this.turns !== undefined) return this.inTurn(() => this.takeCommit(operations, end))
    return this.takeCommit(operations, end)
  }

  private takeCommit(
    operations: ReadonlyArray<Operation>,
    end: (() => ReadonlyArray<Operation>) | undefined
  ): Promise<void> | undefined {
    this.commits += 1
    for (const operation of operations) this.take(operation)
    this.dirty.endCommit(end)
    this.writeSoon()
    return this.holds(4) ? this.writing : undefined
  }

  /** Values of one snapshot, taken between the call and the answer. A promise only when a row is not in memory. */
  getMany(keys: ReadonlyArray<Uint8Array>): Values | Promise<Values> {
    const values: Values = new Array(keys.length)
    const missing = this.lookUp(keys, values)
    return missing === undefined ? values : this.readMissing(keys, values, missing)
  }

  /** The rows as they are now, until it is closed. */
  openView(): RowView {
    if (this.failure !== undefined) throw this.failure
    const snapshot = new LateSnapshot(this.store)
    if (this.writesAside > 0) snapshot.fix()
    const view = new RowView(this.commits, this.dirty, this.flushing, snapshot, (closed) => {
      this.views.delete(closed)
      this.newestView = 0
      for (const { commit } of this.views.keys()) this.newestView = Math.max(this.newestView, commit)
    })
    this.views.set(view, snapshot)
    this.newestView = view.commit
    return view
  }

  /** Writes everything that was committed before the call. */
  async flush(): Promise<void> {
    if (this.turns !== undefined) await this.turns
    await this.flushDirty()
  }

  /**
   * Has something else write to the store. Views that are open do not see it, and what is kept here of the store is
   * forgotten behind it.
   */
  async writeAside(write: () => Promise<void>): Promise<void> {
    await this.unseen(write)
    this.invalidate()
  }

  /** Forgets what the store has too, because something else has written there. */
  invalidate(): void {
    this.filters.clear()
    this.forgetClean()
  }

  /** Carries out a write that no open view sees, nor in part one that is opened meanwhile. */
  private async unseen(write: () => Promise<void>): Promise<void> {
    this.fixViews()
    this.writesAside += 1
    try {
      await write()
    } finally {
      this.writesAside -= 1
    }
  }

  private fixViews(): void {
    for (const snapshot of this.views.values()) snapshot.fix()
  }

  private forgetClean(): void {
    this.otherWrites += 1
    this.clean.clear()
  }

  /** Fills in what memory knows and returns the places of the rest, if any. */
  private lookUp(keys: ReadonlyArray<Uint8Array>, values: Values): Array<number> | undefined {
    let missing: Array<number> | undefined
    for (let i = 0; i < keys.length; i++) {
      const text = textOf(keys[i] as Uint8Array)
      let row = this.clean.use(text)
      if (row === undefined) {
        row = this.dirtyRow(text)
        if (row === undefined) {
          values[i] = undefined
          if (!this.filters.excludes(text)) (missing ??= []).push(i)
          continue
        }
        this.clean.add(text, row.value)
      }
      values[i] = row.value
    }
    return missing
  }

  private dirtyRow(text: string) {
    return this.dirty.newest(text) ?? this.flushing?.newest(text)
  }

  /**
   * The rest comes from the store, which has it as it was at the call, unless a batch with later commits has begun to
   * be written meanwhile. That is rare; then a view reads all keys again, because nothing can change what it sees.
   */
  private async readMissing(
    keys: ReadonlyArray<Uint8Array>,
    values: Values,
    missing: ReadonlyArray<number>
  ): Promise<Values> {
    if (this.turns !== undefined) {
      await this.turns
      return this.getMany(keys)
    }
    if (this.failure !== undefined) throw this.failure
    const { batches, commits, otherWrites } = this
    const read = await this.store.read(missing.map((i) => keys[i] as Uint8Array))
    // A batch without a commit since the call has none of these rows: they would have been dirty.
    const overtaken = batches !== this.batches && commits !== this.commits || otherWrites !== this.otherWrites
    if (overtaken) return this.readInView(keys)
    for (let i = 0; i < missing.length; i++) {
      const at = missing[i] as number
      const text = textOf(keys[at] as Uint8Array)
      if (read[i] === undefined) this.filters.missed(text)
      this.populate(text, read[i])
      values[at] = read[i]
    }
    this.clean.evict()
    return values
  }

  private async readInView(keys: ReadonlyArray<Uint8Array>): Promise<Values> {
    const view = this.openView()
    // It was overtaken once, and must not be again.
    this.views.get(view)?.fix()
    try {
      return await view.getMany(keys)
    } finally {
      await view.close()
    }
  }

  /** Keeps what the store has, unless memory knows something newer. */
  private populate(text: string, value: Uint8Array | undefined): void {
    if (!this.clean.has(text) && this.dirtyRow(text) === undefined) this.clean.add(text, value)
  }

  private take(operation: Operation): void {
    if (operation._tag === "DeleteRange" || typeof operation.key === "string") throw new TypeError("not a row")
    const value = operation._tag === "Put" ? this.ownMemory(operation.value) : undefined
    const text = textOf(operation.key)
    const wasAbsent = this.clean.update(text, value) ?? this.notCleanWasAbsent(text, value)
    this.filters.change(text, wasAbsent, value !== undefined)
    if (this.dirty.replace(text, value, this.commits, this.newestView)) return
    // As the store will be after the batch that is being written.
    this.dirty.add(text, value, this.commits, wasAbsent === true)
  }

  /** Whether there is no row, one that is not clean and becomes `value`; `undefined` where only the store knows. */
  private notCleanWasAbsent(text: string, value: Uint8Array | undefined): boolean | undefined {
    const row = this.dirtyRow(text)
    if (row !== undefined) return row.value === undefined
    if (!this.filters.excludes(text)) return undefined
    // Rows like this one are read, and it would be clean if this one had been.
    if (value !== undefined) this.clean.add(text, value)
    return true
  }

  /** Runs a commit after those that wait already. */
  private inTurn(commit: () => Promise<void> | undefined): Promise<void> {
    const turn = (this.turns ?? Promise.resolve()).then(() => {
      if (this.failure !== undefined) throw this.failure
      return commit()
    })
    const settled: Promise<void> = turn.catch(() => undefined).then(() => {
      if (this.turns === settled) this.turns = undefined
    })
    this.turns = settled
    return turn
  }

  /**
   * A range is removed rarely, and memory could not tell what is in it: what was committed before is written first,
   * then this commit itself.
   */
  private async commitThrough(
    operations: ReadonlyArray<Operation>,
    end: (() => ReadonlyArray<Operation>) | undefined
  ): Promise<void> {
    try {
      await this.flushDirty()
      this.commits += 1
      this.otherWrites += 1
      for (const operation of operations) {
        if (operation._tag === "Put") this.filters.change(textOf(operation.key as Uint8Array), undefined, true)
      }
      await this.unseen(() => this.store.write(end === undefined ? operations : [...operations, ...end()]))
      this.forgetClean()
    } catch (error) {
      this.failure = error
      throw error
    }
  }

  /** Whether so many full batches are dirty. */
  private holds(batches: number): boolean {
    const { batchBytes, batchRows } = this.limits
    return this.dirty.writes >= batches * batchRows || this.dirty.bytes >= batches * batchBytes
  }

  /** Writes when a batch is full, or when its first commit has waited long enough. */
  private writeSoon(): void {
    if (this.writing !== undefined || this.dirty.isEmpty) return
    // A failure is kept, and the next call fails with it.
    if (this.holds(1)) return void this.writeDirty().catch(() => undefined)
    this.timer ??= setTimeout(() => {
      this.timer = undefined
      if (this.writing === undefined) void this.writeDirty().catch(() => undefined)
    }, this.limits.delayMs)
  }

  private async flushDirty(): Promise<void> {
    const { dirty } = this
    if (this.writing !== undefined) await this.writing
    // By now somebody else may have begun to write it.
    if (dirty !== this.dirty) await this.writing
    else if (!dirty.isEmpty) await this.writeDirty()
    if (this.failure !== undefined) throw this.failure
  }

  /** Writes what is dirty. Not while a batch is being written. */
  private writeDirty(): Promise<void> {
    clearTimeout(this.timer)
    this.timer = undefined
    const batch = this.dirty
    this.dirty = new DirtyRows()
    this.flushing = batch
    this.batches += 1
    const writing = this.writeBatch(batch).then(() => this.done(), (error: unknown) => {
      this.writing = undefined
      this.failure = error
      throw error
    })
    this.writing = writing
    return writing
  }

  /** A view that is opened from here on has the rows of the batch above the store. */
  private async writeBatch(batch: DirtyRows): Promise<void> {
    this.fixViews()
    await this.store.write(batch.operations())
  }

  /**
   * A value in memory that only rows share. One from the pool of `Buffer` would keep the 64 KiB that it shares with
   * others, for as long as the row is in memory.
   */
  private ownMemory(value: Uint8Array): Uint8Array {
    if (value.buffer.byteLength <= 2 * value.byteLength) return value
    const own = this.memory.allocate(value.byteLength)
    own.set(value)
    return own
  }

  private done(): void {
    this.writing = undefined
    this.flushing = undefined
    this.clean.evict()
    this.writeSoon()
  }
}
