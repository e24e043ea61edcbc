/**
 * Those who wait for a change in a range of keys. A change wakes whom it concerns and nobody else: they are found by the
 * key, or by the prefixes of the key that somebody waits for, so that ten thousand sleeping watches cost a write next to
 * nothing.
 */
import { Deferred, Exit } from "effect"
import type { Revision } from "../kv/History.ts"
import type { KeyRange } from "../kv/KeyRange.ts"
import { contains, prefixRange, successor } from "../kv/KeyRange.ts"

/** Those who wait, by the key or prefix they wait for. */
type Places = Map<string, Set<Waiter>>

/** Bytes as a string that is equal when they are. */
const nameOf = (bytes: Uint8Array, length = bytes.byteLength): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, length).toString("latin1")

const isSingleKey = ({ gte, lt }: KeyRange): boolean => Buffer.compare(successor(gte), lt) === 0

const isPrefix = ({ gte, lt }: KeyRange): boolean => Buffer.compare(prefixRange(gte).lt, lt) === 0

export class Waiter {
  readonly range: KeyRange
  readonly woken = Deferred.makeUnsafe<void>()
  /** Where to look once it is woken: nothing before this revision, from where it began to wait, is in the range. */
  from: number
  /** Where it is found; `undefined` for ranges that are neither a key nor a prefix. */
  readonly places: Places | undefined
  readonly name: string

  constructor(range: KeyRange, from: number, places: Places | undefined) {
    this.range = range
    this.from = from
    this.places = places
    this.name = places === undefined ? "" : nameOf(range.gte)
  }

  get isWoken(): boolean {
    return Deferred.isDoneUnsafe(this.woken)
  }
}

export class FeedWaiters {
  private readonly byKey: Places = new Map()
  /** By the length of the prefix. */
  private readonly byPrefix = new Map<number, Places>()
  private readonly others = new Set<Waiter>()
  private count = 0

  get size(): number {
    return this.count
  }

  /** Waits for revisions from `from` on. */
  add(range: KeyRange, from: number): Waiter {
    const waiter = new Waiter(range, from, this.placesOf(range))
    const { name, places } = waiter
    const place = places === undefined ? this.others : places.get(name) ?? new Set()
    places?.set(name, place)
    place.add(waiter)
    this.count += 1
    return waiter
  }

  /** Forgets a waiter; one that was woken is forgotten already. */
  remove(waiter: Waiter): void {
    const { name, places, range } = waiter
    const place = places === undefined ? this.others : places.get(name)
    if (place?.delete(waiter) !== true) return
    this.count -= 1
    if (places === undefined || place.size > 0) return
    places.delete(name)
    if (places !== this.byKey && places.size === 0) this.byPrefix.delete(range.gte.byteLength)
  }

  /** Wakes those whom these revisions concern. */
  wake(revisions: ReadonlyArray<Revision>): void {
    for (const { changes, revision } of revisions) {
      for (const { key } of changes) {
        if (this.count === 0) return
        if (this.byKey.size > 0) this.rouse(this.byKey.get(nameOf(key)), revision)
        for (const [length, places] of this.byPrefix) {
          if (length <= key.byteLength) this.rouse(places.get(nameOf(key, length)), revision)
        }
        for (const waiter of this.others) if (contains(waiter.range, key)) this.rouse([waiter], revision)
      }
    }
  }

  /** Wakes everybody: what happened from `from` on is not known here. */
  wakeAll(from: number): void {
    for (const waiters of [this.others, ...this.byKey.values()]) this.rouseFrom(waiters, from)
    for (const places of this.byPrefix.values()) {
      for (const waiters of places.values()) this.rouseFrom(waiters, from)
    }
  }

  private rouse(waiters: Iterable<Waiter> | undefined, revision: number): void {
    for (const waiter of waiters ?? []) {
      // One that waits for a revision still to come sleeps on.
      if (revision >= waiter.from) this.release(waiter, revision)
    }
  }

  private rouseFrom(waiters: Iterable<Waiter>, from: number): void {
    for (const waiter of waiters) this.release(waiter, Math.max(waiter.from, from))
  }

  private release(waiter: Waiter, from: number): void {
    this.remove(waiter)
    waiter.from = from
    Deferred.doneUnsafe(waiter.woken, Exit.void)
  }

  private placesOf(range: KeyRange): Places | undefined {
    if (isSingleKey(range)) return this.byKey
    if (!isPrefix(range)) return undefined
    const { byteLength } = range.gte
    const places = this.byPrefix.get(byteLength) ?? new Map()
    this.byPrefix.set(byteLength, places)
    return places
  }
}
