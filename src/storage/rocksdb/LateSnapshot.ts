/**
 * The store as it was when a view began, without a snapshot for as long as nothing is written: until then its newest
 * state is the one of that time. Before a write begins, `fix` takes a snapshot. What is being read by then may come
 * from before the write or from after it, so it is read again.
 *
 * A snapshot is cheap to take and dear to release: RocksDB then writes every table at its bottom level once more that
 * has entries from before it. A start that released one rewrote all it had, while followers waited for it.
 */
import type { RangeOptions, Row } from "./Reader.ts"
import type { StoreSnapshot } from "./RowView.ts"

/** Reads of the newest state, and how to take a snapshot. */
export interface ReadableStore {
  /** Values of one snapshot. */
  readonly read: (keys: ReadonlyArray<Uint8Array>) => Promise<ReadonlyArray<Uint8Array | undefined>>
  /** Rows of one snapshot, taken between the call and the first of them. */
  readonly scan: (range: RangeOptions, take: (row: Row) => boolean) => Promise<void>
  /** A snapshot as of the call. */
  readonly snapshot: () => StoreSnapshot
}

export class LateSnapshot implements StoreSnapshot {
  private readonly store: ReadableStore
  private snapshot: StoreSnapshot | undefined
  private closed = false

  constructor(store: ReadableStore) {
    this.store = store
  }

  /** The store is about to change. */
  fix(): void {
    this.snapshot ??= this.store.snapshot()
  }

  async read(keys: ReadonlyArray<Uint8Array>): Promise<ReadonlyArray<Uint8Array | undefined>> {
    const before = this.fixed()
    if (before !== undefined) return before.read(keys)
    const values = await this.store.read(keys)
    const meanwhile = this.fixed()
    return meanwhile === undefined ? values : meanwhile.read(keys)
  }

  async scan(range: RangeOptions, take: (row: Row) => boolean): Promise<void> {
    const before = this.fixed()
    if (before !== undefined) return before.scan(range, take)
    let begun = false
    let meanwhile: StoreSnapshot | undefined
    const begin = (): void => {
      begun = true
      meanwhile = this.fixed()
    }
    await this.store.scan(range, (row) => {
      // From the first row on the scan keeps its snapshot by itself.
      if (!begun) begin()
      return meanwhile === undefined && take(row)
    })
    if (!begun) begin()
    await meanwhile?.scan(range, take)
  }

  async close(): Promise<void> {
    this.closed = true
    await this.snapshot?.close()
  }

  /** The snapshot, if there is one to read from: no one looks at what is read for a view that was closed meanwhile. */
  private fixed(): StoreSnapshot | undefined {
    return this.closed ? undefined : this.snapshot
  }
}
