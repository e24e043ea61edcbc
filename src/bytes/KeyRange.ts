/** Half-open ranges of keys, in byte order: from `gte` on, up to and without `lt`. */
import { compareBytes } from "./Bytes.ts"
import { noBytes } from "./Binary.ts"

/** Part of the keys, in byte order. */
export interface KeyRange {
  /** The first key; empty for "from the first key on". */
  readonly gte: Uint8Array
  /** The end, not included; empty for "to the last key". */
  readonly lt: Uint8Array
}

/** Every key. */
export const allKeys: KeyRange = { gte: noBytes, lt: noBytes }

/** The keys that begin with `prefix`; all of them for the empty prefix. */
export const prefixRange = (prefix: Uint8Array): KeyRange => {
  let length = prefix.byteLength
  while (length > 0 && prefix[length - 1] === 0xff) length -= 1
  // A prefix of nothing but ff bytes has no end.
  if (length === 0) return { gte: prefix, lt: noBytes }
  // A copy: `slice` of a Buffer would be a view, and what is behind it the caller's.
  const lt = new Uint8Array(prefix.subarray(0, length))
  lt[length - 1] = (lt[length - 1] as number) + 1
  return { gte: prefix, lt }
}

/** The range of one key alone. */
export const singleKey = (key: Uint8Array): KeyRange => ({ gte: key, lt: successor(key) })

/** The first key behind `key`. */
export const successor = (key: Uint8Array): Uint8Array => {
  const next = new Uint8Array(key.byteLength + 1)
  next.set(key)
  return next
}

/** Whether a range holds a key. */
export const contains = ({ gte, lt }: KeyRange, key: Uint8Array): boolean =>
  compareBytes(key, gte) >= 0 && (lt.byteLength === 0 || compareBytes(key, lt) < 0)

/** Whether two ranges share a key. */
export const overlaps = (a: KeyRange, b: KeyRange): boolean =>
  (b.lt.byteLength === 0 || compareBytes(a.gte, b.lt) < 0) &&
  (a.lt.byteLength === 0 || compareBytes(b.gte, a.lt) < 0)
