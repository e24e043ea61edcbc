/**
 * The requests that this process saves, as far as the copy of its queues does not show them yet. Readings take them
 * from here, without a trip; and what the watch of the queues tells of them is no news.
 */
import { bytesOf } from "../../client/Entry.ts"
import { KeyValueEntry } from "../../client/KeyValue.ts"

/**
 * Requests that are known here at a time. Beyond that the copy is away, and readings wait for it: what it does not show
 * takes memory that nothing else bounds.
 */
const maxAhead = 8_192

/** What this process saved. */
export interface Saved {
  readonly shard: string
  readonly id: string
  readonly entry: KeyValueEntry
}

/** A row as the copy would show it. */
export const rowEntry = (key: string, row: string, revision: number, version: number): KeyValueEntry =>
  new KeyValueEntry(bytesOf(key), {
    createRevision: revision,
    modRevision: revision,
    version,
    lease: 0,
    value: bytesOf(row)
  })

export class OwnRequests {
  /** Saved ones, by the keys of their rows. */
  private readonly ahead = new Map<string, Saved>()
  /** Those that are held back from the store, see `UnsavedRequests.ts`. No watch tells of them. */
  private readonly held = new Map<string, Saved>()
  /** The ids of those that no watch has told of yet, saved or about to be. */
  private readonly saving = new Set<string>()

  /** A request is about to be saved. */
  saves(id: string): void {
    // Then some are taken for those of others: the watch does not rest for a while.
    if (this.saving.size >= maxAhead) this.saving.clear()
    this.saving.add(id)
  }

  /** Whether this process saved a request that the watch tells of. The watch does so once. */
  tellsOwn(id: string): boolean {
    return this.saving.delete(id)
  }

  /** A request was saved. False when there is no room: a reading has to wait for the copy. */
  add(saved: Saved): boolean {
    if (this.ahead.size >= maxAhead) return false
    this.ahead.set(saved.entry.keyText, saved)
    return true
  }

  hold(saved: Saved): void {
    this.held.set(saved.entry.keyText, saved)
  }

  /** It is stored, or is not to be. */
  holdsNoMore(key: string): void {
    this.held.delete(key)
  }

  /** The copy shows a row. */
  shown(key: string): void {
    this.ahead.delete(key)
  }

  /** The copy of these shards shows what was saved up to a revision, or will not. */
  forget(shards: ReadonlySet<string>, revision: number): void {
    for (const [key, { entry, shard }] of this.ahead) {
      if (entry.modRevision <= revision && shards.has(shard)) this.ahead.delete(key)
    }
  }

  /** What was saved or is held back of these shards. */
  of(shards: ReadonlySet<string>): ReadonlyArray<Saved> {
    return [...this.ahead.values(), ...this.held.values()].filter(({ shard }) => shards.has(shard))
  }
}
