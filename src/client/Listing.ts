/**
 * The keys of a prefix as they were at one moment, from pages of several: the changes between the first page and the
 * last are watched and carried out on what the pages said. It is what makes "list, then watch" miss nothing and repeat
 * nothing.
 */
import { Effect } from "effect"
import type { Data, KeyValue, KeyValueEntry, ReadFailure } from "./KeyValue.ts"
import { Position } from "./Position.ts"
import type { Changes, Listed, WatchNotice } from "./Watch.ts"

/** Where a page ends, and the revision it is of. */
interface PageEnd {
  /** The last key; `undefined` for the last page, which ends with the prefix. */
  readonly key: Uint8Array | undefined
  readonly revision: number
}

const nameOf = (key: Uint8Array): string => Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString("latin1")

export class Listing {
  private readonly pages: ReadonlyArray<PageEnd>
  /** By key; `undefined` once it was told. */
  private entries: Map<string, KeyValueEntry> | undefined

  constructor(pages: ReadonlyArray<PageEnd>, entries: ReadonlyArray<KeyValueEntry>) {
    this.pages = pages
    this.entries = new Map(entries.map((entry) => [nameOf(entry.key), entry]))
  }

  /** The revision from which on changes have to be watched. */
  get from(): number {
    return (this.pages[0]?.revision ?? 0) + 1
  }

  /** The revision the list is of, once it is complete. */
  private get revision(): number {
    return this.pages[this.pages.length - 1]?.revision ?? 0
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
      if (event._tag === "Put") this.entries?.set(nameOf(event.key), event.entry)
      else this.entries?.delete(nameOf(event.key))
    }
  }

  /** The revision of the page that a key belongs to. */
  private revisionAt(key: Uint8Array): number {
    const page = this.pages.find((one) => one.key === undefined || Buffer.compare(key, one.key) <= 0)
    return page?.revision ?? this.revision
  }
}

/** Reads all keys of a prefix. */
export const listPrefix = Effect.fnUntraced(function*(
  keyValue: KeyValue["Service"],
  prefix: Data
): Effect.fn.Return<Listing, ReadFailure> {
  const pages: Array<PageEnd> = []
  const entries: Array<KeyValueEntry> = []
  let cursor: Uint8Array | undefined
  do {
    const page = yield* keyValue.scan(prefix, { cursor })
    for (const entry of page.entries) entries.push(entry)
    cursor = page.cursor
    pages.push({ key: cursor, revision: page.revision })
  } while (cursor !== undefined)
  return new Listing(pages, entries)
})
