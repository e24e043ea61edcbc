/**
 * The keys of one or more prefixes as they were at one revision, from pages of several: the changes between the first
 * page and the last are watched and carried out on what the pages said. It is what makes "list, then watch" miss
 * nothing and repeat nothing.
 */
import { byteText } from "../bytes/Bytes.ts"
import { Data as Errors, Effect } from "effect"
import { prefixRange } from "../bytes/KeyRange.ts"
import type { KeyRanges } from "../kv/model/KeyRanges.ts"
import type { Data } from "./Entry.ts"
import { bytesOf } from "./Entry.ts"
import type { KeyValue, KeyValueEntry, ReadFailure } from "./KeyValue.ts"
import { Position } from "./Position.ts"
import type { Changes, Listed, WatchNotice } from "./WatchNotice.ts"

/** Where a page ends, and the revision it is of. */
interface PageEnd {
  /** The last key; `undefined` for the last page of all, which ends with its prefix. */
  readonly key: Uint8Array | undefined
  /** The page ends before that key: with its prefix, behind which another one begins. */
  readonly before?: boolean | undefined
  readonly revision: number
}

export class Listing {
  private readonly pages: ReadonlyArray<PageEnd>
  /** The first page's revision at the latest, and the last one's: pages of several prefixes are in no order. */
  private readonly earliest: number
  private readonly revision: number
  /** By key; `undefined` once it was emitted. */
  private entries: Map<string, KeyValueEntry> | undefined

  constructor(pages: ReadonlyArray<PageEnd>, entries: ReadonlyArray<KeyValueEntry>) {
    this.pages = pages
    const revisions = pages.map(({ revision }) => revision)
    this.earliest = revisions.reduce((a, b) => Math.min(a, b), revisions[0] ?? 0)
    this.revision = revisions.reduce((a, b) => Math.max(a, b), 0)
    this.entries = new Map(entries.map((entry) => [byteText(entry.key), entry]))
  }

  /** The revision from which on changes have to be watched. */
  get from(): number {
    return this.earliest + 1
  }

  /** Whether the list was given; changes go through since then. */
  get isComplete(): boolean {
    return this.entries === undefined
  }

  /** Takes the next notice of the watch; gives the list when it is complete, and every change after it. */
  take(notice: WatchNotice): ReadonlyArray<Listed | Changes> {
    if (notice._tag === "Changes") {
      if (notice.revision > this.revision) return [...this.complete(notice.position), notice]
      this.carryOut(notice)
      return []
    }
    const told = notice._tag === "Began" ? notice.revision - 1 : notice.revision
    return told >= this.revision ? this.complete(notice.position) : []
  }

  private complete({ cluster }: Position): ReadonlyArray<Listed> {
    const { entries } = this
    if (entries === undefined) return []
    this.entries = undefined
    const sorted = [...entries.values()].sort((a, b) => Buffer.compare(a.key, b.key))
    const { revision } = this
    return [{ _tag: "Listed", revision, position: new Position(cluster, revision), entries: sorted }]
  }

  private carryOut({ events, revision }: Changes): void {
    for (const event of events) {
      if (revision <= this.revisionAt(event.key)) continue
      if (event._tag === "Put") this.entries?.set(byteText(event.key), event.entry)
      else this.entries?.delete(byteText(event.key))
    }
  }

  /** The revision of the page that a key belongs to. */
  private revisionAt(key: Uint8Array): number {
    const { pages } = this
    let low = 0
    let high = pages.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (endsBefore(pages[middle] as PageEnd, key)) low = middle + 1
      else high = middle
    }
    return pages[low]?.revision ?? this.revision
  }
}

const endsBefore = (page: PageEnd, key: Uint8Array): boolean => {
  if (page.key === undefined) return false
  const order = Buffer.compare(page.key, key)
  return page.before === true ? order <= 0 : order < 0
}

/** More was listed than was allowed. */
export class ListTooLarge extends Errors.TaggedError("ListTooLarge")<{ readonly bytes: number }> {}

/** Prefixes that are read at once. */
const prefixesAtOnce = 16

/**
 * Reads all keys of one or more prefixes, as long as they take no more than `maxBytes`. With `within` the keys of that
 * prefix are read, and those of the others are left out.
 */
export const listPrefixes = Effect.fnUntraced(function*(
  keyValue: KeyValue["Service"],
  ranges: KeyRanges,
  maxBytes: number,
  within?: Data
): Effect.fn.Return<Listing, ReadFailure | ListTooLarge> {
  let bytes = 0
  const listed = within === undefined ? ranges.all : [prefixRange(bytesOf(within))]
  const lists = yield* Effect.forEach(listed, (range, index) =>
    Effect.gen(function*() {
      const pages: Array<PageEnd> = []
      const entries: Array<KeyValueEntry> = []
      let cursor: Uint8Array | undefined
      do {
        // A node that is cut off may be behind all the history that there is to watch from.
        const page = yield* keyValue.scan(range.gte, { cursor, consistency: "linearizable" })
        for (const entry of page.entries) {
          if (within !== undefined && !ranges.contains(entry.key)) continue
          entries.push(entry)
          bytes += entryBytes(entry)
        }
        if (bytes > maxBytes) return yield* new ListTooLarge({ bytes })
        cursor = page.cursor
        const last = cursor === undefined && index < listed.length - 1
        pages.push({ key: last ? range.lt : cursor, before: last, revision: page.revision })
      } while (cursor !== undefined)
      return { pages, entries }
    }), { concurrency: prefixesAtOnce })
  return new Listing(lists.flatMap(({ pages }) => pages), lists.flatMap(({ entries }) => entries))
})

/** About how much memory an entry takes. */
export const entryBytes = ({ key, value }: KeyValueEntry): number => 2 * key.byteLength + value.byteLength + 200
