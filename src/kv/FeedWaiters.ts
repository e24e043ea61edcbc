/**
 * The watches that wait for a change in a range of keys. A change wakes only the ones whose ranges it is in. They are
 * found by its key, or by those prefixes of the key that a watch waits for: ten thousand sleeping watches cost a write
 * next to nothing.
 */
import { Deferred, Exit } from "effect"
import type { Change, Revision } from "./model/History.ts"
import type { KeyRange } from "../bytes/KeyRange.ts"
import { byteText, compareBytes } from "../bytes/Bytes.ts"
import { prefixRange, successor } from "../bytes/KeyRange.ts"
import type { KeyRanges } from "./model/KeyRanges.ts"
import { beginsWith, emptyHash, hashOf, hashOn } from "../bytes/KeyTable.ts"

/** The waiters for the same ranges, and where they are found. */
interface Seat {
  readonly ranges: KeyRanges
  readonly spots: ReadonlyArray<Spot>
  readonly waiters: Set<Waiter>
}

/** The seats of those who wait for one key or one prefix. */
interface Place {
  readonly name: Uint8Array
  readonly seats: Set<Seat>
}

/**
 * Places by their names. What is looked up is not made a text: each change is, for every length of a prefix. Only those
 * whose names share a hash, as a client may choose them, are found by texts.
 */
class Places {
  private readonly byHash = new Map<number, Place | Map<string, Place>>()

  get isEmpty(): boolean {
    return this.byHash.size === 0
  }

  /** The place of the first `length` bytes of a key, whose hash is `hash`. */
  find(key: Uint8Array, length: number, hash: number): Place | undefined {
    const found = this.byHash.get(hash)
    if (found instanceof Map) return found.get(byteText(key.subarray(0, length)))
    return found !== undefined && beginsWith(key, length, found.name) ? found : undefined
  }

  /** The place of a name, which is made when there is none. */
  take(name: Uint8Array): Place {
    const hash = hashOf(name)
    const known = this.find(name, name.length, hash)
    if (known !== undefined) return known
    const place: Place = { name, seats: new Set() }
    const others = this.byHash.get(hash)
    if (others === undefined) this.byHash.set(hash, place)
    else if (others instanceof Map) others.set(byteText(name), place)
    else this.byHash.set(hash, new Map([[byteText(others.name), others], [byteText(name), place]]))
    return place
  }

  /** Takes a seat away from where a name has its place; `true` when no place is left there. */
  leave(name: Uint8Array, seat: Seat): boolean {
    const hash = hashOf(name)
    const place = this.find(name, name.length, hash)
    if (place === undefined || !place.seats.delete(seat) || place.seats.size > 0) return false
    const others = this.byHash.get(hash)
    if (others instanceof Map) others.delete(byteText(name))
    if (!(others instanceof Map) || others.size === 0) this.byHash.delete(hash)
    return true
  }
}

/**
 * Most ranges of seats without a waiter, unless more are waited for. A watch waits again as soon as it has sent a
 * change, and one with hundreds of ranges would leave hundreds of places and take them again.
 */
const maxEmptyRanges = 1_024

/** Where a range is found. */
interface Spot {
  readonly kind: "key" | "prefix" | "other"
  /** The key or the prefix. */
  readonly name: Uint8Array
}

const isSingleKey = ({ gte, lt }: KeyRange): boolean => compareBytes(successor(gte), lt) === 0

const isPrefix = ({ gte, lt }: KeyRange): boolean => compareBytes(prefixRange(gte).lt, lt) === 0

const spotOf = (range: KeyRange): Spot =>
  isSingleKey(range)
    ? { kind: "key", name: range.gte }
    : isPrefix(range)
    ? { kind: "prefix", name: range.gte }
    : { kind: "other", name: range.gte }

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
  private readonly seats = new Map<KeyRanges, Seat>()
  /** Seats without a waiter, the one that was left first at the front. */
  private readonly empty = new Set<Seat>()
  private emptyRanges = 0
  private takenRanges = 0
  private readonly byKey = new Places()
  private readonly byPrefix = new Places()
  /** How many places of prefixes there are of each length. */
  private readonly lengths = new Map<number, number>()
  /** Those lengths, the shortest first. Replaced when they change: wakes may change them. */
  private sortedLengths: ReadonlyArray<number> = []
  private readonly others = new Set<Seat>()
  private count = 0

  get size(): number {
    return this.count
  }

  /** Ranges that a change is looked up in, waited for or not. */
  get places(): number {
    return this.emptyRanges + this.takenRanges
  }

  /** Waits for revisions from `from` on. */
  add(ranges: KeyRanges, from: number): Waiter {
    const waiter = new Waiter(ranges, from)
    const seat = this.seats.get(ranges) ?? this.place(ranges)
    if (this.empty.delete(seat)) this.emptyRanges -= ranges.count
    if (seat.waiters.size === 0) this.takenRanges += ranges.count
    seat.waiters.add(waiter)
    this.count += 1
    return waiter
  }

  /** Forgets a waiter; one that was woken is forgotten already. */
  remove(waiter: Waiter): void {
    if (!waiter.waits) return
    waiter.waits = false
    this.count -= 1
    const { ranges } = waiter
    const seat = this.seats.get(ranges) as Seat
    seat.waiters.delete(waiter)
    if (seat.waiters.size > 0) return
    this.takenRanges -= ranges.count
    this.emptyRanges += ranges.count
    this.empty.add(seat)
    this.clearAway()
  }

  private clearAway(): void {
    for (const seat of this.empty) {
      if (this.emptyRanges <= Math.max(maxEmptyRanges, this.takenRanges)) return
      this.empty.delete(seat)
      this.emptyRanges -= seat.ranges.count
      this.displace(seat)
    }
  }

  private place(ranges: KeyRanges): Seat {
    const seat: Seat = { ranges, spots: ranges.all.map(spotOf), waiters: new Set() }
    this.seats.set(ranges, seat)
    for (const { kind, name } of seat.spots) {
      if (kind === "other") {
        this.others.add(seat)
        continue
      }
      const { seats } = (kind === "key" ? this.byKey : this.byPrefix).take(name)
      if (kind === "prefix" && seats.size === 0) this.countLength(name.length, 1)
      seats.add(seat)
    }
    return seat
  }

  private displace(seat: Seat): void {
    this.seats.delete(seat.ranges)
    for (const { kind, name } of seat.spots) {
      if (kind === "other") this.others.delete(seat)
      else if (kind === "key") this.byKey.leave(name, seat)
      else if (this.byPrefix.leave(name, seat)) this.countLength(name.length, -1)
    }
  }

  private countLength(length: number, more: number): void {
    const before = this.lengths.get(length) ?? 0
    if (before + more === 0) this.lengths.delete(length)
    else this.lengths.set(length, before + more)
    if (before === 0 || before + more === 0) this.sortedLengths = [...this.lengths.keys()].sort((a, b) => a - b)
  }

  /** Has a waiter look at once: nothing before `from` is in its ranges. */
  hurry(waiter: Waiter, from: number): void {
    if (waiter.waits) this.release(waiter, Math.max(waiter.from, from))
  }

  /** Wakes those whom these revisions concern. */
  wake(revisions: ReadonlyArray<Revision>): void {
    for (const { changes, revision } of revisions) {
      // Without an iterator, which is an object for each change until this is compiled.
      for (let i = 0; i < changes.length; i++) {
        if (this.count === 0) return
        this.notifyOf((changes[i] as Change).key, revision)
      }
    }
  }

  private notifyOf(key: Uint8Array, revision: number): void {
    let hash = emptyHash
    let hashed = 0
    const { sortedLengths } = this
    for (let i = 0; i < sortedLengths.length; i++) {
      const length = sortedLengths[i] as number
      if (length > key.length) break
      hash = hashOn(hash, key, hashed, length)
      hashed = length
      this.notify(this.byPrefix.find(key, length, hash), revision)
    }
    if (!this.byKey.isEmpty) {
      this.notify(this.byKey.find(key, key.length, hashOn(hash, key, hashed, key.length)), revision)
    }
    if (this.others.size === 0) return
    for (const seat of this.others) if (seat.ranges.contains(key)) this.rouseSeat(seat, revision)
  }

  /** Wakes everybody: what happened from `from` on is not known here. */
  wakeAll(from: number): void {
    for (const { waiters } of this.seats.values()) {
      for (const waiter of waiters) this.release(waiter, Math.max(waiter.from, from))
    }
  }

  private notify(place: Place | undefined, revision: number): void {
    if (place === undefined) return
    for (const seat of place.seats) this.rouseSeat(seat, revision)
  }

  private rouseSeat({ waiters }: Seat, revision: number): void {
    for (const waiter of waiters) {
      // One that waits for a revision still to come sleeps on.
      if (revision >= waiter.from) this.release(waiter, revision)
    }
  }

  private release(waiter: Waiter, from: number): void {
    if (!waiter.waits) return
    this.remove(waiter)
    waiter.from = from
    Deferred.doneUnsafe(waiter.woken, Exit.void)
  }
}
