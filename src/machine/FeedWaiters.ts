/**
 * Those who wait for a change in a range of keys. A change wakes whom it concerns and nobody else: they are found by the
 * key, or by the prefixes of the key that somebody waits for, so that ten thousand sleeping watches cost a write next to
 * nothing.
 */
import { Deferred, Exit } from "effect"
import type { Revision } from "../kv/History.ts"
import type { KeyRange } from "../kv/KeyRange.ts"
import { prefixRange, successor } from "../kv/KeyRange.ts"
import type { KeyRanges } from "../kv/KeyRanges.ts"

/** Those who wait, by the key or prefix they wait for. */
type Places = Map<string, Set<Waiter>>

/** Where a range is found. */
interface Spot {
  readonly kind: "key" | "prefix" | "other"
  /** The key or the prefix. */
  readonly name: string
}

/** Bytes as a string that is equal when they are. */
const nameOf = (bytes: Uint8Array, length = bytes.byteLength): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, length).toString("latin1")

const isSingleKey = ({ gte, lt }: KeyRange): boolean => Buffer.compare(successor(gte), lt) === 0

const isPrefix = ({ gte, lt }: KeyRange): boolean => Buffer.compare(prefixRange(gte).lt, lt) === 0

const spotOf = (range: KeyRange): Spot =>
  isSingleKey(range)
    ? { kind: "key", name: nameOf(range.gte) }
    : isPrefix(range)
    ? { kind: "prefix", name: nameOf(range.gte) }
    : { kind: "other", name: "" }

/** Hundreds of ranges are waited for again after every change; where each is found is worked out once. */
const knownSpots = new WeakMap<KeyRanges, ReadonlyArray<Spot>>()

const spotsOf = (ranges: KeyRanges): ReadonlyArray<Spot> => {
  const known = knownSpots.get(ranges)
  if (known !== undefined) return known
  const spots = ranges.all.map(spotOf)
  knownSpots.set(ranges, spots)
  return spots
}

export class Waiter {
  readonly ranges: KeyRanges
  readonly woken = Deferred.makeUnsafe<void>()
  /** Where to look once it is woken: nothing before this revision, from where it began to wait, is in the ranges. */
  from: number
  /** Whether it still waits. */
  waits = true

  constructor(ranges: KeyRanges, from: number) {
    this.ranges = ranges
    this.from = from
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
  add(ranges: KeyRanges, from: number): Waiter {
    const waiter = new Waiter(ranges, from)
    for (const spot of spotsOf(ranges)) {
      const places = this.placesOf(spot)
      const place = places === undefined ? this.others : places.get(spot.name) ?? new Set()
      places?.set(spot.name, place)
      place.add(waiter)
    }
    this.count += 1
    return waiter
  }

  /** Forgets a waiter; one that was woken is forgotten already. */
  remove(waiter: Waiter): void {
    if (!waiter.waits) return
    waiter.waits = false
    this.count -= 1
    for (const { kind, name } of spotsOf(waiter.ranges)) {
      const places = kind === "other" ? undefined : kind === "key" ? this.byKey : this.byPrefix.get(name.length)
      const place = places === undefined ? this.others : places.get(name)
      place?.delete(waiter)
      if (places === undefined || (place?.size ?? 0) > 0) continue
      places.delete(name)
      if (kind === "prefix" && places.size === 0) this.byPrefix.delete(name.length)
    }
  }

  /** Has a waiter look at once: nothing before `from` is in its ranges. */
  hurry(waiter: Waiter, from: number): void {
    if (waiter.waits) this.release(waiter, Math.max(waiter.from, from))
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
        for (const waiter of this.others) if (waiter.ranges.contains(key)) this.rouse([waiter], revision)
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
    if (!waiter.waits) return
    this.remove(waiter)
    waiter.from = from
    Deferred.doneUnsafe(waiter.woken, Exit.void)
  }

  private placesOf({ kind, name }: Spot): Places | undefined {
    if (kind === "key") return this.byKey
    if (kind === "other") return undefined
    const places = this.byPrefix.get(name.length) ?? new Map()
    this.byPrefix.set(name.length, places)
    return places
  }
}
