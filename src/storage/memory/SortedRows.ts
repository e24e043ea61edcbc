/**
 * Rows of the state in byte order of their keys, in memory. A value: a change makes a new one that shares what it left
 * alone, so a view keeps its rows for nothing, and a change costs what it touches and not all rows.
 */
import type { StateRow } from "../../protocol/StateRows.ts"
import type { StateChange } from "../StateStore.ts"

/** Most rows of a block: what a change copies, beside the list of blocks. */
const blockRows = 128

type Block = Array<StateRow>

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
const blocksOf = (rows: Block): Array<Block> => {
  if (rows.length === 0) return []
  if (rows.length <= blockRows) return [rows]
  const blocks: Array<Block> = []
  // Half full: the next rows beside these have room.
  for (let start = 0; start < rows.length; start += blockRows / 2) blocks.push(rows.slice(start, start + blockRows / 2))
  return blocks
}

export class SortedRows {
  static readonly empty = new SortedRows([])

  /** Blocks may be those of other rows too, and change only while no other caller has these rows. */
  private readonly blocks: Array<Block>

  private constructor(blocks: Array<Block>) {
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
    const changed = new SortedRows([...this.blocks])
    const own = new Set<Block>()
    for (const change of changes) changed.apply(change, own)
    return changed
  }

  /** Changes these rows, which no other caller has yet. `own` are the blocks that no other rows share. */
  private apply(change: StateChange, own: Set<Block>): void {
    if (change._tag === "Put") return this.put(change.key, change.value, own)
    if (change._tag === "DeleteRange") return this.delete(this.position(change.start), this.position(change.end))
    if (this.get(change.key) === undefined) return
    const { block, row } = this.position(change.key)
    this.delete({ block, row }, { block, row: row + 1 })
  }

  /** Where `key` is, or where it would be: at most behind the last row of all. */
  private position(key: Uint8Array): Position {
    const { blocks } = this
    const lastOf = (block: Block): StateRow => block[block.length - 1] as StateRow
    const block = firstNotBelow(blocks.length, (place) => lastOf(blocks[place] as Block).key, key)
    const rows = blocks[block] ?? []
    return { block, row: firstNotBelow(rows.length, (place) => (rows[place] as StateRow).key, key) }
  }

  private put(key: Uint8Array, value: Uint8Array, own: Set<Block>): void {
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
    // A block is copied once for all changes of a batch.
    const rows = own.has(before) ? before : [...before]
    own.add(rows)
    rows.splice(place, replaced, row)
    if (rows.length <= blockRows) this.blocks[block] = rows
    else this.blocks.splice(block, 1, ...blocksOf(rows))
  }

  /** Takes the rows from one place up to another away. */
  private delete(start: Position, end: Position): void {
    const left = (this.blocks[start.block] ?? []).slice(0, start.row)
    const right = (this.blocks[end.block] ?? []).slice(end.row)
    this.blocks.splice(start.block, end.block - start.block + 1, ...blocksOf([...left, ...right]))
  }
}
