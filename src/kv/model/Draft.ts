/**
 * The users' keys while a batch of commands is carried out, before anything is written: later commands see earlier
 * ones, and a key changed often is written once.
 */
import { byteText, compareBytes } from "../../bytes/Bytes.ts"
import { noBytes } from "../../bytes/Binary.ts"
import type { KeyRange } from "../../bytes/KeyRange.ts"
import { contains, successor } from "../../bytes/KeyRange.ts"
import type { KeyRecord } from "./KeyRecord.ts"
import { decodeRecord } from "./KeyRecord.ts"
import type { StoredRange } from "./Keyspace.ts"
import { recordKey, recordRange, userKey } from "./Keyspace.ts"
import type { Loading, StoredRow } from "./Loading.ts"
import { CorruptRow } from "./Loading.ts"
import type { ReadBudget } from "./ReadBudget.ts"
import type { Row } from "./Reply.ts"

/** One key: what it holds now, and whether that is news to the store. */
export interface Slot {
  readonly key: Uint8Array
  record: KeyRecord | undefined
  changed: boolean
  /** The record was loaded without its value, to be deleted and nothing else. */
  withoutValue?: boolean
}

/** Part of a range. */
export interface Rows {
  readonly rows: ReadonlyArray<Row>
  /** Whether the range has more rows than these. */
  readonly more: boolean
}

/** Keys loaded at once while a budget is watched: a whole load may be this many of the largest values too much. */
const loadKeys = 16

export class Draft {
  private readonly slots = new Map<string, Slot>()

  /** Tells what a key holds in the store. Must precede its first `slot`. */
  load(key: Uint8Array, record: KeyRecord | undefined): void {
    this.slots.set(byteText(key), { key, record, changed: false })
  }

  /** Loads a key that is about to be deleted, without its value. */
  loadDoomed(key: Uint8Array, record: KeyRecord): void {
    const slot: Slot = { key, record: { ...record, value: noBytes }, changed: false, withoutValue: true }
    this.slots.set(byteText(key), slot)
  }

  isLoaded(key: Uint8Array): boolean {
    return this.slots.has(byteText(key))
  }

  /** A key that was loaded. */
  slot(key: Uint8Array): Slot {
    const slot = this.slots.get(byteText(key))
    if (slot === undefined) throw new Error("a key was used before its record was loaded")
    return slot
  }

  /** Every slot, in the order of loading. */
  get all(): Iterable<Slot> {
    return this.slots.values()
  }

  /** Makes slots for those of these keys that have none; the caller says what they hold before any is used. */
  expect(keys: ReadonlyArray<Uint8Array>): ReadonlyArray<Slot> {
    const expected: Array<Slot> = []
    for (const key of keys) this.slotOf(key, expected)
    return expected
  }

  /** The slot of a key. One that is made is among `made` then. */
  private slotOf(key: Uint8Array, made: Array<Slot>): Slot {
    const text = byteText(key)
    const known = this.slots.get(text)
    if (known !== undefined) return known
    const slot: Slot = { key, record: undefined, changed: false }
    this.slots.set(text, slot)
    made.push(slot)
    return slot
  }

  /**
   * Loads those of these keys that are not loaded yet, and gives the slots of all in the places of the keys. Ends early
   * when all of them are too much for the budget.
   */
  *loadAll(keys: ReadonlyArray<Uint8Array>, budget: ReadBudget): Loading<ReadonlyArray<Slot>> {
    const slots: Array<Slot> = []
    for (let from = 0; from < keys.length; from += loadKeys) {
      const expected: Array<Slot> = []
      const end = Math.min(from + loadKeys, keys.length)
      for (let i = from; i < end; i++) slots.push(this.slotOf(keys[i] as Uint8Array, expected))
      if (expected.length > 0) {
        const found = yield { _tag: "LoadKeys", keys: expected.map(({ key }) => recordKey(key)) }
        for (const row of found) this.slot(userKey(row.key)).record = recordOf(row)
      }
      // What other commands of the batch have loaded counts as well: how commands are grouped must not matter.
      for (let i = from; i < end; i++) {
        const { key, record } = slots[i] as Slot
        budget.charge(key.byteLength, record?.value.byteLength ?? 0)
      }
      if (budget.exceeded) return slots
    }
    return slots
  }

  /**
   * The first (or last) `limit` keys of a range as they are now: the store's with this draft's changes on top. Ends
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
          const slot = changed[next] as Slot
          const order = compareBytes(slot.key, key)
          if (reverse ? order <= 0 : order >= 0) break
          if (!page.add(slot.key, slot.record)) return page
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
      const slot = changed[next] as Slot
      if (!page.add(slot.key, slot.record)) return page
    }
    return page
  }

  private changedIn(range: KeyRange, reverse: boolean): ReadonlyArray<Slot> {
    const slots: Array<Slot> = []
    for (const slot of this.slots.values()) {
      if (slot.changed && contains(range, slot.key)) slots.push(slot)
    }
    return slots.sort((a, b) => reverse ? compareBytes(b.key, a.key) : compareBytes(a.key, b.key))
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
