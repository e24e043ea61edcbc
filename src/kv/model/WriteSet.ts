/**
 * The users' keys while a batch of commands is carried out, before anything is written: later commands see earlier
 * ones, and a key changed often is written once.
 */
import { byteText, compareBytes } from "../../bytes/Bytes.ts"
import { noBytes } from "../../bytes/Binary.ts"
import type { KeyRange } from "../../bytes/KeyRange.ts"
import { contains, successor } from "../../bytes/KeyRange.ts"
import { hashOf, KeyTable } from "../../bytes/KeyTable.ts"
import type { KeyRecord } from "./KeyRecord.ts"
import { decodeRecord } from "./KeyRecord.ts"
import type { StoredRange } from "./Keyspace.ts"
import { recordKey, recordRange, userKey } from "./Keyspace.ts"
import type { Loading, StoredRow } from "./Loading.ts"
import { CorruptRow } from "./Loading.ts"
import type { ReadBudget } from "./ReadBudget.ts"
import type { Row } from "./Reply.ts"

/** One key: what it holds now, and whether that is news to the store. */
export interface WriteSetEntry {
  readonly key: Uint8Array
  readonly hash: number
  /** Where its record lies in the store, once that was asked for. */
  stored: Uint8Array | undefined
  record: KeyRecord | undefined
  changed: boolean
  /** The record was loaded without its value, to be deleted and nothing else. */
  withoutValue: boolean
}

/** Part of a range. */
export interface Rows {
  readonly rows: ReadonlyArray<Row>
  /** Whether the range has more rows than these. */
  readonly more: boolean
}

/** Keys loaded at once while a budget is watched: a whole load may be this many of the largest values too much. */
const loadKeys = 16

const newEntry = (key: Uint8Array, hash: number, record: KeyRecord | undefined): WriteSetEntry => ({
  key,
  hash,
  stored: undefined,
  record,
  changed: false,
  withoutValue: false
})

/** Where the record of an entry lies in the store. It is asked for twice: when it is read, and when it is written. */
export const storedKey = (entry: WriteSetEntry): Uint8Array => entry.stored ??= recordKey(entry.key)

export class WriteSet {
  private readonly entries = new KeyTable<WriteSetEntry>()

  /** Tells what a key holds in the store that is not loaded yet. Must precede its first `entry`. */
  load(key: Uint8Array, record: KeyRecord | undefined): void {
    this.entries.add(newEntry(key, hashOf(key), record))
  }

  /** Loads a key that is about to be deleted, without its value. */
  loadForDelete(key: Uint8Array, record: KeyRecord): void {
    const entry = newEntry(key, hashOf(key), { ...record, value: noBytes })
    entry.withoutValue = true
    this.entries.add(entry)
  }

  isLoaded(key: Uint8Array): boolean {
    return this.entries.get(key, hashOf(key)) !== undefined
  }

  /** A key that was loaded. */
  entry(key: Uint8Array): WriteSetEntry {
    const entry = this.entries.get(key, hashOf(key))
    if (entry === undefined) throw new Error("a key was used before its record was loaded")
    return entry
  }

  /** Every entry, in the order of loading. */
  get all(): ReadonlyArray<WriteSetEntry> {
    return this.entries.all
  }

  /** Makes entries for those of these keys that have none; the caller says what they hold before any is used. */
  preload(keys: ReadonlyArray<Uint8Array>): ReadonlyArray<WriteSetEntry> {
    const added: Array<WriteSetEntry> = []
    for (const key of keys) this.entryOf(key, added)
    return added
  }

  /** The entry of a key. One that is made is among `made` then. */
  private entryOf(key: Uint8Array, made: Array<WriteSetEntry>): WriteSetEntry {
    const hash = hashOf(key)
    const known = this.entries.get(key, hash)
    if (known !== undefined) return known
    const entry = newEntry(key, hash, undefined)
    this.entries.add(entry)
    made.push(entry)
    return entry
  }

  /**
   * Loads those of these keys that are not loaded yet, and gives the entries of all in the places of the keys. Ends
   * early when all of them are too much for the budget.
   */
  *loadAll(keys: ReadonlyArray<Uint8Array>, budget: ReadBudget): Loading<ReadonlyArray<WriteSetEntry>> {
    const entries: Array<WriteSetEntry> = []
    for (let from = 0; from < keys.length; from += loadKeys) {
      const added: Array<WriteSetEntry> = []
      const end = Math.min(from + loadKeys, keys.length)
      for (let i = from; i < end; i++) entries.push(this.entryOf(keys[i] as Uint8Array, added))
      if (added.length > 0) {
        const asked = added.map(storedKey)
        let next = 0
        for (const row of yield { _tag: "LoadKeys", keys: asked }) {
          // Those that exist come in the order in which they were asked for, with the keys that they were asked by.
          while (next < asked.length && asked[next] !== row.key) next++
          const entry = added[next] ?? this.entry(userKey(row.key))
          entry.record = recordOf(row)
        }
      }
      // What other commands of the batch have loaded counts as well: how commands are grouped must not matter.
      for (let i = from; i < end; i++) {
        const { key, record } = entries[i] as WriteSetEntry
        budget.charge(key.byteLength, record?.value.byteLength ?? 0)
      }
      if (budget.exceeded) return entries
    }
    return entries
  }

  /**
   * The first (or last) `limit` keys of a range as they are now: the store's with this set's changes on top. Ends
   * early at `maxBytes` of keys and values, and where the budget does.
   */
  *range(range: KeyRange, limit: number, reverse: boolean, maxBytes: number, budget: ReadBudget): Loading<Rows> {
    const changed = this.changedIn(range, reverse)
    const page = new Page(limit, maxBytes, budget)
    let stored: StoredRange | undefined = recordRange(range)
    let next = 0
    while (stored !== undefined) {
      const wanted = limit + 1 - page.rows.length + changed.length - next
      const room = page.room
      const rows: ReadonlyArray<StoredRow> = yield {
        _tag: "LoadRange",
        range: stored,
        limit: wanted,
        maxBytes: room,
        reverse
      }
      let bytes = 0
      for (const row of rows) {
        bytes += row.key.byteLength + row.value.byteLength
        const key = userKey(row.key)
        for (; next < changed.length; next++) {
          const entry = changed[next] as WriteSetEntry
          const order = compareBytes(entry.key, key)
          if (reverse ? order <= 0 : order >= 0) break
          if (!page.add(entry.key, entry.record)) return page
        }
        const own = changed[next]
        const replaced = own !== undefined && compareBytes(own.key, key) === 0
        if (replaced) next += 1
        if (!page.add(key, replaced ? own.record : recordOf(row))) return page
      }
      const last = rows[rows.length - 1]
      const ended = last === undefined || rows.length < wanted && bytes < room
      stored = ended ? undefined : behind(stored, last.key, reverse)
    }
    for (; next < changed.length; next++) {
      const entry = changed[next] as WriteSetEntry
      if (!page.add(entry.key, entry.record)) return page
    }
    return page
  }

  private changedIn(range: KeyRange, reverse: boolean): ReadonlyArray<WriteSetEntry> {
    const entries: Array<WriteSetEntry> = []
    for (const entry of this.entries.all) {
      if (entry.changed && contains(range, entry.key)) entries.push(entry)
    }
    return entries.sort((a, b) => reverse ? compareBytes(b.key, a.key) : compareBytes(a.key, b.key))
  }
}

/** What is left of a range behind a stored key; `undefined` when nothing is. */
const behind = ({ gte, lt }: StoredRange, key: Uint8Array, reverse: boolean): StoredRange | undefined => {
  const rest = reverse ? { gte, lt: key } : { gte: successor(key), lt }
  return compareBytes(rest.gte, rest.lt) < 0 ? rest : undefined
}

/** The record of a stored row of a key. */
export const recordOf = (row: StoredRow): KeyRecord => {
  const record = decodeRecord(row.value)
  if (record === undefined) throw new CorruptRow(`the record of the key ${byteText(userKey(row.key))} is cut short`)
  return record
}

/** Gathers rows until there are enough of them. */
class Page implements Rows {
  readonly rows: Array<Row> = []
  more = false
  private bytes = 0
  private readonly limit: number
  private readonly maxBytes: number
  private readonly budget: ReadBudget

  constructor(limit: number, maxBytes: number, budget: ReadBudget) {
    this.limit = limit
    this.maxBytes = maxBytes
    this.budget = budget
  }

  /**
   * Bytes of rows after which it is full. The row that says so is looked at as well, so there is always room for one.
   */
  get room(): number {
    return Math.max(1, this.maxBytes - this.bytes)
  }

  /** `false` once the page is full, or the budget is spent: this row is the first that does not fit. */
  add(key: Uint8Array, record: KeyRecord | undefined): boolean {
    if (record === undefined) return true
    if (!this.budget.charge(key.byteLength, record.value.byteLength)) return false
    if (this.rows.length >= this.limit || this.bytes >= this.maxBytes) {
      this.more = true
      return false
    }
    this.rows.push({ key, record })
    this.bytes += key.byteLength + record.value.byteLength
    return true
  }
}
