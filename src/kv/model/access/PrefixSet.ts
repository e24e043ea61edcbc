/** Keys by their beginnings: what a user may read, or write. */
import { compareBytes } from "../../../bytes/Bytes.ts"
import type { KeyRange } from "../../../bytes/KeyRange.ts"
import { contains, prefixRange } from "../../../bytes/KeyRange.ts"

/** The order of ends of ranges: the empty one is behind all others. */
const compareEnds = (a: Uint8Array, b: Uint8Array): number =>
  a.byteLength === 0 ? (b.byteLength === 0 ? 0 : 1) : b.byteLength === 0 ? -1 : compareBytes(a, b)

export class PrefixSet {
  /** In order; between each two of them is a key that is in neither. */
  private readonly ranges: ReadonlyArray<KeyRange>

  constructor(prefixes: ReadonlyArray<Uint8Array>) {
    const sorted = prefixes.map(prefixRange).sort((a, b) => compareBytes(a.gte, b.gte) || compareEnds(b.lt, a.lt))
    const ranges: Array<KeyRange> = []
    for (const range of sorted) {
      const last = ranges[ranges.length - 1]
      const touches = last !== undefined && (last.lt.byteLength === 0 || compareBytes(range.gte, last.lt) <= 0)
      if (!touches) ranges.push(range)
      else if (compareEnds(range.lt, last.lt) > 0) ranges[ranges.length - 1] = { gte: last.gte, lt: range.lt }
    }
    this.ranges = ranges
  }

  /** Whether every key of a range begins with one of the prefixes. */
  covers(range: KeyRange): boolean {
    const { ranges } = this
    let low = 0
    let high = ranges.length
    // The last range that begins where this one does, or before it.
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compareBytes((ranges[middle] as KeyRange).gte, range.gte) <= 0) low = middle + 1
      else high = middle
    }
    const around = ranges[low - 1]
    return around !== undefined && contains(around, range.gte) && compareEnds(range.lt, around.lt) <= 0
  }
}
