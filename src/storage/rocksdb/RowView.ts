/**
 * The rows of a state family as they were at one time: a snapshot of the store, and above it the rows dirty at that
 * time. It keeps those batches for itself, so a batch that is flushed meanwhile may leave the cache.
 *
 * The batch that was being flushed is in the snapshot or it is not; either way its rows above the snapshot are the
 * right ones. Of the batch that commits go on changing, the view takes the versions up to its own commit.
 */
import type { DirtyRows, Version } from "./DirtyRows.ts"
import type { RangeOptions, Row } from "./Reader.ts"
import { keyOf, textOf } from "./RowText.ts"
import { keysIn } from "./SortedKeys.ts"

/** A snapshot of the store. */
export interface StoreSnapshot {
  readonly read: (keys: ReadonlyArray<Uint8Array>) => Promise<ReadonlyArray<Uint8Array | undefined>>
  /** Rows in order until the range, the limit or `take` ends it. */
  readonly scan: (range: RangeOptions, take: (row: Row) => boolean) => Promise<void>
  readonly close: () => Promise<void>
}

export type Values = Array<Uint8Array | undefined>

/** Most rows of a later page of a merged scan. */
const maxPageRows = 512

const empty = new Uint8Array(0)

export class RowView {
  /** The last commit that it sees. */
  readonly commit: number
  private readonly dirty: DirtyRows
  private readonly flushing: DirtyRows | undefined
  private readonly store: StoreSnapshot
  private readonly closed: (view: RowView) => void

  constructor(
    commit: number,
    dirty: DirtyRows,
    flushing: DirtyRows | undefined,
    store: StoreSnapshot,
    closed: (view: RowView) => void
  ) {
    this.commit = commit
    this.dirty = dirty
    this.flushing = flushing
    this.store = store
    this.closed = closed
  }

  async getMany(keys: ReadonlyArray<Uint8Array>): Promise<Values> {
    const values: Values = new Array(keys.length)
    const missing: Array<number> = []
    for (let i = 0; i < keys.length; i++) {
      const version = this.dirtyVersion(textOf(keys[i] as Uint8Array))
      if (version === undefined) missing.push(i)
      else values[i] = version.value
    }
    if (missing.length === 0) return values
    const read = await this.store.read(missing.map((i) => keys[i] as Uint8Array))
    for (let i = 0; i < missing.length; i++) values[missing[i] as number] = read[i]
    return values
  }

  /** Rows in order until the range, the limit or `take` ends it: `take` answers whether to go on after a row. */
  async scan(range: RangeOptions, take: (row: Row) => boolean): Promise<void> {
    const { keysOnly = false, limit = Number.MAX_SAFE_INTEGER, reverse = false } = range
    const dirty = this.dirtyIn(range, reverse)
    let next = dirty.next().value
    if (next === undefined) return this.store.scan(range, take)
    let left = limit
    const give = (row: Row): boolean => {
      left -= 1
      return take(row) && left > 0
    }
    const giveDirty = ({ key, value }: DirtyEntry): boolean =>
      value === undefined || give({ key, value: keysOnly ? empty : value })
    const merge = (row: Row): boolean => {
      const text = next === undefined ? "" : textOf(row.key)
      while (next !== undefined && (reverse ? next.text > text : next.text < text)) {
        const before = next
        next = dirty.next().value
        if (!giveDirty(before)) return false
      }
      if (next === undefined || next.text !== text) return give(row)
      const instead = next
      next = dirty.next().value
      return giveDirty(instead)
    }
    if (!await this.storeInPages({ ...range, limit, reverse }, merge)) return
    while (next !== undefined && giveDirty(next)) next = dirty.next().value
  }

  async close(): Promise<void> {
    this.closed(this)
    await this.store.close()
  }

  private dirtyVersion(text: string): Version | undefined {
    return this.dirty.versionAt(text, this.commit) ?? this.flushing?.newest(text)
  }

  /** The dirty rows of a range that this view sees, deleted ones too. */
  private *dirtyIn({ gte, lt }: RangeOptions, reverse: boolean): Generator<DirtyEntry, undefined> {
    const { dirty, flushing } = this
    const runs = [...dirty.sortedRuns(), ...flushing?.sortedRuns() ?? []]
    for (const text of keysIn(runs, { gte: textOf(gte), lt: textOf(lt), reverse })) {
      const version = this.dirtyVersion(text)
      if (version === undefined) continue
      yield { text, key: keyOf(text), value: version.value }
    }
    return undefined
  }

  /**
   * Rows of the store. Some are hidden by deletions, so the store is asked again until the reader has enough; each time
   * for a page, because it reads as many rows ahead as it may, whatever their size. Answers whether `take` wants more.
   */
  private async storeInPages(
    range: RangeOptions & { readonly limit: number; readonly reverse: boolean },
    take: (row: Row) => boolean
  ): Promise<boolean> {
    let { gte, limit: page, lt } = range
    while (Buffer.compare(gte, lt) < 0) {
      let rows = 0
      let last: Uint8Array = empty
      let goesOn = true
      await this.store.scan({ ...range, gte, lt, limit: page }, (row) => {
        rows += 1
        last = row.key
        return goesOn = take(row)
      })
      if (!goesOn || rows < page) return goesOn
      if (range.reverse) lt = last
      else gte = Buffer.concat([last, Uint8Array.of(0)])
      page = Math.max(page, Math.min(maxPageRows, 2 * page))
    }
    return true
  }
}

interface DirtyEntry {
  readonly text: string
  readonly key: Uint8Array
  readonly value: Uint8Array | undefined
}
