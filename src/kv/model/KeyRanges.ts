/**
 * Several ranges of keys as one: sorted, and no two of them share a key. What one watch watches.
 *
 * ```
 * ranges   count u16 · { gte u16+ · lt u16+ }
 * ```
 */
import { compareBytes } from "../../bytes/Bytes.ts"
import { Reader, Writer } from "../../bytes/Binary.ts"
import type { KeyRange } from "../../bytes/KeyRange.ts"
import type { RangeNames } from "./KeyRange.ts"
import { rangeNames, rangeProblem } from "./KeyRange.ts"
import { contains, overlaps } from "../../bytes/KeyRange.ts"
import type { Problem } from "./Limits.ts"
import { maxWatchRangeBytes, maxWatchRanges, problem } from "./Limits.ts"

const compareEnds = (a: Uint8Array, b: Uint8Array): number =>
  a.byteLength === 0 ? (b.byteLength === 0 ? 0 : 1) : b.byteLength === 0 ? -1 : compareBytes(a, b)

/** By the first key; of those that begin alike, the longest first. */
const compareRanges = (a: KeyRange, b: KeyRange): number => compareBytes(a.gte, b.gte) || compareEnds(b.lt, a.lt)

export class KeyRanges {
  /** In order of their first keys. Prefixes stay as they are, because a watcher is found by its prefix. */
  readonly all: ReadonlyArray<KeyRange>

  private constructor(all: ReadonlyArray<KeyRange>) {
    // Copies: a watch lives long, and what it was asked for in may be a view of a whole frame.
    this.all = all.map(({ gte, lt }) => ({ gte: new Uint8Array(gte), lt: new Uint8Array(lt) }))
  }

  static readonly of = (range: KeyRange): KeyRanges => new KeyRanges([range])

  /**
   * Leaves out what another range holds, and joins ranges of which one begins within the other. What is wrong with them
   * is said in the words of `names`.
   */
  static readonly make = (ranges: ReadonlyArray<KeyRange>, names = ownNames(ranges)): KeyRanges | Problem => {
    const found = rangesProblem(ranges, names)
    if (found !== undefined) return found
    const all: Array<KeyRange> = []
    for (const range of [...ranges].sort(compareRanges)) {
      const last = all[all.length - 1]
      if (last === undefined || !overlaps(last, range)) all.push(range)
      else if (compareEnds(range.lt, last.lt) > 0) all[all.length - 1] = { gte: last.gte, lt: range.lt }
    }
    return new KeyRanges(all)
  }

  get count(): number {
    return this.all.length
  }

  /** Whether one of the ranges holds a key. */
  contains(key: Uint8Array): boolean {
    const { all } = this
    let low = 0
    let high = all.length
    // The last range that begins at the key or before it.
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compareBytes((all[middle] as KeyRange).gte, key) <= 0) low = middle + 1
      else high = middle
    }
    return low > 0 && contains(all[low - 1] as KeyRange, key)
  }
}

/** What a caller calls its ranges: all of them, and each in its place. */
export interface AllRangeNames {
  readonly all: string
  readonly each: ReadonlyArray<RangeNames>
}

const ownNames = (ranges: ReadonlyArray<KeyRange>): AllRangeNames => ({
  all: "ranges",
  each: ranges.map((_, i) => rangeNames(ranges.length === 1 ? "range" : `ranges[${i}]`))
})

/** What is wrong with ranges that are to be watched together, if anything. */
const rangesProblem = (ranges: ReadonlyArray<KeyRange>, { all, each }: AllRangeNames): Problem | undefined => {
  if (ranges.length === 0) return problem(all, "are empty; a watch has at least one")
  if (ranges.length > maxWatchRanges) {
    return problem(all, `are ${ranges.length}; one watch has at most ${maxWatchRanges}`)
  }
  let bytes = 0
  for (const [i, range] of ranges.entries()) {
    const found = rangeProblem(range, each[i])
    if (found !== undefined) return found
    bytes += range.gte.byteLength + range.lt.byteLength
  }
  return bytes > maxWatchRangeBytes
    ? problem(all, `have ${bytes} bytes; those of one watch have at most ${maxWatchRangeBytes}`)
    : undefined
}

export const encodeRanges = ({ all }: KeyRanges): Uint8Array => {
  const writer = new Writer(64).u16(all.length)
  for (const { gte, lt } of all) writer.short(gte).short(lt)
  return writer.bytes
}

/** The inverse of {@link encodeRanges}, with ranges of their own, which outlive the bytes they came in. */
export const decodeRanges = (bytes: Uint8Array): KeyRanges | Problem => {
  const reader = new Reader(bytes)
  const count = reader.u16()
  if (count > maxWatchRanges) return problem("ranges", `are ${count}; one watch has at most ${maxWatchRanges}`)
  const ranges: Array<KeyRange> = []
  for (let i = 0; i < count && !reader.failed; i++) {
    ranges.push({ gte: new Uint8Array(reader.short()), lt: new Uint8Array(reader.short()) })
  }
  return reader.complete ? KeyRanges.make(ranges) : problem("ranges", "are malformed")
}
