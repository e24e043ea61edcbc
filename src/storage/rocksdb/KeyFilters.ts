/**
 * Knows of many keys that they do not exist, so that RocksDB need not look for them: a {@link KeyFilter} for each kind
 * of key, by its first byte. There is one only for kinds whose keys are often read and not found.
 *
 * A filter is filled by a scan of the keys (`KeyScans.ts`) while commits go on. Each commit reports what it does to a
 * key, so a filter that was filled has every key that exists: the scan found it, or it was put later. During the scan
 * nothing is removed, because the scan may not have added it. Where a commit does not know whether a key existed, a put
 * is added and a deletion removes nothing. The filter then has keys that do not exist, which is harmless.
 */
import { KeyFilter } from "./KeyFilter.ts"

/** What is known of the keys with one first byte. */
export interface Kind {
  /** How often one was asked for that does not exist. */
  misses: number
  /** Whether the filter has every key that exists. */
  complete: boolean
  /** `undefined` until a scan begins, and when there are too many keys. */
  filter: KeyFilter | undefined
}

export interface FilterLimits {
  /** Reads of keys that do not exist, of one kind, before a filter is made. */
  readonly misses: number
  /** Keys of one kind; with more there is no filter. Each takes six or seven bytes. */
  readonly keys: number
}

export class KeyFilters {
  private readonly limits: FilterLimits
  private readonly wanted: (firstByte: number) => void
  private readonly kinds: Array<Kind | undefined> = new Array(256)
  private readonly filterOf: () => KeyFilter

  /** `wanted` is called once for a kind that should be scanned. */
  constructor(limits: FilterLimits, wanted: (firstByte: number) => void, filterOf = () => new KeyFilter()) {
    this.limits = limits
    this.wanted = wanted
    this.filterOf = filterOf
  }

  /** Whether it is certain that there is no such key. */
  excludes(text: string): boolean {
    const kind = this.kinds[text.charCodeAt(0)]
    return kind?.filter !== undefined && kind.complete && !kind.filter.mayHave(text)
  }

  /** A commit puts a key, or deletes it; `wasAbsent` is `undefined` where that is not known. */
  change(text: string, wasAbsent: boolean | undefined, exists: boolean): void {
    const kind = this.kinds[text.charCodeAt(0)]
    if (kind?.filter === undefined) return
    if (exists && wasAbsent !== false) this.add(kind, text)
    else if (!exists && wasAbsent === false && kind.complete) kind.filter.remove(text)
  }

  /** The store was asked for a key that it does not have. What begins with 00 is the store's own; ff is never a key. */
  missed(text: string): void {
    const firstByte = text.charCodeAt(0)
    if (firstByte === 0x00 || firstByte === 0xff) return
    const kind = this.kinds[firstByte] ??= { misses: 0, complete: false, filter: undefined }
    kind.misses += 1
    if (kind.misses === this.limits.misses) this.wanted(firstByte)
  }

  /** From now on each commit counts. The scan begins afterwards. */
  begin(firstByte: number): Kind {
    const kind = { misses: this.limits.misses, complete: false, filter: this.filterOf() }
    this.kinds[firstByte] = kind
    return kind
  }

  /** Adds a key that a scan found. `false` when the scan is of no use any more. */
  add(kind: Kind, text: string): boolean {
    const { filter } = kind
    if (filter === undefined) return false
    filter.add(text)
    if (filter.size <= this.limits.keys && !filter.isOverfull) return true
    kind.filter = undefined
    kind.complete = false
    return false
  }

  /** Forgets everything, because rows were written without a commit; scans are of no use any more. */
  clear(): void {
    for (const kind of this.kinds) if (kind !== undefined) kind.filter = undefined
    this.kinds.fill(undefined)
  }
}
