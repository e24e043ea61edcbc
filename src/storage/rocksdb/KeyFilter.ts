/**
 * A set of keys, by a fingerprint of each: it may take a key that is not in the set for one that is, and never the
 * other way round. A key takes six or seven bytes. Unlike in a Bloom filter keys can be removed, so that it stays right
 * while keys come and go.
 *
 * A fingerprint that was added more than once is sticky, because it may stand for one key or for several: it stays for
 * ever. What was added once stands for that one key, and goes with it.
 *
 * Fingerprints have 31 bits; the lowest bit of a slot says whether it is sticky. Slots are in segments by the upper
 * bits, each a hash table with linear probing, so that one grows at a time.
 */
const segments = 256
const stickyBit = 1

/** The lower bits of a fingerprint say where it belongs within its segment. */
const placeBits = 23

const firstSlots = 16

/** Most of the slots of a segment that are taken. */
const fullest = 0.75

const growth = 1.5

/** Most slots that are probed for a key. Keys that were chosen to lie side by side end the filter, and cost no more. */
const maxProbes = 512

/** FNV-1a with the finalizer of MurmurHash3. Its random seed keeps clients from choosing keys that collide. */
const fingerprintWith = (seed: number) => (text: string): number => {
  let hash = seed
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 1
}

export class KeyFilter {
  private readonly fingerprint: (text: string) => number
  private readonly tables: Array<Uint32Array> = []
  private readonly counts = new Uint32Array(segments)
  private total = 0
  private overfull = false

  /** `fingerprint` gives 31 bits; tests bring a worse one. */
  constructor(fingerprint = fingerprintWith(Math.floor(Math.random() * 2 ** 32))) {
    this.fingerprint = fingerprint
    for (let i = 0; i < segments; i++) this.tables.push(new Uint32Array(firstSlots))
  }

  /** How many fingerprints it has. */
  get size(): number {
    return this.total
  }

  /** Whether it is of no use any more, because its keys lie too close to each other. */
  get isOverfull(): boolean {
    return this.overfull
  }

  /** `false` only when the key is not in the set. */
  mayHave(text: string): boolean {
    const fingerprint = this.fingerprintOf(text)
    const table = this.tables[fingerprint >>> placeBits] as Uint32Array
    return this.overfull || table[place(table, fingerprint)] !== 0
  }

  add(text: string): void {
    const fingerprint = this.fingerprintOf(text)
    const segment = fingerprint >>> placeBits
    let table = this.tables[segment] as Uint32Array
    const count = this.counts[segment] as number
    if (count + 1 > fullest * table.length) {
      table = grown(table)
      this.tables[segment] = table
    }
    const at = place(table, fingerprint)
    if (at < 0) this.overfull = true
    else if (table[at] !== 0) table[at] = (table[at] as number) | stickyBit
    else {
      table[at] = fingerprint << 1
      this.counts[segment] = count + 1
      this.total += 1
    }
  }

  /** Removes a key that is in the set. */
  remove(text: string): void {
    const fingerprint = this.fingerprintOf(text)
    const segment = fingerprint >>> placeBits
    const table = this.tables[segment] as Uint32Array
    const at = place(table, fingerprint)
    if (at < 0 || table[at] !== fingerprint << 1 >>> 0) return
    closeGap(table, at)
    this.counts[segment] = (this.counts[segment] as number) - 1
    this.total -= 1
  }

  /** An empty slot is 0, so that no fingerprint is. */
  private fingerprintOf(text: string): number {
    return this.fingerprint(text) || 1
  }
}

/** Where a fingerprint belongs, before others took the place. */
const home = (table: Uint32Array, fingerprint: number): number =>
  Math.floor((fingerprint & (2 ** placeBits - 1)) * table.length / 2 ** placeBits)

/** The slot of a fingerprint, or the empty one that it would take; negative when that is too far. */
const place = (table: Uint32Array, fingerprint: number): number => {
  let at = home(table, fingerprint)
  for (let probes = 0; probes < maxProbes; probes++) {
    const slot = table[at] as number
    if (slot === 0 || slot >>> 1 === fingerprint) return at
    at = at + 1 === table.length ? 0 : at + 1
  }
  return -1
}

/** Empties a slot, and moves those behind it that were displaced by it. */
const closeGap = (table: Uint32Array, at: number): void => {
  const { length } = table
  let gap = at
  for (let next = (gap + 1) % length; table[next] !== 0; next = (next + 1) % length) {
    const slot = table[next] as number
    const displaced = (next - home(table, slot >>> 1) + length) % length
    if (displaced < (next - gap + length) % length) continue
    table[gap] = slot
    gap = next
  }
  table[gap] = 0
}

const grown = (table: Uint32Array): Uint32Array => {
  const larger = new Uint32Array(Math.ceil(table.length * growth))
  for (const slot of table) {
    if (slot === 0) continue
    let at = home(larger, slot >>> 1)
    while (larger[at] !== 0) at = at + 1 === larger.length ? 0 : at + 1
    larger[at] = slot
  }
  return larger
}
