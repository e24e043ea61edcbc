/**
 * What a consumer knows of a queue: its first rows and who claims. It follows a list and a watch, and it also learns
 * from the answers to its own transactions, which come before or after the same event of the watch. Whatever the order,
 * the latest revision of a row wins.
 *
 * It is bounded: of a long queue it holds the first rows, and the caller reads on when few of them are free. Rows that
 * are at work come on top, as many as the claimers have claimed.
 */
import type { QueueRow } from "./Layout.ts"
import { dueMsOfPlace } from "./Layout.ts"
import { Places } from "./Places.ts"

/** Most free rows held. */
export const maxFreeRows = 2_048

/** Most rows that are remembered as removed while the watch has yet to report it. */
const maxRemoved = 8_192

/** How far apart the clocks of two processes may seem, in milliseconds. */
const clockToleranceMs = 10_000

export interface Due {
  readonly rows: ReadonlyArray<QueueRow>
  /** When the next row may be taken that may not be yet. */
  readonly nextMs: number | undefined
}

export class Mirror {
  /** Who claims: consumers that are there. */
  private readonly claimers = new Set<string>()
  private readonly rows = new Map<string, QueueRow>()
  /** The places of all rows. */
  private readonly places = new Places()
  /** The places of rows without a claimer that is there. */
  private readonly free = new Places()
  /** The watch has reported everything up to this revision. */
  private watched = 0
  /** Whether the queue has rows behind `through`, which are not held. */
  private more = false
  private through = ""
  /** Changes of rows that are not held, while more of them are being read. */
  private missed: Array<QueueRow | { readonly place: string; readonly removed: number }> | undefined
  /** Rows that are gone, by place, until the watch has reported that: its events before are out of date. */
  private readonly removed = new Map<string, number>()
  private readonly maxFreeRows: number

  constructor(most = maxFreeRows) {
    this.maxFreeRows = most
  }

  get size(): number {
    return this.rows.size
  }

  get watchedRevision(): number {
    return this.watched
  }

  /** Whether it holds all rows of the queue. */
  get isWhole(): boolean {
    return !this.more
  }

  /** Begins to read more when few rows are free: gives the place after which to read. */
  readFrom(): string | undefined {
    if (!this.more || this.free.size >= this.maxFreeRows / 4) return undefined
    this.missed = []
    return this.through
  }

  /** Rows were read in order: up to the last of the queue, or with more behind them. */
  read(rows: ReadonlyArray<QueueRow>, more: boolean): void {
    const missed = this.missed ?? []
    this.missed = undefined
    const last = rows[rows.length - 1]
    if (last !== undefined && last.place > this.through) this.through = last.place
    this.more = more
    for (const row of rows) this.put(row)
    // It may be newer than what was read.
    for (const change of missed) {
      if ("removed" in change) this.remove(change.place, change.removed)
      else this.put(change)
    }
  }

  put(row: QueueRow): void {
    const { place, revision } = row
    if ((this.removed.get(place) ?? -1) >= revision) return
    if (this.more && place > this.through) {
      this.missed?.push(row)
      return
    }
    const known = this.rows.get(place)
    if (known !== undefined && known.revision >= revision) return
    this.rows.set(place, row)
    if (this.isFree(row)) this.free.add(place)
    else this.free.delete(place)
    this.places.add(place)
    while (this.free.size > this.maxFreeRows) {
      this.drop(this.places.last as string)
      this.through = this.places.last as string
      this.more = true
    }
  }

  /** A row does not exist at a revision. */
  remove(place: string, revision: number): void {
    this.missed?.push({ place, removed: revision })
    if (revision > this.watched) {
      this.removed.delete(place)
      this.removed.set(place, revision)
      if (this.removed.size > maxRemoved) this.forgetRemoved()
    }
    const known = this.rows.get(place)
    if (known === undefined || known.revision > revision) return
    this.drop(place)
  }

  private drop(place: string): void {
    this.rows.delete(place)
    this.places.delete(place)
    this.free.delete(place)
  }

  get(place: string): QueueRow | undefined {
    return this.rows.get(place)
  }

  /** The watch has reported everything up to `revision`. */
  watchedTo(revision: number): void {
    this.watched = Math.max(this.watched, revision)
    for (const removed of this.removed.values()) {
      if (removed > this.watched) break
      this.forgetRemoved()
    }
  }

  /** Forgets the row that was removed first. */
  private forgetRemoved(): void {
    for (const place of this.removed.keys()) {
      this.removed.delete(place)
      break
    }
  }

  /** A consumer is there. */
  claimerCame(id: string): void {
    if (this.claimers.has(id)) return
    this.claimers.add(id)
    for (const { claim, place } of this.rows.values()) if (claim?.claimer === id) this.free.delete(place)
  }

  hasClaimer(id: string): boolean {
    return this.claimers.has(id)
  }

  /** A consumer was there at a revision. When the watch is further, it knows better. */
  claimerWasThere(id: string, revision: number): void {
    if (revision > this.watched) this.claimerCame(id)
  }

  /** A consumer is gone, and what it had claimed is free. */
  claimerWent(id: string): void {
    if (!this.claimers.delete(id)) return
    for (const { claim, place } of this.rows.values()) if (claim?.claimer === id) this.free.add(place)
  }

  /** Whether a row has no claimer that is there. */
  private isFree({ claim }: QueueRow): boolean {
    return claim === undefined || !this.claimers.has(claim.claimer)
  }

  /** Whether there is a row to claim, without those to be left out. */
  hasDue(nowMs: number, leftOut: (place: string) => boolean): boolean {
    for (const place of this.free) {
      if (leftOut(place)) continue
      const fromMs = dueMsOfPlace(place)
      if (fromMs <= nowMs || this.rows.get(place)?.delayed !== true) return true
      if (fromMs > nowMs + clockToleranceMs) return false
    }
    return false
  }

  /**
   * The next rows to claim, `count` at most, without those to be left out. Where there are enough for all consumers,
   * this one takes others than they do: its share by its rank among them.
   */
  due(own: string, nowMs: number, count: number, leftOut: (place: string) => boolean): Due {
    const found: Array<QueueRow> = []
    const wanted = count * Math.max(1, this.claimers.size)
    let nextMs: number | undefined
    for (const place of this.free) {
      if (found.length >= wanted) break
      if (leftOut(place)) continue
      const row = this.rows.get(place) as QueueRow
      const fromMs = dueMsOfPlace(place)
      if (!row.delayed || fromMs <= nowMs) {
        found.push(row)
        continue
      }
      nextMs ??= fromMs
      if (fromMs > nowMs + clockToleranceMs) break
    }
    if (found.length <= count) return { rows: found, nextMs }
    const rank = [...this.claimers].sort().indexOf(own)
    const start = (Math.max(0, rank) * count) % found.length
    return { rows: [...found.slice(start), ...found.slice(0, start)].slice(0, count), nextMs }
  }
}
