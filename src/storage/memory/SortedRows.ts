/**
 * Rows of the state in byte order of their keys, in memory. A value: a change makes a new one that shares what it left
 * alone, so a view keeps its rows for nothing, and a change costs what it touches and not all rows.
 */
import type { StateRow } from "../../protocol/StateRows.ts"
import type { StateChange } from "../StateStore.ts"

/** Most rows of a block: what a change copies, beside the list of blocks. */
const blockRows = 256

type Block = ReadonlyArray<StateRow>

/** Where a row is: its block, and its place there. */
interface Position {
  readonly block: number
  readonly row: number
}

/** The first of `count` places whose key is not below `key`. */
const firstNotBelow = (count: number, keyAt: (place: number) => Uint8Array, key: Uint8Array): number => {
  let low = 0
  let high = count
  while (low < high) {
    const middle = (low + high) >>> 1
    if (Buffer.compare(keyAt(middle), key) < 0) low = middle + 1
    else high = middle
  }
  return low
}

/** `rows` as blocks, none of them empty or too large. */
const blocksOf = (rows: Block): ReadonlyArray<Block> => {
  if (rows.length === 0) return []
  if (rows.length <= blockRows) return [rows]
  const blocks: Array<Block> = []
  // Half full: the next rows beside these have room.
  for (let start = 0; start < rows.length; start += blockRows / 2) blocks.push(rows.slice(start, start + blockRows / 2))
  return blocks
}

export class SortedRows {
  static readonly empty = new SortedRows([])

  private readonly blocks: ReadonlyArray<Block>

  private constructor(blocks: ReadonlyArray<Block>) {
    this.blocks = blocks
  }

  /** Of rows in any order, no key twice. */
  static from(rows: ReadonlyArray<StateRow>): SortedRows {
    return new SortedRows(blocksOf([...rows].sort((a, b) => Buffer.compare(a.key, b.key))))
  }

  get length(): number {
    return this.blocks.reduce((sum, block) => sum + block.length, 0)
  }

  get(key: Uint8Array): Uint8Array | undefined {
    const { block, row } = this.position(key)
    const found = this.blocks[block]?.[row]
    return found !== undefined && Buffer.compare(found.key, key) === 0 ? found.value : undefined
  }

  /** All rows in order. */
  *[Symbol.iterator](): IterableIterator<StateRow> {
    for (const block of this.blocks) yield* block
  }

  /** The rows from `gte` up to `lt`, which is not one of them. */
  *range(gte: Uint8Array, lt: Uint8Array): IterableIterator<StateRow> {
    const start = this.position(gte)
    for (let at = start.block; at < this.blocks.length; at++) {
      const block = this.blocks[at] as Block
      for (let place = at === start.block ? start.row : 0; place < block.length; place++) {
        const row = block[place] as StateRow
        if (Buffer.compare(row.key, lt) >= 0) return
        yield row
      }
    }
  }

  /** The same rows, from the last to the first. */
  *rangeReversed(gte: Uint8Array, lt: Uint8Array): IterableIterator<StateRow> {
    const end = this.position(lt)
    for (let at = Math.min(end.block, this.blocks.length - 1); at >= 0; at--) {
      const block = this.blocks[at] as Block
      for (let place = (at === end.block ? end.row : block.length) - 1; place >= 0; place--) {
        const row = block[place] as StateRow
        if (Buffer.compare(row.key, gte) < 0) return
        yield row
      }
    }
  }

  /** With the changes, one after the other. */
  change(changes: ReadonlyArray<StateChange>): SortedRows {
    return changes.reduce<SortedRows>((rows, change) => rows.changed(change), this)
  }

  private changed(change: StateChange): SortedRows {
    if (change._tag === "Put") return this.with(change.key, change.value)
    if (change._tag === "DeleteRange") return this.without(this.position(change.start), this.position(change.end))
    if (this.get(change.key) === undefined) return this
    const { block, row } = this.position(change.key)
    return this.without({ block, row }, { block, row: row + 1 })
  }

  /** Where `key` is, or where it would be: at most behind the last row of all. */
  private position(key: Uint8Array): Position {
    const { blocks } = this
    const lastOf = (block: Block): StateRow => block[block.length - 1] as StateRow
    const block = firstNotBelow(blocks.length, (place) => lastOf(blocks[place] as Block).key, key)
    const rows = blocks[block] ?? []
    return { block, row: firstNotBelow(rows.length, (place) => (rows[place] as StateRow).key, key) }
  }

  private with(key: Uint8Array, value: Uint8Array): SortedRows {
    const row = { key: new Uint8Array(key), value: new Uint8Array(value) }
    let { block, row: place } = this.position(key)
    // Behind all others it belongs to the last block.
    if (block === this.blocks.length && block > 0) {
      block -= 1
      place = (this.blocks[block] as Block).length
    }
    const before = this.blocks[block] ?? []
    const found = before[place]
    const replaced = found !== undefined && Buffer.compare(found.key, key) === 0 ? 1 : 0
    return new SortedRows(this.blocks.toSpliced(block, 1, ...blocksOf(before.toSpliced(place, replaced, row))))
  }

  /** Without the rows from one place up to another. */
  private without(start: Position, end: Position): SortedRows {
    const left = (this.blocks[start.block] ?? []).slice(0, start.row)
    const right = (this.blocks[end.block] ?? []).slice(end.row)
    const kept = blocksOf([...left, ...right])
    return new SortedRows(this.blocks.toSpliced(start.block, end.block - start.block + 1, ...kept))
  }
}
