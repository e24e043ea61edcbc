/**
 * Objects by byte strings. Neither a text nor a view is made of what is looked up: for the keys of a transaction those
 * were a third of the garbage that carrying it out made.
 *
 * Clients may choose keys whose hashes meet. A table that looks too long for a key goes over to texts, whose hashes
 * no client knows beforehand. What the table gives never depends on that.
 */
import { byteText } from "./Bytes.ts"

/** An object with its key, and {@link hashOf} that. */
export interface Keyed {
  readonly key: Uint8Array
  readonly hash: number
}

const offsetBasis = 0x811c9dc5 | 0
const prime = 0x01000193

/** FNV-1a with 32 bits, of the bytes from `from` to `to`, behind those whose hash is `hash`. */
export const hashOn = (hash: number, bytes: Uint8Array, from: number, to: number): number => {
  for (let at = from; at < to; at++) hash = Math.imul(hash ^ (bytes[at] as number), prime)
  return hash
}

/** The hash of no bytes, to begin {@link hashOn} with. */
export const emptyHash = offsetBasis

export const hashOf = (bytes: Uint8Array): number => hashOn(offsetBasis, bytes, 0, bytes.length)

/** Whether the first `length` bytes of `a` are `b`. Keys differ most often at their ends, so it begins there. */
export const beginsWith = (a: Uint8Array, length: number, b: Uint8Array): boolean => {
  if (b.length !== length) return false
  for (let at = length - 1; at >= 0; at--) if (a[at] !== b[at]) return false
  return true
}

/** Entries that are gone through one by one. */
const fewEntries = 8

/** Places looked at for one key. With half of the places free, good hashes need some twenty at most. */
const maxLooks = 64

/** Keys that may have one hash of 32 bits by chance. More have it by somebody's choice. */
const maxSameHash = 4

export class KeyTable<Entry extends Keyed> {
  /** In the order in which they were added. */
  readonly all: Array<Entry> = []
  /** Positions in `all`, from 1; 0 is a free place. There are none while entries are few. */
  private places: Array<number> | undefined
  private byText: Map<string, Entry> | undefined

  /** The entry of a key whose hash is `hash`. */
  get(key: Uint8Array, hash: number): Entry | undefined {
    if (this.byText !== undefined) return this.byText.get(byteText(key))
    const { all, places } = this
    if (places === undefined) {
      for (let i = 0; i < all.length; i++) {
        const entry = all[i] as Entry
        if (entry.hash === hash && beginsWith(key, key.length, entry.key)) return entry
      }
      return undefined
    }
    const mask = places.length - 1
    for (let at = hash & mask;; at = at + 1 & mask) {
      const place = places[at] as number
      if (place === 0) return undefined
      const entry = all[place - 1] as Entry
      if (entry.hash === hash && beginsWith(key, key.length, entry.key)) return entry
    }
  }

  /** Adds an entry whose key has none. */
  add(entry: Entry): void {
    const count = this.all.push(entry)
    if (this.byText !== undefined) this.byText.set(byteText(entry.key), entry)
    else if (count > fewEntries && (this.places === undefined || 2 * count > this.places.length)) this.spread(count)
    else if (this.places !== undefined) this.put(this.places, entry.hash, count)
  }

  /** Gives each entry a place among twice as many as there will soon be. */
  private spread(count: number): void {
    let size = 4 * fewEntries
    while (size < 4 * count) size *= 2
    const places = new Array<number>(size).fill(0)
    this.places = places
    for (let i = 0; i < count && this.places !== undefined; i++) this.put(places, (this.all[i] as Entry).hash, i + 1)
  }

  private put(places: Array<number>, hash: number, place: number): void {
    const mask = places.length - 1
    let at = hash & mask
    let same = 0
    for (let looks = 0; places[at] !== 0; looks++) {
      if ((this.all[(places[at] as number) - 1] as Entry).hash === hash) same++
      if (looks === maxLooks || same === maxSameHash) return this.useTexts()
      at = at + 1 & mask
    }
    places[at] = place
  }

  private useTexts(): void {
    this.places = undefined
    this.byText = new Map(this.all.map((entry) => [byteText(entry.key), entry]))
  }
}

/**
 * Tells whether the keys of one list are distinct: those of operations, of which at most `most` come. It is used again
 * for each list, and keeps nothing of one but numbers, unless many of its keys have one hash.
 */
export class DistinctKeys {
  private readonly hashes: Int32Array
  /** Positions in the list, from 1; at least half of the places are free. */
  private readonly places: Int32Array
  private mask = 0
  private texts: Set<string> | undefined

  constructor(most: number) {
    let size = 4
    while (size < 2 * most) size *= 2
    this.hashes = new Int32Array(most)
    this.places = new Int32Array(size)
  }

  /** Forgets the list before. This one has `count` operations. */
  begin(count: number): void {
    let size = 4
    while (size < 2 * count) size *= 2
    this.mask = size - 1
    this.texts = undefined
    this.places.fill(0, 0, size)
  }

  /** Adds the key of the operation at `position` of the list; `false` when one that was added before has the same. */
  add(list: ReadonlyArray<object>, position: number, key: Uint8Array): boolean {
    const { hashes, mask, places } = this
    if (this.texts !== undefined) return addText(this.texts, key)
    const hash = hashOf(key)
    let at = hash & mask
    let same = 0
    for (let place = places[at] as number; place !== 0; place = places[at] as number) {
      if (hashes[place - 1] === hash) {
        if (beginsWith(key, key.length, keyAt(list, place))) return false
        if (++same === maxSameHash) return addText(this.useTexts(list), key)
      }
      at = at + 1 & mask
    }
    hashes[position] = hash
    places[at] = position + 1
    return true
  }

  private useTexts(list: ReadonlyArray<object>): Set<string> {
    const texts = new Set<string>()
    for (const place of this.places.subarray(0, this.mask + 1)) {
      if (place !== 0) texts.add(byteText(keyAt(list, place)))
    }
    this.texts = texts
    return texts
  }
}

const keyAt = (list: ReadonlyArray<object>, place: number): Uint8Array =>
  (list[place - 1] as { readonly key: Uint8Array }).key

/** `false` when it was there. */
const addText = (texts: Set<string>, key: Uint8Array): boolean => texts.size < texts.add(byteText(key)).size
