/**
 * The watches that wait for a change in a range of keys. A change wakes only the ones whose ranges it is in. They are
 * found by its key, or by those prefixes of the key that a watch waits for: ten thousand sleeping watches cost a write
 * next to nothing.
 */
import { Deferred, Exit } from "effect"
import type { Revision } from "./model/History.ts"
import type { KeyRange } from "../bytes/KeyRange.ts"
import { byteText, compareBytes } from "../bytes/Bytes.ts"
import { prefixRange, successor } from "../bytes/KeyRange.ts"
import type { KeyRanges } from "./model/KeyRanges.ts"

/** The waiters for the same ranges, and where they are found. */
interface Seat {
  readonly ranges: KeyRanges
  readonly spots: ReadonlyArray<Spot>
  readonly waiters: Set<Waiter>
}

/** Seats by the key or prefix that is waited for. */
type Places = Map<string, Set<Seat>>

/**
 * Most ranges of seats without a waiter, unless more are waited for. A watch waits again as soon as it has sent a
 * change, and one with hundreds of ranges would leave hundreds of places and take them again.
 */
const maxEmptyRanges = 1_024

/** Where a range is found. */
interface Spot {
  readonly kind: "key" | "prefix" | "other"
  /** The key or the prefix. */
  readonly name: string
}

const isSingleKey = ({ gte, lt }: KeyRange): boolean => compareBytes(successor(gte), lt) === 0

const isPrefix = ({ gte, lt }: KeyRange): boolean => compareBytes(prefixRange(gte).lt, lt) === 0

const spotOf = (range: KeyRange): Spot =>
  isSingleKey(range)
    ? { kind: "key", name: byteText(range.gte) }
    : isPrefix(range)
    ? { kind: "prefix", name: byteText(range.gte) }
    : { kind: "other", name: "" }

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
  private readonly byKey: Places = new Map()
  /** By the length of the prefix. */
  private readonly byPrefix = new Map<number, Places>()
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
    for (const spot of seat.spots) {
      const places = this.placesOf(spot)
      const place = places === undefined ? this.others : places.get(spot.name) ?? new Set()
      places?.set(spot.name, place)
      place.add(seat)
    }
    return seat
  }

  private displace(seat: Seat): void {
    this.seats.delete(seat.ranges)
    for (const { kind, name } of seat.spots) {
      const places = kind === "other" ? undefined : kind === "key" ? this.byKey : this.byPrefix.get(name.length)
      const place = places === undefined ? this.others : places.get(name)
      place?.delete(seat)
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
        if (this.byKey.size > 0) this.notify(this.byKey.get(byteText(key)), revision)
        for (const [length, places] of this.byPrefix) {
          if (length <= key.byteLength) this.notify(places.get(byteText(key.subarray(0, length))), revision)
        }
        for (const seat of this.others) if (seat.ranges.contains(key)) this.rouseSeat(seat, revision)
      }
    }
  }

  /** Wakes everybody: what happened from `from` on is not known here. */
  wakeAll(from: number): void {
    for (const { waiters } of this.seats.values()) {
      for (const waiter of waiters) this.release(waiter, Math.max(waiter.from, from))
    }
  }

  private notify(seats: Iterable<Seat> | undefined, revision: number): void {
    if (seats === undefined) return
    for (const seat of seats) this.rouseSeat(seat, revision)
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

  private placesOf({ kind, name }: Spot): Places | undefined {
    if (kind === "key") return this.byKey
    if (kind === "other") return undefined
    const places = this.byPrefix.get(name.length) ?? new Map()
    this.byPrefix.set(name.length, places)
    return places
  }
}
