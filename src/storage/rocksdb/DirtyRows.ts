/**
 * One batch of the write-back cache: rows that were committed and are not in the store yet, each with the version to be
 * written, and where the batch ends. Commits change it until it is flushed; from then on it stays as it is.
 *
 * A row knows the number of the commit that wrote it. A version that an open view may see is kept behind the one that
 * replaced it.
 */
import type { Operation } from "./Operation.ts"
import { keyOf } from "./RowText.ts"
import type { SortedRun } from "./SortedKeys.ts"
import { SortedKeys } from "./SortedKeys.ts"

export interface Version {
  readonly value: Uint8Array | undefined
  /** The commit that wrote it. */
  readonly commit: number
  readonly older: Version | undefined
}

interface DirtyRow extends Version {
  value: Uint8Array | undefined
  commit: number
  older: Version | undefined
  /** The store will not have the row when this batch is written, so that there is nothing to delete. */
  readonly absent: boolean
}

/** Bytes of a row's objects beside its key and value; the memory of a value by itself takes more than half of them. */
const rowOverhead = 400

const isWritten = ({ absent, value }: DirtyRow): boolean => value !== undefined || !absent

export class DirtyRows {
  private readonly rows = new Map<string, DirtyRow>()
  private readonly sorted = new SortedKeys(this.rows)
  private end: (() => ReadonlyArray<Operation>) | undefined
  /** About how much memory it takes, versions for views included. */
  bytes = 0
  /** Rows that the store gets: a row that is written and deleted in here is none. */
  writes = 0

  /** Whether there is nothing to write, not even where it ends. */
  get isEmpty(): boolean {
    return this.end === undefined && this.rows.size === 0
  }

  /** Ends a commit: `end` is written after the rows, unless another commit follows. */
  endCommit(end: (() => ReadonlyArray<Operation>) | undefined): void {
    this.end = end ?? this.end
  }

  /** Replaces the version of a row. `false` when there is no such row yet, see {@link add}. */
  replace(text: string, value: Uint8Array | undefined, commit: number, newestView: number): boolean {
    const row = this.rows.get(text)
    if (row === undefined) return false
    const before = isWritten(row)
    if (row.commit <= newestView) {
      row.older = { value: row.value, commit: row.commit, older: row.older }
      this.bytes += rowOverhead
    } else this.bytes -= row.value?.byteLength ?? 0
    this.bytes += value?.byteLength ?? 0
    row.value = value
    row.commit = commit
    if (before !== isWritten(row)) this.writes += before ? -1 : 1
    return true
  }

  /** `absent` when it is known that the store will not have the row before this batch is written. */
  add(text: string, value: Uint8Array | undefined, commit: number, absent: boolean): void {
    const row: DirtyRow = { value, commit, older: undefined, absent }
    this.rows.set(text, row)
    this.bytes += rowOverhead + text.length + (value?.byteLength ?? 0)
    if (isWritten(row)) this.writes += 1
  }

  /** The newest version of a row that a commit up to `through` wrote. */
  versionAt(text: string, through: number): Version | undefined {
    let version: Version | undefined = this.rows.get(text)
    while (version !== undefined && version.commit > through) version = version.older
    return version
  }

  newest(text: string): Version | undefined {
    return this.rows.get(text)
  }

  sortedRuns(): ReadonlyArray<SortedRun> {
    return this.sorted.sortedRuns()
  }

  /** What has to be written, in one atomic batch. */
  operations(): ReadonlyArray<Operation> {
    const operations: Array<Operation> = []
    for (const [text, { absent, value }] of this.rows) {
      if (value !== undefined) operations.push({ _tag: "Put", key: keyOf(text), value })
      else if (!absent) operations.push({ _tag: "Delete", key: keyOf(text) })
    }
    if (this.end !== undefined) operations.push(...this.end())
    return operations
  }
}
