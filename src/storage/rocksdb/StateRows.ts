/**
 * The rows of one state family as memory knows them: those that were committed and are not written yet, and those used
 * lately. A commit is done as soon as it is here, so that nobody who waits for an answer waits for RocksDB; what
 * gathered is written a little later, many commits in one batch.
 *
 * Nothing is risked by that: the applied state is computed from the log, which is durable before a command is applied,
 * and a batch always holds whole commits together with the applied index they end at. After a crash the state is a
 * prefix of the commits, as before, and the rest is applied again. Whoever removes what it would be applied from
 * has to `drain` first; `Writes.ts` does so before every write that is not an append to the log.
 */
import type { Operation } from "./Operation.ts"

/** What RocksDB does for the rows. */
export interface RowStore {
  /** One atomic batch, in the order of the calls. */
  readonly write: (operations: ReadonlyArray<Operation>) => Promise<void>
  /** Values of one moment. */
  readonly read: (keys: ReadonlyArray<Uint8Array>) => Promise<ReadonlyArray<Uint8Array | undefined>>
}

export interface RowLimits {
  /** Bytes of rows that are kept because they were used lately. The oldest go first. */
  readonly maxBytes: number
  /** Milliseconds that a commit may wait to be written with those after it. */
  readonly delayMs: number
  /** Rows that are written without waiting for more; commits wait while four times as many are unwritten. */
  readonly batchRows: number
  /** The same for bytes. */
  readonly batchBytes: number
}

export const defaultRowLimits: RowLimits = {
  maxBytes: 16 * 1024 * 1024,
  delayMs: 20,
  batchRows: 1_000,
  batchBytes: 1024 * 1024
}

interface Row {
  readonly key: Uint8Array
  /** `undefined` when the store has no such row. */
  value: Uint8Array | undefined
  /** How many batches hold it: the one that gathers, the one that is being written. Never let go before 0. */
  unwritten: number
  /** Whether it was asked for since eviction last came by. */
  used: boolean
}

/** Bytes of a row's objects beside its key and value. */
const rowOverhead = 160

const bytesOf = ({ key, value }: Row): number => rowOverhead + 2 * key.byteLength + (value?.byteLength ?? 0)

/** The share of its limit to which the memory of rows shrinks at a time, so that eviction is rare. */
const shrinkTo = 15 / 16

/** Times a read is repeated because something was written meanwhile, before writing has to wait for it. */
const patience = 3

/** A key as a map's key: one character for each byte. */
const textOf = (key: Uint8Array): string =>
  (key instanceof Buffer ? key : Buffer.from(key.buffer, key.byteOffset, key.byteLength)).toString("latin1")

type Values = Array<Uint8Array | undefined>

export class StateRows {
  private readonly store: RowStore
  private readonly limits: RowLimits
  /**
   * What was asked for, by key, in the order in which eviction comes by. What is only written, like history, is not kept here.
   */
  private readonly rows = new Map<string, Row>()
  private bytes = 0
  /** The next batch. */
  private gathering = new Map<string, Row>()
  private gatheringBytes = 0
  /** The batch that is being written. */
  private leaving: ReadonlyMap<string, Row> = new Map()
  private writing: Promise<void> | undefined
  /** A commit that goes around the rows, see `commitThrough`. */
  private through: Promise<void> | undefined
  /** Batches written so far: as long as it stands, everything that changed since is among the rows. */
  private written = 0
  private timer: NodeJS.Timeout | undefined
  private failure: unknown

  constructor(store: RowStore, limits: RowLimits) {
    this.store = store
    this.limits = limits
  }

  /** Takes a commit. A promise only when it has to wait: for room, or because it removes a range. */
  commit(operations: ReadonlyArray<Operation>): Promise<void> | undefined {
    if (this.failure !== undefined) return Promise.reject(this.failure)
    if (operations.some(({ _tag }) => _tag === "DeleteRange")) return this.commitThrough(operations)
    for (const operation of operations) this.take(operation)
    this.writeSoon()
    return this.holds(4) ? this.writing : undefined
  }

  /** Values of one moment. A promise only when a row is not in memory. */
  getMany(keys: ReadonlyArray<Uint8Array>): Values | Promise<Values> {
    const values: Values = new Array(keys.length)
    return this.lookUp(keys, values).length === 0 ? values : this.readMissing(keys, values)
  }

  /** Writes everything that was committed before the call. */
  async drain(): Promise<void> {
    if (this.through !== undefined) await this.through
    const { gathering } = this
    if (this.writing !== undefined) await this.writing
    // By now somebody else may have begun to write what gathered.
    if (gathering !== this.gathering) await this.writing
    else if (gathering.size > 0) await this.writeGathered()
    if (this.failure !== undefined) throw this.failure
  }

  /** Forgets what the store has too, because something else has written there. */
  forget(): void {
    this.written += 1
    for (const [text, row] of this.rows) {
      if (row.unwritten === 0) this.remove(text, row)
    }
  }

  /** Fills in what memory knows and returns the places of the rest. */
  private lookUp(keys: ReadonlyArray<Uint8Array>, values: Values): Array<number> {
    const missing: Array<number> = []
    for (let i = 0; i < keys.length; i++) {
      const text = textOf(keys[i] as Uint8Array)
      let row = this.rows.get(text)
      if (row === undefined) {
        row = this.gathering.get(text) ?? this.leaving.get(text)
        if (row === undefined) {
          missing.push(i)
          continue
        }
        this.add(text, row)
      }
      row.used = true
      values[i] = row.value
    }
    return missing
  }

  /**
   * While the store is read, commits go on. They are among the rows, which are looked at again when the values are there;
   * only if a batch was written meanwhile, the store may have told of some of it and not of the rest.
   */
  private async readMissing(keys: ReadonlyArray<Uint8Array>, values: Values): Promise<Values> {
    for (let attempt = 1;; attempt++) {
      const busy = this.through ?? (attempt > patience ? this.writing : undefined)
      if (busy !== undefined) {
        await busy
        continue
      }
      if (this.failure !== undefined) throw this.failure
      const missing = this.lookUp(keys, values)
      if (missing.length === 0) return values
      const { written } = this
      const reading = this.store.read(missing.map((i) => keys[i] as Uint8Array))
      if (attempt > patience) this.holdWritesUntil(reading)
      const read = await reading
      if (written !== this.written || this.through !== undefined) continue
      for (let i = 0; i < missing.length; i++) {
        const at = missing[i] as number
        this.learn(keys[at] as Uint8Array, read[i])
        values[at] = read[i]
      }
      this.lookUp(keys, values)
      this.evict()
      return values
    }
  }

  /** Otherwise a disk that reads slowly and a state that changes fast would keep a reader for ever. */
  private holdWritesUntil(reading: Promise<unknown>): void {
    const ended = (): void => {
      this.writing = undefined
      this.writeSoon()
    }
    this.writing = reading.then(ended, ended)
  }

  private learn(key: Uint8Array, value: Uint8Array | undefined): void {
    const text = textOf(key)
    if (this.rows.has(text) || this.gathering.has(text) || this.leaving.has(text)) return
    this.add(text, { key, value, unwritten: 0, used: true })
  }

  private take(operation: Operation): void {
    if (operation._tag === "DeleteRange" || typeof operation.key === "string") throw new TypeError("not a row")
    const { key } = operation
    const value = operation._tag === "Put" ? operation.value : undefined
    const text = textOf(key)
    const kept = this.rows.get(text)
    const gathered = this.gathering.get(text)
    const row = gathered ?? kept ?? { key, value, unwritten: 0, used: false }
    if (kept !== undefined) this.bytes += (value?.byteLength ?? 0) - (row.value?.byteLength ?? 0)
    row.value = value
    this.gatheringBytes += value?.byteLength ?? 0
    if (gathered !== undefined) return
    this.gathering.set(text, row)
    row.unwritten += 1
  }

  /**
   * A range is removed rarely, and memory could not tell what is in it: what was committed before is written first, then
   * this commit itself.
   */
  private async commitThrough(operations: ReadonlyArray<Operation>): Promise<void> {
    const work = async (): Promise<void> => {
      await this.drain()
      await this.store.write(operations)
      this.forget()
    }
    const running = work().catch((error: unknown) => {
      this.failure = error
      throw error
    })
    this.through = running.catch(() => undefined).finally(() => {
      this.through = undefined
    })
    return running
  }

  /** Whether so many full batches gathered. */
  private holds(batches: number): boolean {
    const { batchBytes, batchRows } = this.limits
    return this.gathering.size >= batches * batchRows || this.gatheringBytes >= batches * batchBytes
  }

  /** Writes when a batch is full, or when its first commit has waited long enough. */
  private writeSoon(): void {
    if (this.writing !== undefined || this.gathering.size === 0) return
    // A failure is kept, and whoever comes next learns of it.
    if (this.holds(1)) return void this.writeGathered().catch(() => undefined)
    this.timer ??= setTimeout(() => {
      this.timer = undefined
      if (this.writing === undefined) void this.writeGathered().catch(() => undefined)
    }, this.limits.delayMs)
  }

  /** Writes what gathered. Not while a batch is being written. */
  private writeGathered(): Promise<void> {
    clearTimeout(this.timer)
    this.timer = undefined
    const batch = this.gathering
    this.gathering = new Map()
    this.gatheringBytes = 0
    this.leaving = batch
    const operations: Array<Operation> = []
    for (const { key, value } of batch.values()) {
      operations.push(value === undefined ? { _tag: "Delete", key } : { _tag: "Put", key, value })
    }
    const writing = this.store.write(operations).then(() => this.done(batch), (error: unknown) => {
      this.writing = undefined
      this.failure = error
      throw error
    })
    this.writing = writing
    return writing
  }

  private done(batch: ReadonlyMap<string, Row>): void {
    this.writing = undefined
    this.leaving = new Map()
    this.written += 1
    for (const row of batch.values()) row.unwritten -= 1
    this.evict()
    this.writeSoon()
  }

  private add(text: string, row: Row): void {
    this.rows.set(text, row)
    this.bytes += bytesOf(row)
  }

  private remove(text: string, row: Row): void {
    this.rows.delete(text)
    this.bytes -= bytesOf(row)
  }

  /**
   * Lets go of rows once they are too many, in the order of their coming, but gives one that was used since the last time, or
   * is not written yet, another round. (The CLOCK algorithm: using a row costs nothing, where keeping the order of use exact
   * would move it each time.)
   */
  private evict(): void {
    const { maxBytes } = this.limits
    if (this.bytes <= maxBytes) return
    let left = 2 * this.rows.size
    for (const [text, row] of this.rows) {
      if (row.used || row.unwritten > 0) {
        row.used = false
        this.rows.delete(text)
        this.rows.set(text, row)
      } else this.remove(text, row)
      left -= 1
      if (left === 0 || this.bytes <= maxBytes * shrinkTo) return
    }
  }
}
